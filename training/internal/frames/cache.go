package frames

import (
	"cmp"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"xbmedge/internal/vision"
)

// Cache keeps reduced photos in a folder, one file each, so that a second start need not decode them. A file is named
// for what it was made from (path, size and time of change of the photo, and the size wanted), so a photo that changes
// is another file. An entry is written beside its place and moved there, and holds checksums: a program that is killed,
// a power cut or a bad disk cost the entry, which is made anew, and nothing else. The folder may be deleted at any time.
//
// A Cache is safe for concurrent use, also by several processes.
type Cache struct {
	folder string
}

// Names in the cache's folder.
const (
	unfinished = "tmp"    // folder of entries being written
	suffix     = ".frame" // only files of this name are ever removed
)

// DefaultFolder returns the folder for the cache of a user who names none.
func DefaultFolder() (string, error) {
	base, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("folder for the photo cache: %w", err)
	}
	return filepath.Join(base, "xbmedge", "photos"), nil
}

// OpenCache opens the cache in that folder, which is made where it is not there. When it holds more than limit bytes, the
// entries not used for longest are removed first; a limit of 0 keeps all. A run may add to it beyond the limit, up to the
// next OpenCache.
func OpenCache(folder string, limit int64) (*Cache, error) {
	c := &Cache{folder: folder}
	if err := os.MkdirAll(filepath.Join(folder, unfinished), 0o700); err != nil {
		return nil, fmt.Errorf("photo cache: %w", err)
	}
	if err := c.sweep(); err != nil {
		return nil, fmt.Errorf("photo cache: %w", err)
	}
	if limit > 0 {
		if err := c.trim(limit); err != nil {
			return nil, fmt.Errorf("photo cache: %w", err)
		}
	}
	return c, nil
}

// Folder returns where the cache is.
func (c *Cache) Folder() string { return c.folder }

// sweep removes what killed programs left unfinished, and leaves alone what another may be writing.
func (c *Cache) sweep() error {
	left, err := os.ReadDir(filepath.Join(c.folder, unfinished))
	if err != nil {
		return err
	}
	for _, entry := range left {
		info, err := entry.Info()
		if err == nil && strings.HasSuffix(entry.Name(), suffix) && time.Since(info.ModTime()) > time.Hour {
			_ = os.Remove(filepath.Join(c.folder, unfinished, entry.Name())) // next time, then
		}
	}
	return nil
}

// trim removes the entries not used for longest until the rest has no more than limit bytes.
func (c *Cache) trim(limit int64) error {
	type file struct {
		path string
		size int64
		used time.Time
	}
	var files []file
	var total int64
	err := filepath.WalkDir(c.folder, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, suffix) {
			return err
		}
		if info, err := d.Info(); err == nil { // else another process has removed it
			files = append(files, file{path, info.Size(), info.ModTime()})
			total += info.Size()
		}
		return nil
	})
	if err != nil {
		return err
	}
	slices.SortFunc(files, func(a, b file) int { return cmp.Or(a.used.Compare(b.used), strings.Compare(a.path, b.path)) })
	for _, f := range files {
		if total <= limit {
			break
		}
		if err := os.Remove(f.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		total -= f.size
	}
	return nil
}

func (c *Cache) path(k key) string {
	name := hex.EncodeToString(k[:])
	return filepath.Join(c.folder, name[:2], name[2:]+suffix)
}

// head reads what an entry says of its frame, without the pixels.
func (c *Cache) head(k key) (header, error) {
	file, h, err := c.open(k)
	if err != nil {
		return header{}, err
	}
	return h, file.Close()
}

// open opens an entry and reads its header; the file is left at the pixels.
func (c *Cache) open(k key) (*os.File, header, error) {
	file, err := os.Open(c.path(k))
	if err != nil {
		return nil, header{}, err
	}
	h, err := readHeader(file, k)
	if err != nil {
		return nil, header{}, errors.Join(err, file.Close())
	}
	return file, h, nil
}

func readHeader(file *os.File, k key) (header, error) {
	info, err := file.Stat()
	if err != nil {
		return header{}, err
	}
	b := make([]byte, headerSize)
	if _, err := io.ReadFull(file, b); err != nil {
		return header{}, fmt.Errorf("%w: %w", errDamaged, err)
	}
	return decodeHeader(b, k, info.Size())
}

// read reads an entry. The frame lies in buf, which is given more memory when it has too little.
func (c *Cache) read(k key, buf *[]byte) (vision.Frame, header, error) {
	file, h, err := c.open(k)
	if err != nil {
		return vision.Frame{}, header{}, err
	}
	defer func() { _ = file.Close() }() // read only: nothing is lost
	if cap(*buf) < h.bytes() {
		*buf = make([]byte, h.bytes())
	}
	*buf = (*buf)[:h.bytes()]
	if _, err := io.ReadFull(file, *buf); err != nil {
		return vision.Frame{}, header{}, fmt.Errorf("%w: %w", errDamaged, err)
	}
	if crc32.Checksum(*buf, castagnoli) != h.pixels {
		return vision.Frame{}, header{}, errDamaged
	}
	return vision.Frame{Width: h.width, Height: h.height, Pix: *buf}, h, nil
}

// used marks an entry as needed, so that it is removed late.
func (c *Cache) used(k key) {
	now := time.Now()
	_ = os.Chtimes(c.path(k), now, now) // a cache of somebody else may be read only
}

// write makes an entry. It is not synced, as internal/atomicfile would do some milliseconds a file: the checksums find
// what a power cut does to it.
func (c *Cache) write(k key, h header, f vision.Frame) (err error) {
	file, err := os.CreateTemp(filepath.Join(c.folder, unfinished), "*"+suffix)
	if err != nil {
		return fmt.Errorf("photo cache: %w", err)
	}
	defer func() {
		if err != nil {
			_ = file.Close() // it may be already; the first error tells what went wrong
			_ = os.Remove(file.Name())
			err = fmt.Errorf("photo cache: %w", err)
		}
	}()
	if _, err := file.Write(h.encode(k)); err != nil {
		return err
	}
	if _, err := file.Write(f.Pix); err != nil {
		return err
	}
	if err := file.Close(); err != nil {
		return err
	}
	path := c.path(k)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	return os.Rename(file.Name(), path)
}
