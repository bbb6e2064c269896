package command

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"xbmedge/agent/internal/control"
	"xbmedge/agent/internal/curator"
	"xbmedge/agent/internal/quality"
	"xbmedge/internal/cli"
	"xbmedge/internal/gallery"
	"xbmedge/internal/photos"
	"xbmedge/internal/vision"
)

// thing is one identity to enroll.
type thing struct {
	name   string
	photos []photos.Photo
}

// findThings lists the pictures: of each sub-folder of dir, or of the files and folders after a name. unread are folders
// that cannot be read, beside others that can.
func findThings(dir string, rest []string) (things []thing, unread []error, err error) {
	if dir != "" {
		if len(rest) > 0 {
			return nil, nil, cli.Usagef("enroll: %q besides --dir", rest[0])
		}
		return byFolder(dir)
	}
	if len(rest) < 2 {
		return nil, nil, cli.Usagef("enroll: want a name and its pictures, or --dir")
	}
	if err := gallery.CheckName(rest[0]); err != nil {
		return nil, nil, cli.Usagef("enroll: %v; name the thing first and then its pictures", err)
	}
	list, err := findPhotos(rest[1:])
	if err != nil {
		return nil, nil, fmt.Errorf("enroll %s: %w", rest[0], err)
	}
	return []thing{{rest[0], list}}, nil, nil
}

// findPhotos lists files, and the pictures in folders.
func findPhotos(paths []string) ([]photos.Photo, error) {
	var found []photos.Photo
	for _, p := range paths {
		info, err := os.Stat(p)
		if err != nil {
			return nil, err
		}
		if !info.IsDir() {
			found = append(found, photos.Photo{Path: p})
			continue
		}
		list, err := photos.List(p)
		if err != nil {
			return nil, err
		}
		found = append(found, list...)
	}
	return found, nil
}

func byFolder(dir string) (things []thing, unread []error, err error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, nil, fmt.Errorf("enroll: %w", err)
	}
	ids := map[string]string{}
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		info, err := os.Stat(path)
		if strings.HasPrefix(e.Name(), ".") || err != nil {
			continue // as for photos.List, a link that leads nowhere is none
		}
		if !info.IsDir() {
			if photos.IsPicture(e.Name()) {
				return nil, nil, fmt.Errorf("enroll: %s lies in no sub-folder of %s; each sub-folder is one thing", path, dir)
			}
			continue
		}
		list, err := photos.List(path)
		if errors.Is(err, photos.ErrEmpty) {
			continue
		}
		if err != nil {
			unread = append(unread, err)
			continue
		}
		for _, p := range list { // sorted by class
			name := strings.ReplaceAll(filepath.ToSlash(filepath.Join(e.Name(), p.Class)), "/", " ")
			if n := len(things); n == 0 || things[n-1].name != name {
				id := gallery.Slug(name)
				if other, taken := ids[id]; taken {
					return nil, nil, fmt.Errorf("enroll: the folders %q and %q would both get the id %s; rename one", other, name, id)
				}
				ids[id] = name
				things = append(things, thing{name: name})
			}
			t := &things[len(things)-1]
			t.photos = append(t.photos, p)
		}
	}
	if len(things) == 0 && len(unread) == 0 {
		return nil, nil, fmt.Errorf("enroll: %s: %w in sub-folders of it; each sub-folder is one thing", dir, photos.ErrEmpty)
	}
	return things, unread, nil
}

// load decodes pictures and brings them to the model's size. Those that cannot be used are told.
func load(ctx context.Context, list []photos.Photo, w, h int, force bool) (pictures []control.Picture, refused []curator.Refusal, err error) {
	frames := make([]vision.Frame, len(list))
	small := make([]error, len(list))
	prepare := vision.NewPreprocessor(w, h)
	skipped, err := photos.Load(ctx, list, 0, func(i int, f vision.Frame) {
		if !force {
			small[i] = quality.CheckSize(f, w, h)
		}
		if small[i] == nil {
			var sized vision.Frame
			if sized, small[i] = prepare.Resize(f); small[i] == nil {
				frames[i] = vision.Frame{Width: w, Height: h, Pix: append([]byte(nil), sized.Pix...)}
			}
		}
	})
	if ctx.Err() != nil {
		return nil, nil, err
	}
	for _, s := range skipped {
		refused = append(refused, curator.Refusal{Name: s.Path, Why: s.Err.Error()})
	}
	for i, f := range frames {
		switch {
		case small[i] != nil:
			refused = append(refused, curator.Refusal{Name: list[i].Path, Why: small[i].Error()})
		case f.Pix != nil:
			pictures = append(pictures, control.Picture{Name: list[i].Path, Frame: f})
		}
	}
	return pictures, refused, nil
}
