package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"

	"xbmedge/internal/cli"
	"xbmedge/training/internal/synth"
)

func synthCommand(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	flags := cli.Flags("xbm-train synth", stderr)
	o := synth.DefaultOptions("")
	flags.StringVar(&o.Dir, "out", o.Dir, "folder of the new data set")
	flags.BoolVar(&o.Replace, "replace", o.Replace, "replace a data set that an earlier call made there")
	flags.Uint64Var(&o.Seed, "seed", o.Seed, "of all that is random; equal seeds give equal files")
	flags.IntVar(&o.Products, "products", o.Products, "things to train on and enrol")
	flags.IntVar(&o.Strangers, "strangers", o.Strangers, "things that are in the clip and in strangers/ only")
	flags.IntVar(&o.TrainViews, "train-views", o.TrainViews, "photos of each product in train/")
	flags.IntVar(&o.TestViews, "test-views", o.TestViews, "other photos of each in test/ and strangers/")
	flags.IntVar(&o.Size, "size", o.Size, "width and height of a photo in pixels")
	flags.IntVar(&o.ClipSegments, "clip-segments", o.ClipSegments, "things shown in the clip one after another, empty scenes included; 0: no clip")
	flags.IntVar(&o.SegmentFrames, "segment-frames", o.SegmentFrames, "mean length of a segment, in frames of 1/25 s")
	flags.IntVar(&o.Workers, "workers", o.Workers, "goroutines; 0: one for each processor")
	if err := cli.ParseOnly(flags, args); err != nil {
		return err
	}
	if err := cli.Require(flags, "out"); err != nil {
		return err
	}
	if err := o.Validate(); err != nil {
		return cli.Usagef("%s: %w", flags.Name(), err)
	}
	if err := synth.Generate(ctx, o, slog.New(slog.NewTextHandler(stderr, nil))); err != nil {
		return err
	}
	fmt.Fprintf(stdout, "%s: %d products × %d photos in %s/, %d in %s/, %d strangers in %s/\n", o.Dir,
		o.Products, o.TrainViews, synth.TrainFolder, o.TestViews, synth.TestFolder, o.Strangers, synth.StrangerFolder)
	if o.ClipSegments > 0 {
		fmt.Fprintf(stdout, "%s: a clip of %d segments, listed in %s\n", filepath.Join(o.Dir, synth.ClipFile), o.ClipSegments, synth.ClipIndexFile)
	}
	return nil
}
