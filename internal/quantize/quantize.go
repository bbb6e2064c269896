// Package quantize turns a float network into an int8 TensorFlow Lite model after training (post-training
// quantisation): weights symmetric with one scale per output channel, activations asymmetric with one scale per tensor,
// biases int32, as TensorFlow Lite's 8-bit specification asks. The ranges of the activations are measured by running
// the float network on pictures (Calibrate).
//
// The int8 input is the pixel minus 128. Its scale is 1/127.5 and its zero point −1, half a step off the x/127.5−1 the
// network was trained on; the first layer's bias makes up for it.
//
// After Jacob et al., CVPR 2018 (arXiv 1712.05877) and, for the bias correction, Nagel et al., ICCV 2019 (1906.04721).
package quantize

import (
	"fmt"
	"math"
	"strings"

	"xbmedge/internal/nn"
	"xbmedge/internal/tflitefile"
)

// The quantisation of the input: integer = pixel − 128.
const (
	InputScale     = 1 / 127.5
	InputZeroPoint = -1
	// halfStep is how much larger the value an int8 input stands for is than x/127.5−1.
	halfStep = 0.5 / 127.5
)

// Report says what was chosen for every layer.
type Report struct {
	Layers []LayerReport
}

// LayerReport describes the int8 output of a layer.
type LayerReport struct {
	Name      string
	Float     bool    // it has none: the layer stays float, and what follows Max is 0
	Min, Max  float32 // what the layer gave on the calibration pictures
	Scale     float32
	ZeroPoint int
	Clipped   float64 // share of the values that lie outside the range int8 can hold
}

// params is the quantisation of one activation tensor.
type params struct {
	scale float32
	zero  int
}

// Quantize returns the int8 model of a network without batch norms. The calibration must come from the same network
// and weights. The input and all layers' outputs are int8.
func Quantize(net *nn.Network, w nn.Weights, cal *Calibration, opt Options) (*tflitefile.Model, *Report, error) {
	if len(cal.layers) != len(net.Layers) {
		return nil, nil, fmt.Errorf("quantise %s: the calibration is for a network of %d layers, not %d",
			net.Name, len(cal.layers), len(net.Layers))
	}
	if err := opt.check(); err != nil {
		return nil, nil, fmt.Errorf("quantise %s: %w", net.Name, err)
	}
	m, err := tflitefile.FromNetwork(net, w, tflitefile.Options{Outputs: opt.Outputs})
	if err != nil {
		return nil, nil, fmt.Errorf("quantise: %w", err)
	}
	q := quantizer{
		net: net, model: m, cal: cal, opt: opt, activations: map[int]params{}, float: map[int]bool{},
		ints: map[int]int{}, floats: map[int]int{},
	}
	for name := range opt.Methods {
		if _, err := net.Index(name); err != nil {
			return nil, nil, fmt.Errorf("quantise: a layer with a method of its own: %w", err)
		}
	}
	for _, name := range opt.Float {
		i, err := net.Index(name)
		if err != nil {
			return nil, nil, fmt.Errorf("quantise: a layer to stay float: %w", err)
		}
		q.float[i] = true
	}
	q.setActivation(m.Inputs[0], params{InputScale, InputZeroPoint})
	if err := q.operators(); err != nil {
		return nil, nil, err
	}
	report := &Report{}
	for i := range net.Layers {
		report.Layers = append(report.Layers, q.report(i))
	}
	return m, report, nil
}

// quantizer rewrites the tensors of a float model.
type quantizer struct {
	net         *nn.Network
	model       *tflitefile.Model
	cal         *Calibration
	opt         Options
	activations map[int]params // by tensor
	steps       *stepper       // nil where nothing is fitted to what it gives
	float       map[int]bool   // layers that stay float
	ints        map[int]int    // the int8 form of a tensor of the float model, once there is one
	floats      map[int]int    // its float form
}

func (q *quantizer) setActivation(tensor int, p params) {
	t := &q.model.Tensors[tensor]
	t.Type = tflitefile.Int8
	t.Quant = &tflitefile.Quantization{Scale: []float32{p.scale}, ZeroPoint: []int64{int64(p.zero)}}
	q.activations[tensor] = p
	q.ints[tensor] = tensor
}

// operators makes every operator int8, in their order.
func (q *quantizer) operators() error {
	float := q.model.Operators
	q.model.Operators = nil
	if q.opt.Rounding != Nearest || q.opt.BiasCorrection == Empirical {
		steps, err := newStepper(q.model, q.cal, float)
		if err != nil {
			return fmt.Errorf("quantise: %w", err)
		}
		q.steps = steps
	}
	for k := range float {
		op, before := &float[k], float[k] // rewriting may put other inputs in its place
		name := q.model.Tensors[op.Outputs[0]].Name
		layer, _, _ := strings.Cut(name, "/") // a value inside a layer is named after it and a slash
		i, err := q.net.Index(layer)
		if err != nil {
			return err
		}
		switch {
		case q.float[i]:
			err = q.floatOperator(i, op)
		case q.net.Layers[i].Kind == nn.GeM:
			err = q.generalisedMean(i, op)
		default:
			err = q.operator(i, op)
		}
		if err != nil {
			return fmt.Errorf("quantise layer %s: %w", layer, err)
		}
		if q.steps != nil {
			q.steps.done(&before)
		}
	}
	return nil
}

func (q *quantizer) operator(i int, op *tflitefile.Operator) error {
	if err := q.takeInts(op); err != nil {
		return err
	}
	p, err := q.outputParams(i, op)
	if err != nil {
		return err
	}
	q.setActivation(op.Outputs[0], p)
	switch op.Op {
	case tflitefile.Conv2D, tflitefile.DepthwiseConv2D:
		if fixed, err := q.fixedWeights(op); fixed || err != nil {
			if err != nil {
				return err
			}
			break
		}
		q.weights(i, op)
	case tflitefile.Add, tflitefile.Mul:
		for _, t := range op.Inputs {
			q.scalar(t)
		}
	case tflitefile.HardSwish:
		return q.hardSwish(i, op)
	case tflitefile.Concatenation:
		if err := q.rescale(i, op, p); err != nil {
			return err
		}
	}
	return q.emit(*op)
}

// emit appends operators to the int8 model, and runs them where something is fitted to what they give.
func (q *quantizer) emit(ops ...tflitefile.Operator) error {
	for i := range ops {
		q.model.Operators = append(q.model.Operators, ops[i])
		if q.steps == nil {
			continue
		}
		if err := q.steps.run(&ops[i]); err != nil {
			return err
		}
	}
	return nil
}

// outputParams returns how the output of an operator of layer i is quantised: where values are only moved or pooled,
// as they come in, or else by what they were in calibration.
func (q *quantizer) outputParams(i int, op *tflitefile.Operator) (params, error) {
	switch op.Op {
	case tflitefile.Pad, tflitefile.MaxPool2D, tflitefile.AveragePool2D:
		return q.activations[op.Inputs[0]], nil
	case tflitefile.Logistic: // the only one that the kernels take
		return params{scale: 1.0 / 256, zero: -128}, nil
	}
	name := q.model.Tensors[op.Outputs[0]].Name
	if p, ok, err := q.fixedParams(name); ok || err != nil {
		return p, err
	}
	stats, ok := q.cal.inner[name]
	if !ok {
		stats = q.cal.layers[i]
	}
	low, high := q.rangeOf(i, stats)
	return chooseParams(low, high)
}

// rangeOf returns the range int8 is to hold of a value of layer i.
func (q *quantizer) rangeOf(i int, s *statistics) (low, high float32) {
	method, ok := q.opt.Methods[q.net.Layers[i].Name]
	if !ok {
		method = q.opt.Method
	}
	return rangeOf(s, method, q.opt.Percentile)
}

// scalar makes a constant of one positive number int8, exactly; other tensors are left alone.
func (q *quantizer) scalar(tensor int) {
	t := &q.model.Tensors[tensor]
	data := q.model.Data(tensor)
	if t.Type != tflitefile.Float32 || len(data) != 4 {
		return
	}
	t.Type = tflitefile.Int8
	t.Quant = &tflitefile.Quantization{Scale: []float32{tflitefile.ToFloat32s(data)[0] / 127}, ZeroPoint: []int64{0}}
	q.model.Buffers[t.Buffer] = []byte{127}
}

func (q *quantizer) report(i int) LayerReport {
	stats, p := q.cal.layers[i], q.activations[q.model.Find(q.net.Layers[i].Name)]
	if p.scale == 0 {
		return LayerReport{Name: q.net.Layers[i].Name, Min: stats.min, Max: stats.max, Float: true}
	}
	return LayerReport{
		Name: q.net.Layers[i].Name, Min: stats.min, Max: stats.max, Scale: p.scale, ZeroPoint: p.zero,
		Clipped: stats.histogram.outside(p.scale*float32(-128-p.zero), p.scale*float32(127-p.zero)),
	}
}

// chooseParams spreads the 256 integers over low … high, widened to hold zero, which padding and ReLU need exactly.
func chooseParams(low, high float32) (params, error) {
	low, high = min(low, 0), max(high, 0)
	if math.IsNaN(float64(low+high)) || math.IsInf(float64(low), 0) || math.IsInf(float64(high), 0) {
		return params{}, fmt.Errorf("its values range from %g to %g", low, high)
	}
	scale := (high - low) / 255
	if scale < 1e-12 { // a layer that is always zero
		return params{scale: 1.0 / 127}, nil
	}
	zero := math.Round(-128 - float64(low)/float64(scale))
	return params{scale, int(min(max(zero, -128), 127))}, nil
}
