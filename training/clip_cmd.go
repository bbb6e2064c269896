package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"xbmedge/internal/cli"
	"xbmedge/internal/clip"
	"xbmedge/internal/photos"
)

// clipFlags is the command line of clip.
type clipFlags struct {
	data, out string
	every     int
	options   clip.PhotoOptions
}

// clipCommand makes a clip of photos, to try an agent on without a camera.
func clipCommand() cli.Command {
	return cli.Command{
		Name: "clip", Summary: "make a clip of photos to try an agent on",
		Long: `Shows photos one after another, as a camera that moves a little would see them,
and lists in clip.json what is shown when. Some classes count as strangers:
they should not be enrolled, and come out as unknown.`,
		Examples: "xbm-train clip --data photos/test --out clip",
		Setup: func(f *cli.Flags) cli.Func {
			var o clipFlags
			f.StringVar(&o.data, "data", "", "`FOLDER` of class folders with the photos to show")
			f.StringVar(&o.out, "out", "", "`FOLDER` for clip.mjpeg and clip.json")
			f.IntVar(&o.every, "stranger-every", 4, "one class in `N` counts as a stranger, which nobody will enrol; 0: none")
			f.Uint64Var(&o.options.Seed, "seed", 1, "`SEED` of the order and the camera's way")
			f.IntVar(&o.options.PerClass, "per-class", 4, "show `N` photos of each class; 0: all")
			f.IntVar(&o.options.Frames, "frames", 12, "show each photo for `N` frames")
			f.IntVar(&o.options.EmptyEvery, "empty-every", 8, "show a bare wall after every `N` photos; 0: never")
			f.Require("data", "out")
			return o.run
		},
	}
}

func (f *clipFlags) run(ctx context.Context, _ []string, stdout, stderr io.Writer) error {
	o := f.options
	list, err := photos.List(f.data)
	if err != nil {
		return err
	}
	o.Strangers = map[string]bool{}
	var classes []string
	for _, p := range list {
		if p.Class != "" && !slices.Contains(classes, p.Class) {
			classes = append(classes, p.Class)
			o.Strangers[p.Class] = f.every > 0 && len(classes)%f.every == 0
		}
	}
	if err := os.MkdirAll(f.out, 0o755); err != nil { //nolint:gosec // a clip of photos the user gave
		return fmt.Errorf("clip: %w", err)
	}
	index, skipped, err := clip.FromPhotos(ctx, filepath.Join(f.out, "clip.mjpeg"), list, o)
	if err != nil {
		return err
	}
	for _, s := range skipped {
		fmt.Fprintf(stderr, "left out: %v\n", s.Err)
	}
	if err := index.Write(filepath.Join(f.out, "clip.json")); err != nil {
		return err
	}
	_, err = fmt.Fprintf(stdout, "%s: %d frames, %d views, %d photos unreadable\n", filepath.Join(f.out, "clip.mjpeg"), index.Frames, len(index.Segments), len(skipped))
	return err
}
