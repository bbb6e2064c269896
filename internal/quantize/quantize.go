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

// Options chooses how to quantise. The zero value is what measured best.
type Options struct {
	MinMax           bool     // keep the whole range of every activation instead of clipping rare outliers
	NoBiasCorrection bool     // do not make up for the mean error of rounded weights
	Outputs          []string // names of the output layers; empty means the last
}

// Report says what was chosen for every layer.
type Report struct {
	Layers []LayerReport
}

// LayerReport describes the int8 output of a layer.
type LayerReport struct {
	Name      string
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
	m, err := tflitefile.FromNetwork(net, w, tflitefile.Options{Outputs: opt.Outputs})
	if err != nil {
		return nil, nil, fmt.Errorf("quantise: %w", err)
	}
	q := quantizer{net: net, model: m, cal: cal, opt: opt, activations: map[int]params{}}
	if err := quantizable(net, m); err != nil {
		return nil, nil, err
	}
	q.setActivation(m.Inputs[0], params{InputScale, InputZeroPoint})
	report := &Report{}
	for i := range net.Layers {
		entry, err := q.layer(i)
		if err != nil {
			return nil, nil, fmt.Errorf("quantise layer %s: %w", net.Layers[i].Name, err)
		}
		report.Layers = append(report.Layers, entry)
	}
	return m, report, nil
}

// quantizable refuses networks with layers that int8 has not been worked out for: those that are not one operator each,
// which hard activations, symmetric padding at a stride and generalised means are not, and products of maps.
func quantizable(net *nn.Network, m *tflitefile.Model) error {
	for i := range net.Layers {
		l := &net.Layers[i]
		if i < len(m.Operators) && m.Tensors[m.Operators[i].Outputs[0]].Name == l.Name && l.Kind != nn.Mul && l.Kind != nn.MaxPool && l.Kind != nn.AvgPool {
			continue
		}
		return fmt.Errorf("quantise %s: layer %s (%s, activation %s, padding %s) has no int8 form here: "+
			"train smallcnn or mobilenetv2 for a board, or write the float model (xbm-convert quantize --float)",
			net.Name, l.Name, l.Kind, l.Activation, l.Padding)
	}
	return nil
}

// quantizer rewrites the tensors of a float model.
type quantizer struct {
	net         *nn.Network
	model       *tflitefile.Model
	cal         *Calibration
	opt         Options
	activations map[int]params // by tensor
}

func (q *quantizer) setActivation(tensor int, p params) {
	t := &q.model.Tensors[tensor]
	t.Type = tflitefile.Int8
	t.Quant = &tflitefile.Quantization{Scale: []float32{p.scale}, ZeroPoint: []int64{int64(p.zero)}}
	q.activations[tensor] = p
}

func (q *quantizer) layer(i int) (LayerReport, error) {
	op, stats := &q.model.Operators[i], &q.cal.layers[i]
	low, high := stats.min, stats.max
	if !q.opt.MinMax {
		low, high = stats.histogram.clip()
	}
	p, err := chooseParams(low, high)
	if err != nil {
		return LayerReport{}, err
	}
	out := op.Outputs[0]
	q.setActivation(out, p)
	if q.net.Layers[i].Weighted() {
		q.weights(i, op)
	}
	return LayerReport{
		Name: q.net.Layers[i].Name, Min: stats.min, Max: stats.max, Scale: p.scale, ZeroPoint: p.zero,
		Clipped: stats.histogram.outside(p.scale*float32(-128-p.zero), p.scale*float32(127-p.zero)),
	}, nil
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
