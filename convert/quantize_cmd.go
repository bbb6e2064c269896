package main

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"

	"xbmedge/convert/internal/report"
	"xbmedge/internal/atomicfile"
	"xbmedge/internal/cli"
	"xbmedge/internal/nn"
	"xbmedge/internal/photos"
	"xbmedge/internal/quantize"
	"xbmedge/internal/tflite"
	"xbmedge/internal/tflitefile"
	"xbmedge/internal/vision"
)

// quantizeFlags is the command line of quantize.
type quantizeFlags struct {
	run, calib, test, gallery, out, json string
	float                                bool
	samples                              int
	seed                                 uint64
	maxDrop                              float64
}

// summary is what --json writes.
type summary struct {
	Model      string `json:"model"`
	Type       string `json:"type"` // int8 or float32
	ModelBytes int    `json:"model_bytes"`
	Samples    int    `json:"samples"` // calibration photos used
	report.Result
}

func quantizeCommand() cli.Command {
	return cli.Command{
		Name: "quantize", Summary: "write an int8 model, calibrated on photos",
		Long: `Makes a TensorFlow Lite model of a finished run: int8 weights per channel and
int8 activations per tensor, calibrated on photos, or a float32 model with
--float. It prints the model's size, recall@1 in float and int8, and the cosine
between the two, and writes nothing when int8 loses more than
--max-recall-drop. An int8 model needs --calib.`,
		Examples: `xbm-convert quantize --run runs/1 --calib photos/train --test photos/test --out model.tflite
xbm-convert quantize --run runs/1 --float --out float.tflite`,
		Setup: func(f *cli.Flags) cli.Func {
			var o quantizeFlags
			f.StringVar(&o.run, "run", "", "`FOLDER` of a finished run, from xbm-train fit")
			f.StringVar(&o.calib, "calib", "", "`FOLDER` of photos to calibrate on, like those the board will see; their labels are not used for it")
			f.StringVar(&o.test, "test", "", "`FOLDER` of class folders to search for; without it every photo of the gallery is searched among the others")
			f.StringVar(&o.gallery, "gallery", "", "`FOLDER` of class folders to search in, instead of --calib")
			f.StringVar(&o.out, "out", "", "the .tflite `FILE` to write")
			f.StringVar(&o.json, "json", "", "also write the figures to this `FILE`")
			f.BoolVar(&o.float, "float", false, "write the float32 model, not an int8 one")
			f.IntVar(&o.samples, "samples", 200, "calibrate on `N` photos drawn from --calib")
			f.Uint64Var(&o.seed, "seed", 1, "`SEED` of the draw")
			f.Float64Var(&o.maxDrop, "max-recall-drop", 0.01, "fail when int8 loses more recall@1 than this `SHARE`")
			f.Require("run", "out")
			return o.quantize
		},
	}
}

func (f *quantizeFlags) quantize(ctx context.Context, _ []string, stdout, stderr io.Writer) error {
	if !f.float && f.calib == "" {
		return cli.Usagef("quantize: --calib missing, or --float")
	}
	if f.samples < 1 || !(f.maxDrop >= 0) { // no number is not a bound either
		return cli.Usagef("--samples must be at least 1 and --max-recall-drop not negative")
	}
	// Asked before the long work, not after it.
	if err := checkOutputs(f.out, f.json); err != nil {
		return err
	}
	if err := tflite.Available(); err != nil {
		return err
	}
	c := conversion{quantizeFlags: *f, stderr: stderr}
	s, file, err := c.convert(ctx)
	if err != nil {
		return err
	}
	if err := atomicfile.WriteBytes(f.out, 0o644, file); err != nil {
		return err
	}
	s.print(stdout)
	if f.json == "" {
		return nil
	}
	return atomicfile.WriteJSON(f.json, 0o644, s)
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

// conversion is one run of the command.
type conversion struct {
	quantizeFlags
	stderr io.Writer
}

func (c *conversion) convert(ctx context.Context) (*summary, []byte, error) {
	net, w, err := nn.ReadNetwork(c.run)
	if err != nil {
		return nil, nil, err
	}
	trunk, err := fixedTrunk(c.run)
	if err != nil {
		return nil, nil, err
	}
	galleryPhotos, queryPhotos, calibPhotos, err := c.list()
	if err != nil {
		return nil, nil, err
	}
	m, err := tflitefile.FromNetwork(net, w, tflitefile.Options{})
	if err != nil {
		return nil, nil, err
	}
	floatFile, err := tflitefile.Encode(m)
	if err != nil {
		return nil, nil, err
	}
	s := &summary{Model: net.Name, Type: "float32", ModelBytes: len(floatFile)}
	if c.float {
		return s, floatFile, c.measure(ctx, s, floatFile, nil, galleryPhotos, queryPhotos)
	}
	frames, err := c.sample(ctx, calibPhotos, net.Input)
	if err != nil {
		return nil, nil, err
	}
	cal, err := quantize.Calibrate(ctx, net, w, frames)
	if err != nil {
		return nil, nil, err
	}
	opt := quantize.Options{Fixed: trunk}
	q, _, err := quantize.Quantize(net, w, cal, opt)
	if err != nil {
		return nil, nil, err
	}
	file, err := tflitefile.Encode(q)
	if err != nil {
		return nil, nil, err
	}
	s.Type, s.ModelBytes, s.Samples = "int8", len(file), len(frames)
	if err := c.measure(ctx, s, floatFile, file, galleryPhotos, queryPhotos); err != nil {
		return nil, nil, err
	}
	if drop, over := s.overBound(c.maxDrop); over {
		return nil, nil, c.refuse(ctx, drop, net, w, cal, opt, frames)
	}
	return s, file, nil
}

// list returns the photos of the three folders; gallery and queries are empty where there is nothing to measure on.
func (c *conversion) list() (gallery, queries, calib []photos.Photo, err error) {
	if c.calib != "" {
		if calib, err = photos.List(c.calib); err != nil {
			return nil, nil, nil, err
		}
		gallery = calib
	}
	if c.gallery != "" {
		if gallery, err = photos.List(c.gallery); err != nil {
			return nil, nil, nil, err
		}
	}
	if c.test == "" {
		return gallery, nil, calib, nil
	}
	if len(gallery) == 0 {
		return nil, nil, nil, cli.Usagef("--test needs a --gallery or --calib to search in")
	}
	queries, err = photos.List(c.test)
	return gallery, queries, calib, err
}

// sample draws the calibration photos and brings them to the network's input size. Photos that cannot be read are
// reported and left out.
func (c *conversion) sample(ctx context.Context, all []photos.Photo, input nn.Shape) ([]vision.Frame, error) {
	rng := rand.New(rand.NewPCG(c.seed, 0))
	all = slices.Clone(all) // it may be the gallery as well
	rng.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	drawn := all[:min(c.samples, len(all))]
	prepare := vision.NewPreprocessor(input.W, input.H)
	frames := make([]vision.Frame, len(drawn))
	var failed error
	skipped, err := photos.Load(ctx, drawn, 0, func(i int, f vision.Frame) {
		small, err := prepare.Resize(f)
		if err != nil {
			failed = err
			return
		}
		frames[i] = vision.NewFrame(small.Width, small.Height)
		copy(frames[i].Pix, small.Pix)
	})
	if err != nil {
		return nil, err
	}
	if failed != nil {
		return nil, failed
	}
	for _, s := range skipped {
		fmt.Fprintf(c.stderr, "skipped for calibration: %v\n", s.Err)
	}
	kept := frames[:0]
	for _, f := range frames {
		if f.Pix != nil {
			kept = append(kept, f)
		}
	}
	return kept, nil
}

func (c *conversion) measure(ctx context.Context, s *summary, floatFile, int8File []byte, gallery, queries []photos.Photo) error {
	if len(gallery) == 0 {
		return nil
	}
	r, err := report.Measure(ctx, floatFile, int8File, gallery, queries)
	if err != nil {
		return err
	}
	for _, message := range r.SkippedMessages {
		fmt.Fprintf(c.stderr, "skipped: %s\n", message)
	}
	s.Result = *r
	return nil
}

// refuse says why no file is written, and which layer to look at.
func (c *conversion) refuse(ctx context.Context, drop float64, net *nn.Network, w nn.Weights, cal *quantize.Calibration, opt quantize.Options, frames []vision.Frame) error {
	layers, err := quantize.Diagnose(ctx, net, w, cal, opt, frames[:min(len(frames), 32)])
	if err != nil {
		return err
	}
	worst := layers[0]
	for _, l := range layers {
		if l.Added > worst.Added {
			worst = l
		}
	}
	return fmt.Errorf("int8 loses %.4f of recall@1, more than the %.4f that --max-recall-drop allows, so %s is not written; "+
		"layer %s adds most of the error (noise %.1f %% of its signal): calibrate on more or more typical photos, or train longer",
		drop, c.maxDrop, c.out, worst.Name, 100*worst.Noise)
}
