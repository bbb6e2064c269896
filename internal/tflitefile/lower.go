package tflitefile

import (
	"fmt"

	"xbmedge/internal/nn"
)

// Options says how FromNetwork lowers a network.
type Options struct {
	Batch   int      // samples per run; 0 means 1
	Outputs []string // names of the layers whose values are the outputs, in that order; empty means the last layer
}

// InputName is the name of the input tensor of lowered networks. No layer may be called that.
const InputName = "input"

// FromNetwork lowers a network without batch norms to a float32 model. The input is [Batch, H, W, 3] with the values
// x/127.5−1; every other tensor carries its layer's name. All have four dimensions, [Batch, H, W, C], also where H and
// W are 1.
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
		i, err := net.Index(name)
		if err != nil {
			return nil, err
		}
		l.model.Outputs = append(l.model.Outputs, l.values[i])
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
	activation, err := lowerActivation(layer.Activation)
	if err != nil {
		return err
	}
	var inputs []int
	for _, j := range layer.Inputs {
		if j == nn.Input {
			inputs = append(inputs, l.input)
		} else {
			inputs = append(inputs, l.values[j])
		}
	}
	op := Operator{Options: OpOptions{Activation: activation}}
	if layer.Weighted() {
		weight := l.weights[layer.Name+".weight"]
		bias := l.weights[layer.Name+".bias"]
		shape, data := kernel(layer.Kind, weight)
		inputs = append(inputs,
			l.constant(layer.Name+".weight", shape, data), l.constant(layer.Name+".bias", bias.Shape, bias.Data))
	}
	switch layer.Kind {
	case nn.Conv:
		op.Op, op.Options.StrideH, op.Options.StrideW = Conv2D, layer.Stride, layer.Stride
	case nn.Depthwise:
		op.Op, op.Options.StrideH, op.Options.StrideW = DepthwiseConv2D, layer.Stride, layer.Stride
		op.Options.DepthMultiplier = 1
	case nn.Dense:
		// A dense layer on a 1×1 map is a 1×1 convolution. As one it keeps its four dimensions, and in int8 it may
		// have a scale per output, which the FULLY_CONNECTED of TensorFlow Lite 2.9 may not.
		op.Op, op.Options.StrideH, op.Options.StrideW = Conv2D, 1, 1
	case nn.Add:
		op.Op = Add
	case nn.GlobalAvg:
		if activation != None {
			return fmt.Errorf("a global average with an activation is not supported")
		}
		if l.axes == 0 {
			l.axes = l.model.AddTensor(Tensor{
				Name: "axes", Type: Int32, Shape: []int{2}, Buffer: l.model.AddBuffer(Int32s([]int32{1, 2})),
			})
		}
		op.Op, op.Options.KeepDims = Mean, true
		inputs = append(inputs, l.axes)
	default:
		return fmt.Errorf("kind %q cannot be lowered", layer.Kind)
	}
	l.values[i] = l.value(layer.Name, l.shapes[i])
	op.Inputs, op.Outputs = inputs, []int{l.values[i]}
	l.model.Operators = append(l.model.Operators, op)
	return nil
}

func lowerActivation(a nn.Activation) (Activation, error) {
	switch a {
	case nn.Linear, "":
		return None, nil
	case nn.ReLU:
		return ReLU, nil
	case nn.ReLU6:
		return ReLU6, nil
	}
	return 0, fmt.Errorf("activation %q cannot be lowered", a)
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
