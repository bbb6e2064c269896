// Package photos finds the pictures in a folder and reads them. A sub-folder is a class; its name is what its photos
// show.
package photos

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"

	"xbmedge/internal/vision"
)

// Photo is one picture file.
type Photo struct {
	Path  string
	Class string // the folder relative to the listed one, with slashes; "" for a picture directly in it
}

// ErrEmpty is wrapped by the error of List when a folder holds no picture.
var ErrEmpty = errors.New("no JPEG or PNG pictures")

// List returns the JPEG and PNG files (by extension, upper or lower case) in root and its sub-folders, sorted by class
// and then by path, so that the order is the same on every machine. Names that begin with a dot are passed over;
// symbolic links are followed, but not in circles. A folder without pictures is an error.
func List(root string) ([]Photo, error) {
	info, err := os.Stat(root)
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("list photos: there is no folder %s (%w)", root, os.ErrNotExist)
	}
	if err != nil {
		return nil, fmt.Errorf("list photos: %w", err)
	}
	if !info.IsDir() {
		return nil, fmt.Errorf("list photos: %s is a file; name the folder that holds the photos", root)
	}
	found, err := list(nil, root, "", []os.FileInfo{info})
	if err != nil {
		return nil, fmt.Errorf("list photos: %w", err)
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("list photos: %s holds %w; put them there, or in one sub-folder a class", root, ErrEmpty)
	}
	slices.SortFunc(found, func(a, b Photo) int {
		if c := strings.Compare(a.Class, b.Class); c != 0 {
			return c
		}
		return strings.Compare(a.Path, b.Path)
	})
	return found, nil
}

// list appends the photos under folder. ancestors are the folders on the way to it, itself included: a link to one of
// them would go round for ever.
func list(found []Photo, folder, class string, ancestors []os.FileInfo) ([]Photo, error) {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return nil, err
	}
	for _, entry := range entries {
		if strings.HasPrefix(entry.Name(), ".") {
			continue
		}
		name := filepath.Join(folder, entry.Name())
		info, err := os.Stat(name) // of what a link points to
		if entry.Type()&os.ModeSymlink != 0 && (errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ELOOP)) {
			continue // a link that leads nowhere, or to itself, is no photo
		}
		if err != nil {
			return nil, err
		}
		switch {
		case info.IsDir():
			if slices.ContainsFunc(ancestors, func(a os.FileInfo) bool { return os.SameFile(a, info) }) {
				continue
			}
			// Clipped, so that siblings do not write into one another's list.
			below := append(slices.Clip(ancestors), info)
			if found, err = list(found, name, path.Join(class, entry.Name()), below); err != nil {
				return nil, err
			}
		case info.Mode().IsRegular() && IsPicture(entry.Name()):
			found = append(found, Photo{Path: name, Class: class})
		}
	}
	return found, nil
}

// IsPicture reports whether a file is a picture by the extension of its name.
func IsPicture(name string) bool {
	switch strings.ToLower(filepath.Ext(name)) {
	case ".jpg", ".jpeg", ".png":
		return true
	}
	return false
}

// Skipped is a photo that could not be read, and why. Err names the file.
type Skipped struct {
	Path string
	Err  error
}

// Load decodes the photos on that many goroutines (as many as there are processors when workers is not positive) and
// calls use with the index of each photo and its pixels, which use may keep. Calls of use come one at a time, in no
// particular order, on other goroutines than the caller's; all are over when Load returns. At most workers frames are
// held at once.
//
// A photo that cannot be decoded is skipped and reported, in the order of photos. It is an error when none can be, or
// when ctx is done before all are read.
func Load(ctx context.Context, photos []Photo, workers int, use func(i int, f vision.Frame)) ([]Skipped, error) {
	var using sync.Mutex
	return Each(ctx, photos, workers, func(i int) error {
		frame, err := vision.DecodeFile(photos[i].Path)
		if err != nil {
			return err
		}
		using.Lock()
		defer using.Unlock()
		use(i, frame)
		return nil
	})
}

// Each is Load for a read that does the whole of the work: it is called with the index of each photo, on several
// goroutines at once, and the photos for which it returns an error, which names the file, are the ones skipped. An
// error that ctx was cancelled with (context.WithCancelCause) comes back as the reason for stopping.
func Each(ctx context.Context, photos []Photo, workers int, read func(i int) error) ([]Skipped, error) {
	if workers <= 0 {
		workers = runtime.GOMAXPROCS(0)
	}
	next := make(chan int) // unbuffered: a worker takes an index when it is free
	failures := make([]error, len(photos))
	var group sync.WaitGroup
	for range min(workers, len(photos)) {
		group.Go(func() {
			for i := range next {
				failures[i] = read(i)
			}
		})
	}
	// Asked first: select alone would go on half the time while a worker is waiting.
	for i := 0; i < len(photos) && ctx.Err() == nil; i++ {
		select {
		case next <- i:
		case <-ctx.Done():
		}
	}
	close(next)
	group.Wait()

	var skipped []Skipped
	for i, err := range failures {
		if err != nil {
			skipped = append(skipped, Skipped{Path: photos[i].Path, Err: err})
		}
	}
	if stopped := context.Cause(ctx); stopped != nil {
		return skipped, fmt.Errorf("load photos: stopped before all were read: %w", stopped)
	}
	if len(skipped) > 0 && len(skipped) == len(photos) {
		return skipped, fmt.Errorf("load photos: none of %d could be read, the first because: %w", len(photos), skipped[0].Err)
	}
	return skipped, nil
}
