package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"

	"xbmedge/internal/cli"
	"xbmedge/training/internal/trainer"
)

// reportFlags is the command line of report.
type reportFlags struct{ run, data, out string }

func reportCommand() cli.Command {
	return cli.Command{
		Name: "report", Summary: "write a run's report as one HTML file",
		Long: `Curves, recall and mAP by class, how far same and different things lie apart, the
hardest photos with what they were taken for, and a map of the embeddings, in one
file that needs no network. fit writes it too, at its end. The photos of test/
are searched for among those of train/; where DATA has no test/, those held back
in training among the others.`,
		Examples: `xbm-train report --run runs/1
xbm-train report --run runs/1 --data photos --out report.html`,
		Setup: func(f *cli.Flags) cli.Func {
			var o reportFlags
			f.StringVar(&o.run, "run", "", "`FOLDER` of a run")
			f.StringVar(&o.data, "data", "", "`FOLDER` of photos; the run's own unless given")
			f.StringVar(&o.out, "out", "", "`FILE` to write; report.html in the run's folder unless given")
			return o.report
		},
	}
}

func (f *reportFlags) report(ctx context.Context, _ []string, stdout, stderr io.Writer) error {
	if f.run == "" {
		return cli.Usagef("report needs --run")
	}
	if f.out == "" {
		f.out = filepath.Join(f.run, trainer.ReportFile)
	}
	if err := trainer.Report(ctx, f.run, f.data, f.out, slog.New(slog.NewTextHandler(stderr, nil))); err != nil {
		return err
	}
	fmt.Fprintln(stdout, f.out)
	return nil
}
