package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime/debug"
	"slices"
	"time"

	"xbmedge/convert/internal/report"
	"xbmedge/internal/atomicfile"
	"xbmedge/internal/cli"
	"xbmedge/internal/nn"
	"xbmedge/internal/npy"
	"xbmedge/internal/photos"
	"xbmedge/internal/quantize"
	"xbmedge/internal/tflitefile"
	"xbmedge/internal/vision"
)

// conversion is one run of quantize.
type conversion struct {
	quantizeFlags
	stderr io.Writer
}

const (
	diagnosed    = 32 // photos that the layers of both models are compared on
	timingBudget = 400 * time.Millisecond
	// collectAt is the growth of the heap, in percent, at which it is collected: decoded photos are large and soon done
	// with. It measured as a fifth less memory for no more time.
	collectAt = 25
)

// convert returns the model that was asked for and what there is to say about it, whether or not it is good enough.
func (c *conversion) convert(ctx context.Context) (*report.Report, []byte, error) {
	defer debug.SetGCPercent(debug.SetGCPercent(collectAt)) // the inner call runs now
	net, w, err := c.network()
	if err != nil {
		return nil, nil, err
	}
	start := time.Now()
	galleryPhotos, queryPhotos, calibPhotos, err := c.list()
	if err != nil {
		return nil, nil, err
	}
	r := &report.Report{Model: net.Name, Type: "float32", MaxRecallDrop: c.maxDrop}
	if c.float {
		_, file, err := floatModel(net, w)
		if err != nil {
			return nil, nil, err
		}
		r.ModelBytes, r.FloatBytes = len(file), len(file)
		r.Seconds, r.CPUSeconds, r.PeakRSS = time.Since(start).Seconds(), cpuSeconds(), peakRSS()
		return r, file, c.measure(ctx, r, file, nil, galleryPhotos, queryPhotos)
	}
	opt, err := c.options(net)
	if err != nil {
		return nil, nil, err
	}
	frames, err := c.sample(ctx, calibPhotos, net.Input)
	if err != nil {
		return nil, nil, err
	}
	cal, err := quantize.Calibrate(ctx, net, w, frames)
	if err != nil {
		return nil, nil, err
	}
	for _, text := range cal.Warnings {
		fmt.Fprintf(c.stderr, "warning: %s\n", text)
	}
	r.Warnings = cal.Warnings
	c.chooseEmbedding(net, cal, &opt)
	q, err := c.quantise(ctx, net, w, cal, opt)
	if err != nil {
		return nil, nil, err
	}
	file, err := tflitefile.Encode(q.model)
	if err != nil {
		return nil, nil, err
	}
	r.Type, r.ModelBytes, r.Samples = "int8", len(file), len(frames)
	q.describe(r)
	r.Seconds, r.CPUSeconds, r.PeakRSS = time.Since(start).Seconds(), cpuSeconds(), peakRSS()
	m, floatFile, err := floatModel(net, w)
	if err != nil {
		return nil, nil, err
	}
	r.FloatBytes = len(floatFile)
	if err := c.measure(ctx, r, floatFile, file, galleryPhotos, queryPhotos); err != nil {
		return nil, nil, err
	}
	if _, over := r.OverBound(); over || c.reported() {
		found, err := quantize.Diagnose(ctx, net, q.weights, q.cal, q.opt, frames[:min(len(frames), diagnosed)])
		if err != nil {
			return nil, nil, err
		}
		if c.sensitivity {
			if err := q.measureCosts(ctx, net); err != nil {
				return nil, nil, err
			}
		}
		r.Layers = layers(found, q.costs, m)
	}
	return r, file, c.writeFrames(frames)
}

// floatModel returns a network's float model and its file.
func floatModel(net *nn.Network, w nn.Weights) (*tflitefile.Model, []byte, error) {
	m, err := tflitefile.FromNetwork(net, w, tflitefile.Options{})
	if err != nil {
		return nil, nil, err
	}
	file, err := tflitefile.Encode(m)
	return m, file, err
}

// writeFrames writes what was calibrated on, where that is asked for.
func (c *conversion) writeFrames(frames []vision.Frame) error {
	if c.frames == "" {
		return nil
	}
	pixels := make([][]byte, len(frames))
	for i, f := range frames {
		pixels[i] = f.Pix
	}
	return atomicfile.Write(c.frames, 0o644, func(w io.Writer) error {
		return npy.WriteBytes(w, []int{len(frames), frames[0].Height, frames[0].Width, 3}, pixels...)
	})
}

// options says how to quantise.
func (c *conversion) options(net *nn.Network) (quantize.Options, error) {
	opt, err := c.precision.options(net)
	if err == nil && c.run != "" {
		opt.Fixed, err = fixedTrunk(c.run)
	}
	return opt, err
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
// reported and left out; none left is an error.
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
	if err := errors.Join(err, failed); err != nil {
		return nil, fmt.Errorf("calibrate on %s: %w", c.calib, err)
	}
	for _, s := range skipped {
		fmt.Fprintf(c.stderr, "skipped for calibration: %v\n", s.Err)
	}
	frames = slices.DeleteFunc(frames, func(f vision.Frame) bool { return f.Pix == nil })
	return frames, nil
}

// measure fills in what photos tell and, for a report, what the models ask of the machine. int8File may be nil.
func (c *conversion) measure(ctx context.Context, r *report.Report, floatFile, int8File []byte, gallery, queries []photos.Photo) error {
	if c.reported() {
		models := [][]byte{floatFile}
		if int8File != nil {
			models = append(models, int8File)
		}
		profiles, err := report.ProfileModels(ctx, timingBudget, models...)
		if err != nil {
			return err
		}
		r.Float = profiles[0]
		if int8File != nil {
			r.Int8 = profiles[1]
		}
	}
	if len(gallery) == 0 {
		return nil
	}
	result, err := report.Measure(ctx, floatFile, int8File, gallery, queries)
	if err != nil {
		return err
	}
	for _, message := range result.SkippedMessages {
		fmt.Fprintf(c.stderr, "skipped: %s\n", message)
	}
	r.Result = *result
	return nil
}
