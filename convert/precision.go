package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"xbmedge/convert/internal/report"
	"xbmedge/internal/cli"
	"xbmedge/internal/nn"
	"xbmedge/internal/quantize"
	"xbmedge/internal/tflitefile"
)

// precision is how a network becomes int8, and what of it does not.
type precision struct {
	method      string
	percentile  float64
	embedding   string // auto, int8 or float
	floatLayers []string
	floatWorst  int
	sensitivity bool
}

const (
	costPhotos = 16 // calibration photos that the cost of each layer is measured on
	// roundingLoss is the mean cosine that an embedding may lose by being rounded itself and still be int8.
	roundingLoss = 1e-4
)

func (p *precision) declare(f *cli.Flags) {
	names := methods()
	f.StringVar(&p.method, "method", string(quantize.MSE), "how the range of every activation is chosen: `METHOD` "+strings.Join(names[:len(names)-1], ", ")+
		", or auto to measure them all, and more, which takes some twenty times as long")
	f.OneOf("method", names...)
	f.Float64Var(&p.percentile, "percentile", quantize.DefaultPercentile, "with --method percentile: the share of values that stays inside, in `PERCENT`")
	f.StringVar(&p.embedding, "embedding", "auto", "`TYPE` of the last layer: int8, float, or auto for float where one int8 scale is too coarse for vectors of different lengths")
	f.OneOf("embedding", "auto", "int8", "float")
	f.StringSliceVar(&p.floatLayers, "float-layers", nil, "keep these `LAYERS` in float, as the report names them: A,B")
	f.IntVar(&p.floatWorst, "float-worst", 0, "keep `N` more layers in float, those that cost most, measured one by one")
	f.BoolVar(&p.sensitivity, "sensitivity", false, "also measure what each layer alone costs, for --html and --json")
}

// methods are the names of the calibration methods, auto the last.
func methods() []string {
	var names []string
	for _, m := range quantize.Methods() {
		names = append(names, string(m))
	}
	return append(names, string(quantize.Auto))
}

// check refuses flags that make no sense; reported says whether a report is written.
func (p *precision) check(reported bool) error {
	switch {
	case !(p.percentile > 50 && p.percentile <= 100): // the negation also catches NaN
		return cli.Usagef("--percentile is %g; take one above 50 and up to 100", p.percentile)
	case p.floatWorst < 0:
		return cli.Usagef("--float-worst is %d; give a number of layers", p.floatWorst)
	case p.sensitivity && !reported:
		return cli.Usagef("--sensitivity is shown in the report: give --html or --json")
	}
	return nil
}

// options refuses layers that the network has not.
func (p *precision) options(net *nn.Network) (quantize.Options, error) {
	opt := quantize.Options{Method: quantize.Method(p.method), Percentile: p.percentile, Float: slices.Clone(p.floatLayers)}
	for _, name := range p.floatLayers {
		if _, err := net.Index(name); err != nil {
			return opt, cli.Usagef("--float-layers: %w", err)
		}
	}
	return opt, nil
}

// chooseEmbedding keeps the last layer in float where it is to be: it has few weights, so that costs next to no time. What a
// run's own int8 model holds stays as it is.
func (p *precision) chooseEmbedding(net *nn.Network, cal *quantize.Calibration, opt *quantize.Options) {
	last := &net.Layers[len(net.Layers)-1]
	fixed := opt.Fixed != nil && opt.Fixed.Find(last.Name) >= 0
	switch {
	case p.embedding == "int8", fixed, slices.Contains(opt.Float, last.Name):
	case p.embedding == "float", last.Weighted() && cal.RoundingLoss() > roundingLoss:
		opt.Float = append(opt.Float, last.Name)
	}
}

// quantised is an int8 model and what it was made with.
type quantised struct {
	model   *tflitefile.Model
	said    *quantize.Report
	weights nn.Weights
	cal     *quantize.Calibration
	opt     quantize.Options
	result  *quantize.Result     // nil where nothing was tried
	costs   []quantize.LayerCost // nil where they were not measured
}

// quantise makes the int8 model.
func (p *precision) quantise(ctx context.Context, net *nn.Network, w nn.Weights, cal *quantize.Calibration, opt quantize.Options) (*quantised, error) {
	q := &quantised{weights: w, cal: cal, opt: opt}
	if opt.Method == quantize.Auto {
		found, err := quantize.Search(ctx, net, w, cal, opt)
		if err != nil {
			return nil, err
		}
		*q = quantised{found.Model, found.Report, found.Weights, found.Calibration, found.Options, found, nil}
	}
	if p.floatWorst > 0 {
		if err := q.measureCosts(ctx, net); err != nil {
			return nil, err
		}
		left := slices.DeleteFunc(slices.Clone(q.costs), func(c quantize.LayerCost) bool { return slices.Contains(q.opt.Float, c.Name) })
		q.opt.Float = append(q.opt.Float, quantize.Worst(left, p.floatWorst)...)
		q.model = nil
	}
	if q.model != nil {
		return q, nil
	}
	var err error
	q.model, q.said, err = quantize.Quantize(net, q.weights, q.cal, q.opt)
	return q, err
}

// measureCosts measures what each layer alone costs, once.
func (q *quantised) measureCosts(ctx context.Context, net *nn.Network) error {
	if q.costs != nil {
		return nil
	}
	var err error
	q.costs, err = quantize.Sensitivity(ctx, net, q.weights, q.cal, q.opt, costPhotos)
	return err
}

// describe says how the model was made.
func (q *quantised) describe(r *report.Report) {
	r.Method = string(q.opt.Method)
	for _, l := range q.said.Layers {
		if l.Float {
			r.FloatLayers = append(r.FloatLayers, l.Name)
		}
	}
	if q.result == nil {
		return
	}
	r.Method = string(quantize.Auto)
	chosen := []string{string(q.opt.Method)}
	if q.opt.BiasCorrection == quantize.Empirical {
		chosen = append(chosen, "empirical bias correction")
	}
	if q.result.Equalized {
		chosen = append(chosen, "equalised weights")
	}
	for _, name := range slices.Sorted(maps.Keys(q.opt.Methods)) {
		chosen = append(chosen, fmt.Sprintf("%s for %s", q.opt.Methods[name], name))
	}
	r.Chosen = strings.Join(chosen, ", ")
	for _, t := range q.result.Trials {
		trial := report.Trial{Name: t.Name, CosineMean: t.Mean, CosineP1: t.P1}
		if t.Err != nil {
			trial.Failure = t.Err.Error()
		}
		r.Trials = append(r.Trials, trial)
	}
}
