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

// clipCommand makes a clip of photos, to try an agent on without a camera.
func clipCommand(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	flags := cli.Flags("xbm-train clip", stderr)
	data := flags.String("data", "", "class folders with the photos to show")
	out := flags.String("out", "", "folder for clip.mjpeg and clip.json")
	every := flags.Int("stranger-every", 4, "one class in so many counts as a stranger, which nobody will enrol; 0: none")
	var o clip.PhotoOptions
	flags.Uint64Var(&o.Seed, "seed", 1, "of the order and the camera's way")
	flags.IntVar(&o.PerClass, "per-class", 4, "photos of each class; 0: all")
	flags.IntVar(&o.Frames, "frames", 12, "frames each photo is shown for")
	flags.IntVar(&o.EmptyEvery, "empty-every", 8, "a bare wall is shown after so many photos; 0: never")
	if err := cli.ParseOnly(flags, args); err != nil {
		return err
	}
	if err := cli.Require(flags, "data", "out"); err != nil {
		return err
	}
	list, err := photos.List(*data)
	if err != nil {
		return err
	}
	o.Strangers = map[string]bool{}
	var classes []string
	for _, p := range list {
		if p.Class != "" && !slices.Contains(classes, p.Class) {
			classes = append(classes, p.Class)
			o.Strangers[p.Class] = *every > 0 && len(classes)%*every == 0
		}
	}
	if err := os.MkdirAll(*out, 0o755); err != nil { //nolint:gosec // a clip of photos the user gave
		return fmt.Errorf("clip: %w", err)
	}
	index, skipped, err := clip.FromPhotos(ctx, filepath.Join(*out, "clip.mjpeg"), list, o)
	if err != nil {
		return err
	}
	for _, s := range skipped {
		fmt.Fprintf(stderr, "left out: %v\n", s.Err)
	}
	if err := index.Write(filepath.Join(*out, "clip.json")); err != nil {
		return err
	}
	fmt.Fprintf(stdout, "%s: %d frames, %d views, %d photos unreadable\n", filepath.Join(*out, "clip.mjpeg"), index.Frames, len(index.Segments), len(skipped))
	return nil
}
