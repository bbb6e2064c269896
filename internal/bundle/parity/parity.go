// Package parity shows that a machine computes with a bundle's model what the host computed that made the bundle: it runs
// the golden images as a camera's frames are run, and compares the output value by value.
package parity

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"runtime"

	"xbmedge/internal/bundle"
	"xbmedge/internal/embed"
	"xbmedge/internal/tflite"
)

// Verdict is the outcome in a word.
type Verdict string

// The verdicts.
const (
	Exact Verdict = "exact" // every value is the host's
	Close Verdict = "close" // some differ, by no more than the limit
	Fail  Verdict = "fail"  // the model does not work here, or not as it should
)

// DefaultSteps is the limit on differences, in steps of the output's quantisation. Processors round some intermediate
// results differently by one step, and more layers make more of it; what is wrong differs by tens.
const DefaultSteps = 4

// ErrFail is wrapped by the error of Certificate.Err.
var ErrFail = errors.New("the model does not compute here what it did on the host")

// Options says how the model is run and what is let pass.
type Options struct {
	Steps   float64 // most that a value may differ; 0 stands for DefaultSteps
	Threads int     // 0 means 1
	Plain   bool    // without XNNPACK
}

// Certificate is what a comparison found. A step is one of the output's integers, or, where the output is float32, a
// 127th of the largest value that the host computed for the image.
type Certificate struct {
	Verdict     Verdict `json:"verdict"`
	Reason      string  `json:"reason,omitempty"` // of a fail
	Bundle      string  `json:"bundle"`
	Version     int     `json:"version"`
	ModelSHA256 string  `json:"model_sha256"`
	SpaceID     string  `json:"space_id"`
	Images      int     `json:"images"`
	Values      int     `json:"values"`       // of all images
	Differing   int     `json:"differing"`    // values that are not the host's
	WorstSteps  float64 `json:"worst_steps"`  // the largest difference
	LimitSteps  float64 `json:"limit_steps"`  // and what is let pass
	LeastCosine float64 `json:"least_cosine"` // between the host's and this machine's embedding of an image
	Platform    string  `json:"platform"`
	Runtime     string  `json:"runtime"` // version of TensorFlow Lite
}

// Certify compares. The error says that there could be no comparison: TensorFlow Lite is missing, or ctx is done. That the
// model does not work is a verdict. A model made to harm may end the process: see the agent's trial.
func Certify(ctx context.Context, b *bundle.Bundle, opt Options) (*Certificate, error) {
	if err := tflite.Available(); err != nil {
		return nil, err
	}
	if opt.Steps == 0 {
		opt.Steps = DefaultSteps
	}
	m := b.Manifest()
	c := &Certificate{
		Verdict: Fail, Bundle: m.Name, Version: m.Version, ModelSHA256: b.ModelSHA256(), SpaceID: m.SpaceID, LimitSteps: opt.Steps,
		Images: len(b.Golden()), LeastCosine: 1, Platform: runtime.GOOS + "/" + runtime.GOARCH, Runtime: tflite.Version(),
	}
	e, err := embed.New(b.Model(), embed.Options{Threads: opt.Threads, Plain: opt.Plain})
	if err != nil {
		c.Reason = err.Error()
		return c, nil //nolint:nilerr // it is the verdict
	}
	c.compareAll(ctx, b, e)
	if err := errors.Join(ctx.Err(), e.Close()); err != nil {
		return nil, err
	}
	return c, nil
}

// compareAll runs the golden images and comes to the verdict.
func (c *Certificate) compareAll(ctx context.Context, b *bundle.Bundle, e *embed.Embedder) {
	if c.Reason = differs(b, e); c.Reason != "" {
		return
	}
	got := make([]float32, e.Dim())
	for i, g := range b.Golden() {
		if ctx.Err() != nil {
			return
		}
		if err := e.Raw(got, g.Image); err != nil {
			c.Reason = fmt.Sprintf("golden image %d: %v", i, err)
			return
		}
		if err := c.compare(got, g.Output, b.Output()); err != nil {
			c.Reason = fmt.Sprintf("golden image %d: %v", i, err)
			return
		}
	}
	switch {
	case c.Differing == 0:
		c.Verdict = Exact
	case c.WorstSteps <= c.LimitSteps:
		c.Verdict = Close
	default:
		c.Reason = fmt.Sprintf("%d of %d values differ, by up to %.3g steps; %.3g are let pass", c.Differing, c.Values, c.WorstSteps, c.LimitSteps)
	}
}

// differs says where the model is not what the manifest says, "" where it is.
func differs(b *bundle.Bundle, e *embed.Embedder) string {
	m, out := b.Manifest(), e.Output()
	width, height := e.InputSize()
	switch {
	case width != m.Input.Width || height != m.Input.Height:
		return fmt.Sprintf("the model takes %d×%d pixels, the manifest says %d×%d", width, height, m.Input.Width, m.Input.Height)
	case e.Dim() != m.Dim:
		return fmt.Sprintf("the model gives %d values, the manifest says %d", e.Dim(), m.Dim)
	case e.Model().Quant != m.Quantisation:
		return fmt.Sprintf("the model is %s, the manifest says %s", e.Model().Quant, m.Quantisation)
	case bundle.Output(out) != b.Output():
		return fmt.Sprintf("the model's output is %+v, that of the golden images %+v", out, b.Output())
	}
	return ""
}

// compare adds the differences of one image.
func (c *Certificate) compare(got, want []float32, out bundle.Output) error {
	step := 1.0
	if out.Type == "float32" {
		step = math.SmallestNonzeroFloat64
		for _, w := range want {
			step = max(step, math.Abs(float64(w))/127)
		}
	}
	var dot, gg, ww float64
	for i, w := range want {
		a, b := float64(got[i]), float64(w)
		if math.IsNaN(a) || math.IsInf(a, 0) {
			return fmt.Errorf("value %d is %v", i, a)
		}
		if a != b {
			c.Differing++
			c.WorstSteps = max(c.WorstSteps, math.Abs(a-b)/step)
		}
		a, b = a-float64(out.ZeroPoint), b-float64(out.ZeroPoint)
		dot, gg, ww = dot+a*b, gg+a*a, ww+b*b
	}
	c.Values += len(want)
	if gg > 0 && ww > 0 {
		c.LeastCosine = min(c.LeastCosine, dot/math.Sqrt(gg*ww))
	}
	return nil
}

// Err returns nil for what may be used, and otherwise an error that wraps ErrFail and says why.
func (c *Certificate) Err() error {
	if c.Verdict == Exact || c.Verdict == Close {
		return nil
	}
	return fmt.Errorf("parity of %s version %d: %w: %s", c.Bundle, c.Version, ErrFail, c.Reason)
}

// WriteText writes the certificate for people.
func (c *Certificate) WriteText(w io.Writer) error {
	_, err := fmt.Fprintf(w, "parity       %s\nbundle       %s version %d\nmodel        sha256 %s\nspace        %s\nhere         %s, TensorFlow Lite %s\n",
		c.Verdict, c.Bundle, c.Version, c.ModelSHA256, c.SpaceID, c.Platform, c.Runtime)
	if c.Reason != "" {
		_, err = fmt.Fprintf(w, "because      %s\n", c.Reason)
	}
	if c.Values > 0 {
		_, err = fmt.Fprintf(w, "compared     %d images, %d values: %d differ, the worst by %.3g steps (%.3g are let pass); least cosine %.6f\n",
			c.Images, c.Values, c.Differing, c.WorstSteps, c.LimitSteps, c.LeastCosine)
	}
	return err
}
