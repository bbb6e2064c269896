package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"

	"xbmedge/internal/atomicfile"
	"xbmedge/internal/cli"
	"xbmedge/internal/photos"
	"xbmedge/training/internal/trainer"
)

// evalFlags is the command line of eval.
type evalFlags struct{ run, data, gallery, queries, json string }

func evalCommand() cli.Command {
	return cli.Command{
		Name: "eval", Summary: "measure retrieval on photos the run has not seen",
		Long: `Searches for each test photo among the training photos and prints recall@1,
recall@5 and mAP, in float. It needs --data, or --gallery and --queries in its
place.`,
		Examples: `xbm-train eval --run runs/1 --data photos
xbm-train eval --run runs/1 --gallery photos/train --queries photos/test`,
		Setup: func(f *cli.Flags) cli.Func {
			var o evalFlags
			f.StringVar(&o.run, "run", "", "`FOLDER` of a run")
			f.StringVar(&o.data, "data", "", "`FOLDER` with train/ (the gallery) and test/ (the queries) in it")
			f.StringVar(&o.gallery, "gallery", "", "`FOLDER` of class folders to search in, instead of train/")
			f.StringVar(&o.queries, "queries", "", "`FOLDER` of class folders to search for, instead of test/")
			f.StringVar(&o.json, "json", "", "also write the result to this `FILE`")
			return o.eval
		},
	}
}

func (f *evalFlags) eval(ctx context.Context, _ []string, stdout, stderr io.Writer) error {
	if f.gallery == "" && f.data != "" {
		f.gallery = filepath.Join(f.data, "train")
	}
	if f.queries == "" && f.data != "" {
		f.queries = filepath.Join(f.data, "test")
	}
	if f.run == "" || f.gallery == "" || f.queries == "" {
		return cli.Usagef("eval needs --run and --data, or --gallery and --queries in its place")
	}
	galleryPhotos, err := photos.List(f.gallery)
	if err != nil {
		return err
	}
	queryPhotos, err := photos.List(f.queries)
	if err != nil {
		return err
	}
	e, err := trainer.Evaluate(ctx, f.run, galleryPhotos, queryPhotos, slog.New(slog.NewTextHandler(stderr, nil)))
	if err != nil {
		return err
	}
	fmt.Fprintf(stdout, "recall@1 %.4f  recall@5 %.4f  mAP %.4f  (%d queries against %d photos", e.RecallAt1, e.RecallAt5, e.MAP, e.Queries, e.Gallery)
	if e.Skipped > 0 {
		fmt.Fprintf(stdout, ", %d unreadable", e.Skipped)
	}
	fmt.Fprintln(stdout, ")")
	if f.json == "" {
		return nil
	}
	return atomicfile.WriteJSON(f.json, 0o644, e)
}
