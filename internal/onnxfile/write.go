package onnxfile

import (
	"fmt"
	"maps"
	"slices"

	"xbmedge/internal/nn"
)

// The names of the model's input and output. No layer may be called that, unless it is the last.
const (
	InputName  = "input"
	OutputName = "output"
)

// Options says how a network is written.
type Options struct {
	Normalize bool              // divide the output, one vector a picture, by its length
	Metadata  map[string]string // may be nil
}

// Encode returns a network without batch norms as an ONNX model. Its input is float32 [N, 3, H, W], any N at a time: red,
// green and blue, each value pixel/127.5−1, as for the float TensorFlow Lite model. Its output is float32 [N, C], or
// [N, C, H, W] where the network ends in a map. The same network always gives the same bytes.
func Encode(net *nn.Network, w nn.Weights, opt Options) ([]byte, error) {
	if err := net.Check(w); err != nil {
		return nil, fmt.Errorf("encode ONNX: %w", err)
	}
	shapes, err := net.Shapes()
	if err != nil {
		return nil, fmt.Errorf("encode ONNX: %w", err)
	}
	last := shapes[len(shapes)-1]
	vector := last.H == 1 && last.W == 1
	if opt.Normalize && !vector {
		return nil, fmt.Errorf("encode ONNX: network %s ends in a map of %v: only a vector has a length to divide by", net.Name, last)
	}
	e := encoder{net: net, weights: w, shapes: shapes}
	for i := range net.Layers {
		if err := e.layer(i); err != nil {
			return nil, fmt.Errorf("encode ONNX: network %s: layer %s: %w", net.Name, net.Layers[i].Name, err)
		}
	}
	value := net.Layers[len(net.Layers)-1].Name
	dims := []int{last.C}
	switch {
	case !vector:
		e.node("Identity", OutputName, []string{value})
		dims = []int{last.C, last.H, last.W}
	case opt.Normalize:
		e.node("Flatten", OutputName+"/flat", []string{value}, integer("axis", 1))
		e.node("LpNormalization", OutputName, []string{OutputName + "/flat"}, integer("axis", 1), integer("p", 2))
	default:
		e.node("Flatten", OutputName, []string{value}, integer("axis", 1))
	}
	graph := slices.Concat(e.nodes, message{}.text(graphName, net.Name), e.initializers).
		message(graphInput, valueInfo(InputName, net.Input.C, net.Input.H, net.Input.W)).
		message(graphOutput, valueInfo(OutputName, dims...))
	model := message{}.int(modelIRVersion, irVersion).text(modelProducer, "xbmedge").
		text(modelDoc, "input: float32 [N, 3, H, W], red, green, blue, each pixel/127.5-1").
		message(modelGraph, graph).message(modelOpset, message{}.int(opsetVersion, opset))
	for _, key := range slices.Sorted(maps.Keys(opt.Metadata)) {
		model = model.message(modelMetadata, message{}.text(entryKey, key).text(entryValue, opt.Metadata[key]))
	}
	return model, nil
}

// valueInfo declares a float32 value of any number of samples.
func valueInfo(name string, dims ...int) message {
	shape := message{}.message(shapeDim, message{}.text(dimParam, "N"))
	for _, d := range dims {
		shape = shape.message(shapeDim, message{}.int(dimValue, d))
	}
	tensor := message{}.int(tensorElem, typeFloat).message(tensorShape, shape)
	return message{}.text(infoName, name).message(infoType, message{}.message(typeTensor, tensor))
}

// encoder gathers a graph's nodes and constants.
type encoder struct {
	net                 *nn.Network
	weights             nn.Weights
	shapes              []nn.Shape
	nodes, initializers message
}

// node appends an operator; its output is named out, and so is the node.
func (e *encoder) node(op, out string, inputs []string, attributes ...message) {
	var m message
	for _, in := range inputs {
		m = m.text(nodeInput, in)
	}
	m = m.text(nodeOutput, out).text(nodeName, out).text(nodeType, op)
	for _, a := range attributes {
		m = m.message(nodeAttribute, a)
	}
	e.nodes = e.nodes.message(graphNode, m)
}

func (e *encoder) constant(name string, shape []int, data []float32) string {
	e.initializers = e.initializers.message(graphInitializer, initializer(name, shape, data))
	return name
}

func (e *encoder) integers(name string, values ...int) string {
	e.initializers = e.initializers.message(graphInitializer, integers(name, values))
	return name
}

func (e *encoder) layer(i int) error {
	l := &e.net.Layers[i]
	if l.BatchNorm {
		return fmt.Errorf("has a batch norm: fold the network first")
	}
	if l.Name == InputName || l.Name == OutputName {
		return fmt.Errorf("the name %q is taken", l.Name)
	}
	inputs := make([]string, len(l.Inputs))
	for k, j := range l.Inputs {
		inputs[k] = InputName
		if j != nn.Input {
			inputs[k] = e.net.Layers[j].Name
		}
	}
	out := l.Name
	linear := l.Activation == nn.Linear || l.Activation == ""
	if !linear {
		out += "/linear"
	}
	from := e.net.InputShapes(i, e.shapes)[0]
	switch l.Kind {
	case nn.Conv, nn.Depthwise, nn.Dense:
		e.weighted(l, from, out, inputs[0])
	case nn.MaxPool:
		e.node("MaxPool", out, inputs, window(l, from)...)
	case nn.AvgPool:
		e.node("AveragePool", out, inputs, append(window(l, from), integer("count_include_pad", 0))...)
	case nn.GlobalAvg:
		e.node("GlobalAveragePool", out, inputs)
	case nn.Add:
		e.node("Add", out, inputs)
	case nn.Mul:
		e.node("Mul", out, inputs)
	case nn.GeM:
		e.generalisedMean(l, out, inputs[0])
	case nn.Concat:
		e.node("Concat", out, inputs, integer("axis", 1))
	case nn.Pad:
		a := l.Around
		by := e.integers(l.Name+"/padding", 0, 0, a.Top, a.Left, 0, 0, a.Bottom, a.Right)
		e.node("Pad", out, []string{inputs[0], by})
	default:
		return fmt.Errorf("kind %q cannot be written", l.Kind)
	}
	if linear {
		return nil
	}
	return e.activate(l, out)
}

// window returns the attributes of an operator that slides a kernel over a map.
func window(l *nn.Layer, from nn.Shape) []message {
	top, bottom := l.Pads(from.H)
	left, right := l.Pads(from.W)
	return []message{
		ints("kernel_shape", l.Kernel, l.Kernel), ints("strides", l.Stride, l.Stride), ints("pads", top, left, bottom, right),
	}
}

func (e *encoder) weighted(l *nn.Layer, from nn.Shape, out, input string) {
	weight, bias := e.weights[l.Name+".weight"], e.weights[l.Name+".bias"]
	shape := weight.Shape
	attributes := []message{integer("group", 1)}
	switch l.Kind {
	case nn.Dense: // a 1×1 convolution, which keeps the four dimensions
		shape = append(slices.Clone(shape), 1, 1)
	case nn.Depthwise:
		attributes = append([]message{integer("group", l.Channels)}, window(l, from)...)
	default:
		attributes = append(attributes, window(l, from)...)
	}
	e.node("Conv", out, []string{
		input, e.constant(l.Name+".weight", shape, weight.Data), e.constant(l.Name+".bias", bias.Shape, bias.Data),
	}, attributes...)
}

func (e *encoder) generalisedMean(l *nn.Layer, out, input string) {
	p := e.weights[l.Name+nn.GeMPower].Data
	floor := e.constant(l.Name+"/floor", nil, []float32{nn.GeMFloor})
	power := e.constant(l.Name+nn.GeMPower, []int{1}, p)
	root := e.constant(l.Name+"/root", []int{1}, []float32{1 / p[0]})
	e.node("Clip", l.Name+"/floored", []string{input, floor})
	e.node("Pow", l.Name+"/raised", []string{l.Name + "/floored", power})
	e.node("GlobalAveragePool", l.Name+"/mean", []string{l.Name + "/raised"})
	e.node("Pow", out, []string{l.Name + "/mean", root})
}

func (e *encoder) activate(l *nn.Layer, in string) error {
	switch l.Activation {
	case nn.ReLU:
		e.node("Relu", l.Name, []string{in})
	case nn.ReLU6:
		low := e.constant(l.Name+"/low", nil, []float32{0})
		e.node("Clip", l.Name, []string{in, low, e.constant(l.Name+"/high", nil, []float32{6})})
	case nn.HSwish:
		e.node("HardSwish", l.Name, []string{in})
	case nn.Sigmoid:
		e.node("Sigmoid", l.Name, []string{in})
	case nn.SiLU:
		e.node("Sigmoid", l.Name+"/gate", []string{in})
		e.node("Mul", l.Name, []string{in, l.Name + "/gate"})
	case nn.HSigmoid:
		e.node("HardSigmoid", l.Name, []string{in}, float("alpha", 1.0/6), float("beta", 0.5))
	default:
		return fmt.Errorf("activation %q cannot be written", l.Activation)
	}
	return nil
}
