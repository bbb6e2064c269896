package gallery

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/gofrs/flock"

	"xbmedge/internal/atomicfile"
)

// BackupPath returns where the state before the last change of a gallery file is kept.
func BackupPath(path string) string { return path + ".bak" }

// OlderPath returns where a gallery file is kept when it is moved from a model to another: the path with the beginning of
// that model's embedding space at its end.
func OlderPath(path string, model Model) string {
	space := []byte(model.Space())
	for i, c := range space {
		if !isHex(c) { // it came from a file, and must not lead elsewhere
			space[i] = '_'
		}
	}
	return path + ".of-" + string(space[:min(len(space), 12)])
}

func isHex(c byte) bool { return c >= '0' && c <= '9' || c >= 'a' && c <= 'f' }

// KeepOlder keeps the file that the gallery was read from as it is, at its path's OlderPath, in the place of what was there.
// Later changes of the gallery's file leave it alone.
func (g *Gallery) KeepOlder(path string) (kept string, err error) {
	kept = OlderPath(path, g.model)
	if err := keepAs(g.file, kept); err != nil { // g.file is not path where that is damaged
		return "", fmt.Errorf("keep gallery %s: %w", path, err)
	}
	return kept, nil
}

// damagedPath is where a damaged file goes, so that nothing is lost that somebody could mend.
func damagedPath(path string) string { return path + ".damaged" }

// Save writes the gallery to a file, whole or not at all. What was there before is kept beside it, at BackupPath; a
// damaged file, which is no state to go back to, at the path with .damaged. The pictures are then in the file only.
func (g *Gallery) Save(path string) error {
	if err := keep(path); err != nil {
		return fmt.Errorf("save gallery: %w", err)
	}
	if err := atomicfile.Write(path, 0o644, g.write); err != nil {
		return fmt.Errorf("save gallery: %w", err)
	}
	saved, err := readFile(path)
	if err != nil {
		return fmt.Errorf("save gallery: it cannot be read back: %w", err)
	}
	g.things, g.file, g.recovered = saved.things, path, nil
	return nil
}

// keep puts the file that is about to be replaced out of the way.
func keep(path string) error {
	_, err := readFile(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil
	case errors.Is(err, ErrCorrupt):
		if info, failed := os.Stat(path); failed == nil && info.Mode().IsRegular() {
			return os.Rename(path, damagedPath(path))
		}
		return nil // a folder, say: writing will tell
	case err != nil:
		return err
	}
	return keepAs(path, BackupPath(path))
}

// keepAs gives a file a second name, in the place of what has it.
func keepAs(path, kept string) error {
	next := kept + ".new"
	if err := os.Remove(next); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if err := os.Link(path, next); err != nil { // a file system without links
		return copyFile(path, kept)
	}
	return os.Rename(next, kept)
}

func copyFile(from, to string) error {
	src, err := os.Open(from)
	if err != nil {
		return err
	}
	err = atomicfile.Write(to, 0o644, func(w io.Writer) error {
		_, err := io.Copy(w, src)
		return err
	})
	return errors.Join(err, src.Close())
}

// Load reads a gallery file for use with a model, which reads its own embedding space and those in readable, and makes the
// gallery the model's. Errors wrap ErrCorrupt or ErrWrongModel where they apply; the latter names both models.
func Load(path string, model Model, readable ...string) (*Gallery, error) {
	g, err := Read(path)
	if err != nil {
		return nil, err
	}
	made := g.model
	if err := g.adopt(model, readable); err != nil {
		return nil, fmt.Errorf("gallery %s: %w: it was made with %v, the model in use is %v; take the one it was made with, "+
			"move it to the new one with `xbm-agent gallery reembed`, or enroll into a new file", path, err, made, model)
	}
	return g, nil
}

// CheckSame returns an error that wraps ErrWrongModel when another gallery's embeddings cannot be put into this one: they
// are not of one embedding space.
func (g *Gallery) CheckSame(other *Gallery) error {
	if other.model.Space() != g.model.Space() || g.model.Dim != other.model.Dim || len(other.others) > 0 {
		return fmt.Errorf("%w: its model is %v, this gallery's is %v; move it with `xbm-agent gallery reembed`", ErrWrongModel, other.model, g.model)
	}
	return nil
}

// Read reads a gallery file, whatever its model. The pictures stay where they are until they are asked for. In the place
// of a damaged file it takes the state before the last change, and Recovered says so.
func Read(path string) (*Gallery, error) {
	g, err := readFile(path)
	if !errors.Is(err, ErrCorrupt) {
		return g, err
	}
	g, failed := readFile(BackupPath(path))
	if failed != nil {
		return nil, err
	}
	g.recovered = fmt.Errorf("%w; the state before the last change is used, %s", err, BackupPath(path))
	return g, nil
}

func readFile(path string) (*Gallery, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open gallery: %w", err)
	}
	defer file.Close() //nolint:errcheck // only read
	info, err := file.Stat()
	if err != nil {
		return nil, fmt.Errorf("open gallery: %w", err)
	}
	if !info.Mode().IsRegular() || info.Size() > maxFile {
		return nil, fmt.Errorf("gallery %s: not a file of at most %d bytes: %w", path, int64(maxFile), ErrCorrupt)
	}
	g, err := read(file, info.Size())
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		err = corrupt("it ends early")
	}
	if err != nil {
		return nil, fmt.Errorf("gallery %s: %w", path, err)
	}
	g.file = path
	return g, nil
}

// Verify reads all pictures of a gallery file as well, and returns an error for each that is damaged.
func (g *Gallery) Verify() error {
	var faults []error
	for i := range g.things {
		for _, s := range []set{g.things[i].own, g.things[i].rejected} {
			for r := range s.records {
				if _, err := g.crop(&s.records[r]); err != nil && !errors.Is(err, ErrNoCrop) {
					faults = append(faults, fmt.Errorf("%s: %w", g.things[i].ID, err))
				}
			}
		}
	}
	return errors.Join(faults...)
}

// Lock keeps other programs from changing a gallery file until unlock is called, or waits for the one that does. Who
// changes a file reads it under the lock. The file beside it that it takes, with .lock at its end, stays.
func Lock(ctx context.Context, path string) (unlock func() error, err error) {
	lock := flock.New(path+".lock", flock.SetPermissions(0o644))
	if locked, err := lock.TryLockContext(ctx, 20*time.Millisecond); err != nil || !locked {
		return nil, fmt.Errorf("lock gallery %s: %w", path, err)
	}
	return lock.Unlock, nil
}
