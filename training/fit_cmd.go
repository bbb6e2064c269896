package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"

	"xbmedge/internal/atomicfile"
	"xbmedge/internal/cli"
	"xbmedge/internal/conf"
	"xbmedge/training/internal/trainer"
)

func fitCommand(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	flags := cli.Flags("xbm-train fit", stderr)
	var set cli.Settings
	data := flags.String("data", "", "folder of class folders, or one with train/ in it")
	out := flags.String("out", "", "folder of the new run")
	config := flags.String("config", "", "YAML file; see configs/train.yaml")
	weights := flags.String("weights", "", "pretrained weights of the backbone; short for --set network.weights=FILE")
	resume := flags.String("resume", "", "folder of a run to go on with; no other flag is needed")
	summary := flags.String("json", "", "also write the result to this file")
	flags.Var(&set, "set", "a.b=value: set a key of the configuration; may be given several times")
	if err := cli.ParseOnly(flags, args); err != nil {
		return err
	}
	log := slog.New(slog.NewTextHandler(stderr, nil))
	progress := newProgress(stdout)
	var result *trainer.Result
	var err error
	switch {
	case *resume != "" && (*data != "" || *out != "" || *config != "" || *weights != "" || len(set) > 0):
		return cli.Usagef("--resume goes on with the run's own data and configuration; leave the other flags away")
	case *resume != "":
		result, err = trainer.Resume(ctx, *resume, progress, log)
	case *data == "" || *out == "":
		return cli.Usagef("fit needs --data and --out, or --resume")
	default:
		d := trainer.Description{Config: trainer.DefaultConfig()}
		if d.Data, err = filepath.Abs(*data); err != nil {
			return err
		}
		if *weights != "" {
			set = append(set, "network.weights="+*weights)
		}
		if err := conf.Load(*config, &d.Config, "XBM_TRAIN", set...); err != nil {
			return err
		}
		if w := &d.Config.Network.Weights; *w != "" {
			if *w, err = filepath.Abs(*w); err != nil {
				return err
			}
		}
		result, err = trainer.Start(ctx, d, *out, progress, log)
	}
	progress.end()
	if err != nil {
		return err
	}
	fmt.Fprintf(stdout, "best: recall@1 %.4f, mAP %.4f at step %d; %d photos", result.Best.RecallAt1, result.Best.MAP, result.Best.Step, result.Photos)
	if result.Skipped > 0 {
		fmt.Fprintf(stdout, ", %d unreadable", result.Skipped)
	}
	fmt.Fprintf(stdout, ", %.0f s\n", result.Seconds)
	if *summary == "" {
		return nil
	}
	return atomicfile.WriteJSON(*summary, 0o644, result)
}
