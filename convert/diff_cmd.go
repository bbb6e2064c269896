package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"

	"xbmedge/convert/internal/report"
	"xbmedge/internal/bundle"
	"xbmedge/internal/cli"
	"xbmedge/internal/photos"
)

func diffCommand() cli.Command {
	return cli.Command{
		Name: "diff", Args: "OLD-FILE NEW-FILE", Summary: "compare two bundles or models",
		Long: `Tells in what two bundles, or bare .tflite models, differ: manifest, operators and
tensors. With photos it also measures recall@1 of the old model, of the new one, and
of queries by the new model in a gallery by the old one, which is what a board does
that takes the new bundle and keeps its gallery.`,
		Examples: "xbm-convert diff shelf-1.xbm shelf-2.xbm --gallery photos/train --queries photos/test",
		Setup: func(f *cli.Flags) cli.Func {
			gallery := f.String("gallery", "", "`FOLDER` of class folders to search in")
			queries := f.String("queries", "", "`FOLDER` of class folders to search for")
			asJSON := f.Bool("json", false, "print JSON")
			clock := f.Bool("time", false, "also time a frame with both, in turns")
			return func(ctx context.Context, files []string, stdout, stderr io.Writer) error {
				if len(files) != 2 || (*gallery == "") != (*queries == "") {
					return cli.Usagef("diff takes two files, and --gallery and --queries together")
				}
				return diff(ctx, files, diffOptions{*gallery, *queries, *clock, *asJSON}, stdout, stderr)
			}
		},
	}
}

// side is one of the two that are compared.
type side struct {
	path  string
	model []byte
	info  bundle.ModelInfo
}

type diffOptions struct {
	gallery, queries string // empty: recall is not measured
	clock, asJSON    bool
}

func diff(ctx context.Context, files []string, opt diffOptions, stdout, stderr io.Writer) error {
	var sides [2]side
	for i, path := range files {
		model, info, err := bundle.LoadModel(path)
		if err != nil {
			return err
		}
		sides[i] = side{path, model, info}
	}
	d, err := compareModels(&sides[0], &sides[1])
	if err != nil {
		return err
	}
	if opt.gallery != "" {
		g, err := photos.List(opt.gallery)
		if err != nil {
			return err
		}
		q, err := photos.List(opt.queries)
		if err != nil {
			return err
		}
		if d.Recall, err = crossRecall(ctx, sides[0].model, sides[1].model, g, q, stderr); err != nil {
			return err
		}
	}
	if opt.clock {
		profiles, err := report.ProfileModels(ctx, timingBudget, sides[0].model, sides[1].model)
		if err != nil {
			return err
		}
		d.Timings = &timings{profiles[0].Timings, profiles[1].Timings}
	}
	if opt.asJSON {
		return json.NewEncoder(stdout).Encode(d)
	}
	return d.write(stdout)
}

// change is a property in which the two differ.
type change struct {
	What string `json:"what"`
	Old  string `json:"old"`
	New  string `json:"new"`
}

// difference is what diff found.
type difference struct {
	Old       string   `json:"old"`
	New       string   `json:"new"`
	SameModel bool     `json:"same_model"`
	ReadsOld  bool     `json:"reads_old_galleries"` // the new one does, by what its manifest says
	Changes   []change `json:"changes"`
	Recall    *recalls `json:"recall,omitempty"`
	Timings   *timings `json:"timings,omitempty"`
}

func (d *difference) write(w io.Writer) error {
	if d.SameModel {
		fmt.Fprintln(w, "the models are the same, byte for byte")
	}
	for _, c := range d.Changes {
		fmt.Fprintf(w, "%s: %s → %s\n", c.What, c.Old, c.New)
	}
	if len(d.Changes) == 0 {
		fmt.Fprintln(w, "nothing else differs")
	}
	if d.ReadsOld {
		fmt.Fprintln(w, "the new model reads galleries of the old one")
	} else {
		fmt.Fprintln(w, "the new model does not read galleries of the old one, by what it says")
	}
	if d.Timings != nil {
		for i, t := range d.Timings.Old {
			fmt.Fprintf(w, "a frame      threads: %d, old %.2f ms, new %.2f ms\n", t.Threads, t.Median, d.Timings.New[i].Median)
		}
	}
	if d.Recall == nil {
		return nil
	}
	return d.Recall.write(w)
}

// timings are those of the two models, on 1, 2, … threads of this machine.
type timings struct {
	Old []report.Timing `json:"old"`
	New []report.Timing `json:"new"`
}
