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

func evalCommand(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	flags := cli.Flags("xbm-train eval", stderr)
	run := flags.String("run", "", "folder of a run")
	data := flags.String("data", "", "folder with train/ (the gallery) and test/ (the queries) in it")
	gallery := flags.String("gallery", "", "class folders to search in, instead of train/")
	queries := flags.String("queries", "", "class folders to search for, instead of test/")
	summary := flags.String("json", "", "also write the result to this file")
	if err := cli.ParseOnly(flags, args); err != nil {
		return err
	}
	if *gallery == "" && *data != "" {
		*gallery = filepath.Join(*data, "train")
	}
	if *queries == "" && *data != "" {
		*queries = filepath.Join(*data, "test")
	}
	if *run == "" || *gallery == "" || *queries == "" {
		return cli.Usagef("eval needs --run and --data, or --gallery and --queries in its place")
	}
	galleryPhotos, err := photos.List(*gallery)
	if err != nil {
		return err
	}
	queryPhotos, err := photos.List(*queries)
	if err != nil {
		return err
	}
	e, err := trainer.Evaluate(ctx, *run, galleryPhotos, queryPhotos, slog.New(slog.NewTextHandler(stderr, nil)))
	if err != nil {
		return err
	}
	fmt.Fprintf(stdout, "recall@1 %.4f  recall@5 %.4f  mAP %.4f  (%d queries against %d photos", e.RecallAt1, e.RecallAt5, e.MAP, e.Queries, e.Gallery)
	if e.Skipped > 0 {
		fmt.Fprintf(stdout, ", %d unreadable", e.Skipped)
	}
	fmt.Fprintln(stdout, ")")
	if *summary == "" {
		return nil
	}
	return atomicfile.WriteJSON(*summary, 0o644, e)
}
