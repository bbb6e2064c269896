package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"

	"xbmedge/convert/internal/report"
	"xbmedge/internal/atomicfile"
	"xbmedge/internal/cli"
	"xbmedge/internal/tflite"
)

// quantizeFlags is the command line of quantize.
type quantizeFlags struct {
	source
	precision
	calib, test, gallery, out, json, html, frames string

	float   bool
	samples int
	seed    uint64
	maxDrop float64
}

func quantizeCommand() cli.Command {
	return cli.Command{
		Name: "quantize", Summary: "write an int8 model, calibrated on photos",
		Long: `Makes a TensorFlow Lite model of a finished run, or with --from of a network
that was made elsewhere: int8 weights per channel and int8 activations per
tensor, calibrated on photos, or a float32 model with --float. It prints the
model's size, recall@1 in float and int8, and the cosine between the two. An
int8 model needs --calib.

When int8 loses more recall@1 than --max-recall-drop, no model is written, and
the exit code is 1; --html and --json are written all the same, to look at.`,
		Examples: `xbm-convert quantize --run runs/1 --calib photos/train --test photos/test --out model.tflite --html report.html
xbm-convert quantize --run runs/1 --float --out float.tflite
xbm-convert quantize --from resnet18.onnx --mean 0.485,0.456,0.406 --std 0.229,0.224,0.225 --calib photos --out model.tflite`,
		Setup: func(f *cli.Flags) cli.Func {
			var o quantizeFlags
			o.source.declare(f)
			f.StringVar(&o.calib, "calib", "", "`FOLDER` of photos to calibrate on, like those the board will see; their labels are not used for it")
			f.StringVar(&o.test, "test", "", "`FOLDER` of class folders to search for; without it every photo of the gallery is searched among the others")
			f.StringVar(&o.gallery, "gallery", "", "`FOLDER` of class folders to search in, instead of --calib")
			f.StringVar(&o.out, "out", "", "the .tflite `FILE` to write")
			f.StringVar(&o.json, "json", "", "also write a report as JSON to this `FILE`")
			f.StringVar(&o.html, "html", "", "also write a report as a page to this `FILE`; it needs nothing beside it")
			f.StringVar(&o.frames, "frames", "", "also write the calibration photos, as they enter the network, to this `FILE`: a NumPy array of uint8 [N, H, W, 3], for other converters")
			f.BoolVar(&o.float, "float", false, "write the float32 model, not an int8 one")
			o.precision.declare(f)
			f.IntVar(&o.samples, "samples", 200, "calibrate on `N` photos drawn from --calib")
			f.Uint64Var(&o.seed, "seed", 1, "`SEED` of the draw")
			f.Float64Var(&o.maxDrop, "max-recall-drop", 0.005, "fail when int8 loses more recall@1 than this `SHARE`; above 0 one test photo is always allowed")
			f.Require("out")
			return o.quantize
		},
	}
}

func (f *quantizeFlags) quantize(ctx context.Context, _ []string, stdout, stderr io.Writer) error {
	if err := errors.Join(f.source.check(), f.precision.check(f.reported())); err != nil {
		return err
	}
	if !f.float && f.calib == "" {
		return cli.Usagef("quantize: --calib missing, or --float")
	}
	if f.samples < 1 || !(f.maxDrop >= 0) { // no number is not a bound either
		return cli.Usagef("--samples must be at least 1 and --max-recall-drop not negative")
	}
	// Asked before the long work, not after it.
	if err := checkOutputs(f.out, f.json, f.html, f.frames); err != nil {
		return err
	}
	if err := tflite.Available(); err != nil {
		return err
	}
	c := conversion{quantizeFlags: *f, stderr: stderr}
	r, file, err := c.convert(ctx)
	if err != nil {
		return err
	}
	drop, over := r.OverBound()
	if over {
		err := refusal(r, drop, f.out)
		r.Failure = err.Error()
		if !f.reported() {
			return fmt.Errorf("%w; --html FILE writes a report to look at", err)
		}
		return errors.Join(err, f.writeReports(ctx, r))
	}
	if err := atomicfile.WriteBytes(f.out, 0o644, file); err != nil {
		return err
	}
	summarise(stdout, r)
	if bound := r.Bound(); drop > 0 && bound > r.MaxRecallDrop {
		fmt.Fprintf(stderr, "warning: int8 loses one of %d test photos, %.4f of recall@1; --max-recall-drop allows %.4f, which takes %.0f test photos to measure\n",
			r.Queries, drop, r.MaxRecallDrop, math.Ceil(1/r.MaxRecallDrop))
	}
	return f.writeReports(ctx, r)
}

// reported says whether a report is asked for.
func (f *quantizeFlags) reported() bool { return f.json != "" || f.html != "" }

func (f *quantizeFlags) writeReports(ctx context.Context, r *report.Report) error {
	if f.json != "" {
		if err := atomicfile.WriteJSON(f.json, 0o644, r); err != nil {
			return err
		}
	}
	if f.html == "" {
		return nil
	}
	return atomicfile.Write(f.html, 0o644, func(w io.Writer) error { return report.WritePage(ctx, w, r) })
}

// checkOutputs refuses files that could not be written; empty names are not asked for.
func checkOutputs(paths ...string) error {
	for _, path := range paths {
		if path == "" {
			continue
		}
		if err := atomicfile.Check(path); err != nil {
			return err
		}
	}
	return nil
}
