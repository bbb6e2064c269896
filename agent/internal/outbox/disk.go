package outbox

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
)

// disk is the folder of a log, as much of it as is needed. Tests put one in its place that forgets what was not synced.
type disk interface {
	list() (names []string, err error) // sorted
	read(name string, buf []byte) ([]byte, error)
	open(name string) (readFile, error)
	// create makes a file, or opens one of that name to write at its end.
	create(name string, fresh bool) (writeFile, error)
	overwrite(name string, b []byte) error // in place and synced, also where there is no room for another block
	remove(name string) error
	sync() error // makes created and removed names last
}

type readFile interface {
	io.ReaderAt
	io.Closer
}

type writeFile interface {
	io.WriteCloser
	truncate(size int64) error
	sync() error // of the content
}

// folder is a disk that is one.
type folder string

var _ disk = folder("")

func (d folder) path(name string) string { return filepath.Join(string(d), name) }

func (d folder) list() ([]string, error) {
	entries, err := os.ReadDir(string(d))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	var names []string
	for _, e := range entries {
		if e.Type().IsRegular() {
			names = append(names, e.Name())
		}
	}
	slices.Sort(names)
	return names, err
}

// read returns a file's content, in buf where that is large enough.
func (d folder) read(name string, buf []byte) ([]byte, error) {
	f, err := os.Open(d.path(name))
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // it was only read
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if info.Size() > maxFile {
		return nil, fmt.Errorf("%s has %d bytes: no segment is that long", name, info.Size())
	}
	buf = slices.Grow(buf[:0], int(info.Size()))[:info.Size()]
	n, err := io.ReadFull(f, buf)
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		err = nil // it became shorter
	}
	return buf[:n], err
}

func (d folder) open(name string) (readFile, error) { return os.Open(d.path(name)) }

func (d folder) create(name string, fresh bool) (writeFile, error) {
	flags := os.O_WRONLY | os.O_APPEND
	if fresh {
		if err := os.MkdirAll(string(d), 0o750); err != nil {
			return nil, err
		}
		flags |= os.O_CREATE | os.O_EXCL
	}
	f, err := os.OpenFile(d.path(name), flags, 0o600)
	if err != nil {
		return nil, err
	}
	return osFile{f}, nil
}

func (d folder) overwrite(name string, b []byte) error {
	f, err := os.OpenFile(d.path(name), os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(b, 0)
	return errors.Join(err, f.Sync(), f.Close())
}

func (d folder) remove(name string) error {
	if err := os.Remove(d.path(name)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

func (d folder) sync() error {
	f, err := os.Open(string(d))
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

type osFile struct{ *os.File }

func (f osFile) truncate(size int64) error { return f.Truncate(size) }
func (f osFile) sync() error               { return fdatasync(f.File) }
