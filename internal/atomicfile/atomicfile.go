// Package atomicfile writes files that other programs read, so that a reader, a crash or a power cut finds either the
// whole old file or the whole new one, never a part.
package atomicfile

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// Write replaces the file at path by what write puts into its writer, with the given permissions (not narrowed by the
// umask). The bytes go to a temporary file in the same folder, which is synced, renamed over path and made durable by
// syncing the folder. When anything goes wrong (write returns an error or panics, the disk is full) the old file stays
// as it was and the temporary file is removed.
//
// The writer is buffered and must not be used after write returns. A symbolic link at path is replaced, not followed.
// Concurrent calls for one path are safe; the last rename wins.
func Write(path string, perm os.FileMode, write func(io.Writer) error) (err error) {
	file, folder, err := begin(path)
	if err != nil {
		return err
	}
	renamed := false
	defer func() {
		// A deferred clean-up also runs when write panics. Closing twice is harmless, the error is wanted only below.
		if !renamed {
			_ = file.Close()
			if e := os.Remove(file.Name()); e != nil && err != nil {
				err = errors.Join(err, e)
			}
		}
	}()

	buffered := bufio.NewWriterSize(file, 64<<10)
	if err := write(buffered); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	if err := buffered.Flush(); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	if err := file.Chmod(perm); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	if err := file.Sync(); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	if err := file.Close(); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	if err := os.Rename(file.Name(), path); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	renamed = true
	if err := syncFolder(folder); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}

// Check reports whether Write could begin: the folder is there and can be written, and path is no folder itself. It is
// for programs whose work before the writing takes long; a disk may still be full later. It leaves nothing behind.
func Check(path string) error {
	file, _, err := begin(path)
	if err != nil {
		return err
	}
	if err := errors.Join(file.Close(), os.Remove(file.Name())); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}

// begin makes the temporary file for path, and returns the folder of both.
func begin(path string) (file *os.File, folder string, err error) {
	folder, name := filepath.Split(path)
	if folder == "" {
		folder = "."
	}
	if name == "" || name == "." || name == ".." {
		return nil, "", fmt.Errorf("write %q: not the name of a file", path)
	}
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		return nil, "", fmt.Errorf("write %s: it is a folder; name a file", path)
	}
	// The dot keeps the unfinished file out of listings by extension and out of shell globs.
	file, err = os.CreateTemp(folder, "."+name+".tmp-*")
	if errors.Is(err, os.ErrNotExist) {
		return nil, "", fmt.Errorf("write %s: there is no folder %s; make it first (%w)", path, filepath.Clean(folder), os.ErrNotExist)
	}
	if err != nil {
		// The temporary file's name, in err itself, would puzzle.
		if cause := errors.Unwrap(err); cause != nil {
			err = cause
		}
		return nil, "", fmt.Errorf("write %s: %w", path, err)
	}
	return file, folder, nil
}

// WriteBytes is Write for content already in memory.
func WriteBytes(path string, perm os.FileMode, content []byte) error {
	return Write(path, perm, func(w io.Writer) error {
		_, err := w.Write(content)
		return err
	})
}

// WriteJSON is Write for a value as indented JSON.
func WriteJSON(path string, perm os.FileMode, v any) error {
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return WriteBytes(path, perm, append(text, '\n'))
}

// syncFolder makes the rename itself durable: without it a power cut can bring the old directory entry back.
func syncFolder(path string) error {
	folder, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}
