package quantize

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"

	"xbmedge/internal/nn"
	"xbmedge/internal/tflitefile"
	"xbmedge/internal/vision"
)

const (
	// scoreFrames is the number of pictures that the ways to quantise are compared on.
	scoreFrames = 64
	// refined is the number of layers, the noisiest, that Search tries the other methods on.
	refined = 4
	// worthwhile is by how much the mean cosine must rise for a choice that makes things less simple: about what
	// chance does to it on so many pictures.
	worthwhile = 1e-4
)

// Trial is one way to quantise that Search has measured.
type Trial struct {
	Name string
	Fidelity
	Err error // why it could not be taken, such as XNNPACK refusing it; nil where it was measured
}

// Result is the best model that Search found, and what it was made with.
type Result struct {
	Model       *tflitefile.Model
	Report      *Report
	Fidelity    Fidelity
	Options     Options    // with which Quantize gives the model again, from Weights and Calibration
	Weights     nn.Weights // those given, or equalised
	Equalized   bool       // which of the two
	Calibration *Calibration
	Trials      []Trial // in the order they were made
}

// Search quantises in several ways and keeps the one whose embeddings have the highest mean cosine to the
// float network's. It is greedy: each choice is made with those before it settled.
//
//  1. The method, for all layers (unless Options.Method names one).
//  2. The bias correction (unless Options.BiasCorrection names one).
//  3. Equalized weights or those given, calibrated anew, with either bias correction.
//  4. For each of the few noisiest layers (Diagnose), another method for it alone.
//
// The pictures compared on are calibration pictures on which no rounding was tuned, as far as there are enough. It takes
// some twenty times as long as Quantize. The calibration must come from the same network and weights.
func Search(ctx context.Context, net *nn.Network, w nn.Weights, cal *Calibration, opt Options) (*Result, error) {
	if len(cal.layers) != len(net.Layers) {
		return nil, fmt.Errorf("search: the calibration is for a network of %d layers, not %d", len(cal.layers), len(net.Layers))
	}
	s := searcher{ctx: ctx, net: net, best: &Result{Weights: w, Calibration: cal, Options: opt}}
	vectors := cal.layers[len(cal.layers)-1].vectors
	if vectors == nil {
		return nil, fmt.Errorf("search: network %s ends in a map, not in an embedding", net.Name)
	}
	for _, n := range cal.untuned(scoreFrames) {
		s.frames, s.want = append(s.frames, cal.frames[n]), append(s.want, vectors[n])
	}
	methods := []Method{opt.Method}
	if opt.Method == "" || opt.Method == Auto {
		methods = Methods()
	}
	for _, m := range methods {
		o := opt
		o.Method = m
		s.try(string(m), o, 0)
	}
	if s.best.Model == nil {
		return nil, fmt.Errorf("search: %w", s.first())
	}
	s.biases(opt)
	if opt.Fixed == nil {
		if err := s.equalized(w, opt); err != nil {
			return nil, fmt.Errorf("search: %w", err)
		}
	}
	if err := s.refine(); err != nil {
		return nil, fmt.Errorf("search: %w", err)
	}
	return s.best, ctx.Err()
}

// searcher is one Search.
type searcher struct {
	ctx    context.Context //nolint:containedctx // lives no longer than the call
	net    *nn.Network
	frames []vision.Frame
	want   [][]float32
	best   *Result
}

// try quantises the best weights so far with other options, and keeps the outcome if it gains more than that.
func (s *searcher) try(name string, opt Options, gain float64) {
	m, report, err := Quantize(s.net, s.best.Weights, s.best.Calibration, opt)
	var f Fidelity
	if err == nil {
		f, err = fidelity(s.ctx, m, processors(), s.frames, s.want)
	}
	s.best.Trials = append(s.best.Trials, Trial{Name: name, Fidelity: f, Err: err})
	if err == nil && (s.best.Model == nil || f.Mean > s.best.Fidelity.Mean+gain) {
		s.best.Model, s.best.Report, s.best.Fidelity, s.best.Options = m, report, f, opt
	}
}

// first returns the first error of the trials.
func (s *searcher) first() error {
	for _, t := range s.best.Trials {
		if t.Err != nil {
			return t.Err
		}
	}
	return nil
}

// biases tries the bias correction that the best has not.
func (s *searcher) biases(opt Options) {
	if opt.BiasCorrection != "" {
		return
	}
	o := s.best.Options
	if o.BiasCorrection = Empirical; s.best.Options.BiasCorrection == Empirical {
		o.BiasCorrection = Analytic
	}
	name := string(o.BiasCorrection) + " bias correction"
	if s.best.Equalized {
		name += ", equalised"
	}
	s.try(name, o, worthwhile)
}

// equalized tries equalised weights, and goes back to those given unless they gain.
func (s *searcher) equalized(w nn.Weights, opt Options) error {
	before := *s.best
	even, err := Equalize(s.net, w, before.Calibration)
	if err != nil {
		return err
	}
	cal, err := Calibrate(s.ctx, s.net, even, before.Calibration.frames)
	if err != nil {
		return err
	}
	s.best.Weights, s.best.Calibration, s.best.Equalized, s.best.Model = even, cal, true, nil
	s.try("equalised", before.Options, 0)
	s.biases(opt)
	if s.best.Model == nil || s.best.Fidelity.Mean <= before.Fidelity.Mean+worthwhile {
		before.Trials = s.best.Trials
		*s.best = before
	}
	return nil
}

// refine tries the other methods on the noisiest layers, one after the other.
func (s *searcher) refine() error {
	frames, _ := s.best.Calibration.spread(8)
	errs, err := Diagnose(s.ctx, s.net, s.best.Weights, s.best.Calibration, s.best.Options, frames)
	if err != nil {
		return err
	}
	slices.SortStableFunc(errs, func(a, b LayerError) int { return cmp.Compare(b.Added, a.Added) })
	for _, l := range errs[:min(refined, len(errs))] {
		for _, m := range Methods() {
			if m == s.best.Options.Method {
				continue
			}
			o := s.best.Options
			o.Methods = maps.Clone(o.Methods)
			if o.Methods == nil {
				o.Methods = map[string]Method{}
			}
			o.Methods[l.Name] = m
			s.try(fmt.Sprintf("%s for %s", m, l.Name), o, worthwhile)
			if err := s.ctx.Err(); err != nil {
				return err
			}
		}
	}
	return nil
}

// untuned returns the numbers of at most count frames that are not tuned on, from all over the calibration; of all
// frames where fewer than FewFrames are left.
func (c *Calibration) untuned(count int) []int {
	_, tuned := c.tuning()
	var left []int
	for n := range c.frames {
		if !slices.Contains(tuned, n) {
			left = append(left, n)
		}
	}
	if len(left) < FewFrames {
		left = nil
		for n := range c.frames {
			left = append(left, n)
		}
	}
	every := (len(left) + count - 1) / count
	var out []int
	for k := 0; k < len(left); k += every {
		out = append(out, left[k])
	}
	return out
}
