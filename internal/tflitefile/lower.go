package tflitefile

import (
	"fmt"

	"xbmedge/internal/nn"
)

// Options says how FromNetwork lowers a network.
type Options struct {
	Batch   int      // samples per run; 0 means 1
	Outputs []string // names of the layers, or of values inside layers, that are the outputs; empty means the last layer
}

// InputName is the name of the input tensor of lowered networks. No layer may be called that.
const InputName = "input"

// FromNetwork lowers a network without batch norms to a float32 model. The input is [Batch, H, W, 3] with the values
// x/127.5−1; every layer's value carries its name. All have four dimensions, [Batch, H, W, C], also where H and W are
// 1. A layer that takes several operators has more values, named after it and a slash; its own is the last.
func FromNetwork(net *nn.Network, w nn.Weights, opt Options) (*Model, error) {
	if err := net.Check(w); err != nil {
		return nil, err
	}
	shapes, err := net.Shapes()
	if err != nil {
		return nil, err
	}
	l := lowering{net: net, weights: w, shapes: shapes, batch: max(opt.Batch, 1), model: &Model{Description: net.Name}}
	l.model.Buffers = [][]byte{nil}
	l.values = make([]int, len(net.Layers))
	l.input = l.value(InputName, net.Input)
	l.model.Inputs = []int{l.input}
	outputs := opt.Outputs
	if len(outputs) == 0 {
		outputs = []string{net.Layers[len(net.Layers)-1].Name}
	}
	for i := range net.Layers {
		if err := l.layer(i); err != nil {
			return nil, fmt.Errorf("network %s: layer %s: %w", net.Name, net.Layers[i].Name, err)
		}
	}
	for _, name := range outputs {
		t := l.model.Find(name)
		if t < 0 {
			_, err := net.Index(name)
			return nil, err
		}
		l.model.Outputs = append(l.model.Outputs, t)
	}
	return l.model, nil
}

// lowering is the state of one FromNetwork.
type lowering struct {
	net     *nn.Network
	weights nn.Weights
	shapes  []nn.Shape
	batch   int
	model   *Model
	input   int
	values  []int // tensor index of every layer
	axes    int   // the constant [1, 2] once a MEAN needs it, else 0
}

// emit appends an operator and returns its output, a new tensor.
func (l *lowering) emit(op Op, opt OpOptions, name string, shape nn.Shape, inputs ...int) int {
	out := l.value(name, shape)
	l.model.Operators = append(l.model.Operators, Operator{Op: op, Options: opt, Inputs: inputs, Outputs: []int{out}})
	return out
}

func (l *lowering) value(name string, s nn.Shape) int {
	return l.model.AddTensor(Tensor{Name: name, Shape: []int{l.batch, s.H, s.W, s.C}})
}

func (l *lowering) constant(name string, shape []int, data []float32) int {
	return l.model.AddTensor(Tensor{Name: name, Shape: shape, Buffer: l.model.AddBuffer(Float32s(data))})
}

func (l *lowering) layer(i int) error {
	layer := &l.net.Layers[i]
	if layer.BatchNorm {
		return fmt.Errorf("has a batch norm: fold the network first")
	}
	if layer.Name == InputName {
		return fmt.Errorf("the name %q is taken", InputName)
	}
	inputs := make([]int, len(layer.Inputs))
	for k, j := range layer.Inputs {
		inputs[k] = l.input
		if j != nn.Input {
			inputs[k] = l.values[j]
		}
	}
	fused, after, err := lowerActivation(layer.Activation)
	if err != nil {
		return err
	}
	out := layer.Name
	if after {
		out += "/linear"
	}
	opt := OpOptions{Activation: fused}
	shape, from := l.shapes[i], l.net.InputShapes(i, l.shapes)[0]
	var y int
	switch layer.Kind {
	case nn.Conv, nn.Depthwise, nn.Dense:
		y = l.weighted(layer, opt, out, from, shape, inputs[0])
	case nn.MaxPool, nn.AvgPool:
		if y, err = l.pool(layer, opt, out, from, shape, inputs[0]); err != nil {
			return err
		}
	case nn.Add:
		y = l.emit(Add, opt, out, shape, inputs...)
	case nn.Mul:
		y = l.emit(Mul, opt, out, shape, inputs...)
	case nn.GlobalAvg, nn.GeM, nn.Concat, nn.Pad:
		if layer.Activation != nn.Linear && layer.Activation != "" {
			return fmt.Errorf("a %s layer with an activation is not supported", layer.Kind)
		}
		switch layer.Kind {
		case nn.GeM:
			y = l.generalisedMean(layer, from, shape, inputs[0])
		case nn.Concat:
			y = l.emit(Concatenation, OpOptions{Axis: 3}, out, shape, inputs...)
		case nn.Pad:
			y = l.emit(Pad, OpOptions{}, out, shape, inputs[0], l.margins(layer.Name, layer.Around))
		default:
			y = l.emit(Mean, OpOptions{KeepDims: true}, out, shape, inputs[0], l.spatial())
		}
	default:
		return fmt.Errorf("kind %q cannot be lowered", layer.Kind)
	}
	if after {
		y = l.activate(layer, shape, y)
	}
	l.values[i] = y
	return nil
}

// kernel rearranges a weight: [out, in, k, k] to [out, k, k, in] for a convolution, [channels, 1, k, k] to
// [1, k, k, channels] for a depthwise one, [out, in] to [out, 1, 1, in] for a dense layer.
func kernel(kind nn.Kind, w *nn.Tensor) (shape []int, data []float32) {
	if kind == nn.Dense {
		return []int{w.Shape[0], 1, 1, w.Shape[1]}, w.Data
	}
	out, in, k := w.Shape[0], w.Shape[1], w.Shape[2]
	data = make([]float32, len(w.Data))
	for o := range out {
		for i := range in {
			for p := range k * k {
				v := w.Data[(o*in+i)*k*k+p]
				if kind == nn.Depthwise {
					data[p*out+o] = v
				} else {
					data[(o*k*k+p)*in+i] = v
				}
			}
		}
	}
	if kind == nn.Depthwise {
		return []int{1, k, k, out}, data
	}
	return []int{out, k, k, in}, data
}
