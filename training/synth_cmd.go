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

func synthCommand() cli.Command {
	return cli.Command{
		Name: "synth", Summary: "make a data set of drawn products and a clip, to try things with",
		Long: `Draws things and takes photos of them for train/ and test/, and films a clip in
which they and strangers, which are in no class of train/, come and go. Equal
seeds give equal files.`,
		Examples: "xbm-train synth --out products --products 20",
		Setup: func(f *cli.Flags) cli.Func {
			o := synth.DefaultOptions("")
			f.StringVar(&o.Dir, "out", o.Dir, "`FOLDER` of the new data set")
			f.BoolVar(&o.Replace, "replace", o.Replace, "replace a data set that an earlier call made there")
			f.Uint64Var(&o.Seed, "seed", o.Seed, "`SEED` of all that is random")
			f.IntVar(&o.Products, "products", o.Products, "`N` things to train on and enrol")
			f.IntVar(&o.Strangers, "strangers", o.Strangers, "`N` things that are in the clip and in strangers/ only")
			f.IntVar(&o.TrainViews, "train-views", o.TrainViews, "`N` photos of each product in train/")
			f.IntVar(&o.TestViews, "test-views", o.TestViews, "`N` other photos of each in test/ and strangers/")
			f.IntVar(&o.Size, "size", o.Size, "width and height of a photo in `PIXELS`")
			f.IntVar(&o.ClipSegments, "clip-segments", o.ClipSegments, "`N` things shown in the clip one after another, empty scenes included; 0: no clip")
			f.IntVar(&o.SegmentFrames, "segment-frames", o.SegmentFrames, "mean length of a segment, in `FRAMES` of 1/25 s")
			f.IntVar(&o.Workers, "workers", o.Workers, "`N` goroutines; 0: one for each processor")
			f.Require("out")
			return func(ctx context.Context, _ []string, stdout, stderr io.Writer) error {
				if err := o.Validate(); err != nil {
					return cli.Usagef("synth: %w", err)
				}
				return drawProducts(ctx, o, stdout, stderr)
			}
		},
	}
}

func drawProducts(ctx context.Context, o synth.Options, stdout, stderr io.Writer) error {
	if err := synth.Generate(ctx, o, slog.New(slog.NewTextHandler(stderr, nil))); err != nil {
		return err
	}
	text := fmt.Sprintf("%s: %d products × %d photos in %s/, %d in %s/, %d strangers in %s/\n", o.Dir,
		o.Products, o.TrainViews, synth.TrainFolder, o.TestViews, synth.TestFolder, o.Strangers, synth.StrangerFolder)
	if o.ClipSegments > 0 {
		text += fmt.Sprintf("%s: a clip of %d segments, listed in %s\n", filepath.Join(o.Dir, synth.ClipFile), o.ClipSegments, synth.ClipIndexFile)
	}
	_, err := io.WriteString(stdout, text)
	return err
}
