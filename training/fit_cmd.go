package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"

	"xbmedge/internal/atomicfile"
	"xbmedge/internal/cli"
	"xbmedge/internal/conf"
	"xbmedge/training/internal/pretrained"
	"xbmedge/training/internal/trainer"
)

// fitFlags is the command line of fit.
type fitFlags struct {
	data, out, config, weights, compatible, resume, json string
	set                                                  cli.Settings
}

// photosUsage is what --data takes, in words.
const photosUsage = "`FILE` or folder with the photos: class folders, or train/ with them in it; Stanford Online Products; or a list with a path and the number of a class in each line"

func fitCommand() cli.Command {
	return cli.Command{
		Name: "fit", Summary: "train, or go on with a stopped run",
		Long: `Trains on the photos of --data and keeps configuration, checkpoints, metrics
and the trained network in the folder --out. A run that was stopped goes on
with --resume and ends with the very weights an undisturbed one would have.

Every key of the configuration is in configs/train.yaml. Environment variables
win over the file (XBM_TRAIN_XBM_SIZE sets xbm.size), and --set over both. On
--resume, --set changes optimizer, schedule, loss, backend and workers.`,
		Examples: `xbm-train fit --config configs/train-folder.yaml --data photos --out runs/1
xbm-train fit --config configs/train-mobile.yaml --weights w.safetensors --data photos --out runs/2
xbm-train fit --config configs/train-folder.yaml --compatible-with board.tflite --data photos --out runs/3
xbm-train fit --resume runs/1 --set schedule.steps=1200`,
		Setup: func(f *cli.Flags) cli.Func {
			var o fitFlags
			f.StringVar(&o.data, "data", "", photosUsage)
			f.StringVar(&o.out, "out", "", "`FOLDER` of the new run")
			f.StringVar(&o.config, "config", "", "YAML `FILE`; see configs/train.yaml")
			f.StringVar(&o.weights, "weights", "", "`FILE` with pretrained weights of the backbone, or the name of some that weights get has fetched")
			f.StringVar(&o.compatible, "compatible-with", "", "older `MODEL` (.tflite, or the folder of a run) whose galleries the new one shall find its way in")
			f.StringVar(&o.resume, "resume", "", "`FOLDER` of a run to go on with; of the other flags only --set may be given")
			f.StringVar(&o.json, "json", "", "also write the result to this `FILE`")
			f.Var(&o.set, "set", "`KEY=VALUE`: set a key of the configuration, such as a.b; may be given several times")
			return o.fit
		},
	}
}

func (f *fitFlags) fit(ctx context.Context, _ []string, stdout, stderr io.Writer) error {
	log := slog.New(slog.NewTextHandler(stderr, nil))
	progress := newProgress(stdout)
	if f.json != "" { // before hours of work
		if err := atomicfile.Check(f.json); err != nil {
			return err
		}
	}
	var result *trainer.Result
	var err error
	switch {
	case f.resume != "" && (f.data != "" || f.out != "" || f.config != "" || f.weights != "" || f.compatible != ""):
		return cli.Usagef("--resume goes on with the run's own data and configuration; leave the other flags away")
	case f.resume != "":
		var change func(*trainer.Config) error
		if len(f.set) > 0 {
			change = func(c *trainer.Config) error { return conf.Load("", c, "", f.set...) }
		}
		result, err = trainer.Resume(ctx, f.resume, cli.Version(), change, progress, log)
	case f.data == "" || f.out == "":
		return cli.Usagef("fit needs --data and --out, or --resume")
	default:
		d := trainer.Description{Config: trainer.DefaultConfig(), Version: cli.Version()}
		if d.Data, err = filepath.Abs(f.data); err != nil {
			return err
		}
		if f.weights != "" {
			file, err := weightsFile(f.weights)
			if err != nil {
				return err
			}
			f.set = append(f.set, "network.weights="+file)
		}
		if f.compatible != "" {
			f.set = append(f.set, "compatible.model="+f.compatible)
		}
		if err := conf.Load(f.config, &d.Config, "XBM_TRAIN", f.set...); err != nil {
			return err
		}
		if err := d.Config.ResolvePaths(); err != nil {
			return err
		}
		result, err = trainer.Start(ctx, d, f.out, progress, log)
	}
	progress.end()
	if err != nil {
		return err
	}
	if f.json != "" {
		if err := atomicfile.WriteJSON(f.json, 0o644, result); err != nil {
			return err
		}
	}
	unreadable := ""
	if result.Skipped > 0 {
		unreadable = fmt.Sprintf(", %d unreadable", result.Skipped)
	}
	_, err = fmt.Fprintf(stdout, "best: recall@1 %.4f, mAP %.4f at step %d; %d photos%s, %.0f s\n",
		result.Best.RecallAt1, result.Best.MAP, result.Best.Step, result.Photos, unreadable, result.Seconds)
	return err
}

// weightsFile is the file of weights given as a path, or by the name under which they are known.
func weightsFile(name string) (string, error) {
	known := slices.IndexFunc(pretrained.List(), func(w pretrained.Weights) bool { return w.Name == name })
	if known < 0 || exists(name) {
		return name, nil
	}
	folder, err := pretrained.Folder()
	if err != nil {
		return "", err
	}
	file := filepath.Join(folder, pretrained.List()[known].File())
	if !exists(file) {
		return "", fmt.Errorf("the weights %s are not here yet: fetch them with xbm-train weights get %s", name, name)
	}
	return file, nil
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
