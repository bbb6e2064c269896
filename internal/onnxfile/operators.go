package onnxfile

import (
	"errors"
	"fmt"
	"math"

	"xbmedge/internal/assemble"
	"xbmedge/internal/nn"
)

// operator reads one node.
func (r *reader) operator(o *operator) error {
	r.node = o
	r.b.Origin = fmt.Sprintf("operator %.100s (node %.100q)", o.kind, o.title())
	v, err := r.result()
	if err != nil {
		return fmt.Errorf("%s: %w", r.b.Origin, err)
	}
	r.values[o.outputs[0]] = v
	return nil
}

// title is what the node is called, or its value where it has no name.
func (o *operator) title() string {
	if o.name == "" && len(o.outputs) > 0 {
		return o.outputs[0]
	}
	return o.name
}

func (r *reader) result() (operand, error) {
	o := r.node
	if len(o.outputs) == 0 {
		return operand{}, errDamaged
	}
	if o.domain != "" && o.domain != "ai.onnx" {
		return operand{}, fmt.Errorf("its operator set %.100q is not known: export with ONNX's own operators", o.domain)
	}
	if o.kind == "Constant" {
		return r.literal()
	}
	if len(o.inputs) == 0 {
		return operand{}, errDamaged
	}
	if c, err := r.shapes(); c != nil || err != nil {
		return operand{constant: c}, err
	}
	if v, ok, err := r.lengths(); ok || err != nil {
		return v, err
	}
	return r.computed()
}

// computed reads an operator on what is computed from the picture.
func (r *reader) computed() (operand, error) {
	o := r.node
	name := o.outputs[0]
	switch o.kind {
	case "Add", "Sub", "Mul", "Div":
		return r.arithmetic()
	case "Concat":
		return r.concat()
	case "QuantizeLinear", "DequantizeLinear", "QLinearConv", "ConvInteger", "DynamicQuantizeLinear", "MatMulInteger":
		return operand{}, errors.New("the model is already quantised: export the float model, xbm-convert quantises it")
	case "Softmax", "LogSoftmax":
		return operand{}, fmt.Errorf("its classes' probabilities are no embedding: choose a value before it as the output, such as %s", list(r.vectors()))
	}
	x, err := r.input(o.inputs[0])
	if err != nil {
		return operand{}, err
	}
	unary := func(v assemble.Value, err error) (operand, error) { return x.like(v), err }
	switch o.kind {
	case "Identity", "Dropout", "Cast", "Expand":
		return x, nil
	case "Relu":
		return unary(r.b.Activate(name, x.value, nn.ReLU))
	case "Sigmoid":
		return unary(r.b.Activate(name, x.value, nn.Sigmoid))
	case "Swish":
		if alpha, _ := r.real("alpha", 1, 1); alpha != 1 {
			return operand{}, fmt.Errorf("an alpha of %g", alpha)
		}
		return unary(r.b.Activate(name, x.value, nn.SiLU))
	case "HardSwish":
		return unary(r.b.Activate(name, x.value, nn.HSwish))
	case "HardSigmoid":
		alpha, _ := r.real("alpha", 1, 0.2)
		beta, _ := r.real("beta", 1, 0.5)
		return unary(r.b.HardSigmoid(name, x.value, alpha, beta))
	case "LeakyRelu":
		alpha, _ := r.real("alpha", 1, 0.01)
		return unary(r.b.Leaky(name, x.value, []float32{float32(alpha)}))
	case "PRelu":
		slope, err := r.reals(1)
		if err != nil {
			return operand{}, err
		}
		values, err := x.perChannel(slope)
		if err != nil {
			return operand{}, err
		}
		return unary(r.b.Leaky(name, x.value, values))
	case "Clip":
		low, high, err := r.bounds()
		if err != nil {
			return operand{}, err
		}
		return unary(r.b.Clip(name, x.value, low, high))
	case "Pow":
		p, err := r.real("", 1, math.NaN())
		if err != nil {
			return operand{}, err
		}
		return unary(r.b.Power(name, x.value, p))
	case "BatchNormalization":
		return r.batchNorm(x)
	case "Conv":
		return r.conv(x)
	case "MaxPool", "AveragePool", "GlobalAveragePool", "GlobalMaxPool", "ReduceMean":
		return r.pool(x)
	case "Gemm", "MatMul":
		return r.dense(x)
	case "Pad":
		return r.pad(x)
	case "LpNormalization":
		a, err := axis(r.int("axis", -1), len(x.dims))
		if err != nil || a != x.channels() || r.int("p", 2) != 2 {
			return operand{}, errors.New("only the euclidean length of the channels can be divided by")
		}
		return unary(r.b.Unit(name, x.value))
	case "Flatten", "Reshape", "Squeeze", "Unsqueeze", "Transpose", "Slice":
		return r.reshape(x)
	}
	return operand{}, errors.New("it cannot be represented: leave it out of the network, or choose a value before it as the output")
}

// vectors returns the names of the last vectors that were computed.
func (r *reader) vectors() []string {
	var names []string
	for i := range r.graph.nodes {
		o := &r.graph.nodes[i]
		if len(o.outputs) == 0 {
			continue
		}
		if v, ok := r.values[o.outputs[0]]; ok && v.constant == nil && v.vector() && len(v.dims) == 2 {
			names = append(names, o.outputs[0])
		}
	}
	return names[max(len(names)-3, 0):]
}

func (r *reader) bounds() (low, high float64, err error) {
	if low, err = r.real("min", 1, math.Inf(-1)); err != nil {
		return 0, 0, err
	}
	high, err = r.real("max", 2, math.Inf(1))
	return low, high, err
}

// arithmetic reads a sum, difference, product or quotient: of two values, or of one and a constant.
func (r *reader) arithmetic() (operand, error) {
	o := r.node
	if len(o.inputs) != 2 {
		return operand{}, errDamaged
	}
	x, err := r.any(o.inputs[0])
	if err != nil {
		return operand{}, err
	}
	y, err := r.any(o.inputs[1])
	if err != nil {
		return operand{}, err
	}
	if x.constant != nil && y.constant != nil {
		return operand{}, errConstants
	}
	if x.constant == nil && y.constant == nil {
		return r.both()
	}
	constantFirst := x.constant != nil
	if constantFirst {
		x, y = y, x
	}
	if x.step != plain {
		_, err := r.input(o.inputs[0])
		return operand{}, err
	}
	values, err := x.perChannel(y.constant)
	if err != nil {
		return operand{}, err
	}
	var scale, shift []float32
	each := func(f func(float32) float32) ([]float32, error) {
		out := make([]float32, len(values))
		for i, v := range values {
			out[i] = f(v)
		}
		return out, r.b.Spend(len(values))
	}
	switch {
	case o.kind == "Add":
		shift = values
	case o.kind == "Mul":
		scale = values
	case o.kind == "Sub" && constantFirst:
		scale, shift = []float32{-1}, values
	case o.kind == "Sub":
		shift, err = each(func(v float32) float32 { return -v })
	case !constantFirst:
		scale, err = each(func(v float32) float32 { return 1 / v })
	default:
		err = errors.New("it divides a constant by a value")
	}
	if err != nil {
		return operand{}, err
	}
	v, err := r.b.Affine(o.outputs[0], x.value, scale, shift)
	return x.like(v), err
}

// both reads a sum or product of two values.
func (r *reader) both() (operand, error) {
	o := r.node
	x, err := r.input(o.inputs[0])
	if err != nil {
		return operand{}, err
	}
	y, err := r.input(o.inputs[1])
	if err != nil {
		return operand{}, err
	}
	if x.layout != y.layout && !x.vector() && !y.vector() {
		return operand{}, errors.New("its values are laid out differently")
	}
	larger := x
	if x.vector() {
		larger = y
	}
	var v assemble.Value
	switch o.kind {
	case "Add":
		v, err = r.b.Add(o.outputs[0], x.value, y.value)
	case "Mul":
		v, err = r.b.Mul(o.outputs[0], x.value, y.value)
	default:
		err = errors.New("it takes two values that are computed, and only sums and products of those can be represented")
	}
	return larger.like(v), err
}

func (r *reader) concat() (operand, error) {
	o := r.node
	var first operand
	values := make([]assemble.Value, 0, len(o.inputs))
	for i, name := range o.inputs {
		x, err := r.input(name)
		if err != nil {
			return operand{}, err
		}
		a, err := axis(r.int("axis", 1), len(x.dims))
		if err != nil || a != x.channels() || x.layout > pixels && !x.vector() {
			return operand{}, errors.New("it joins along another dimension than the channels")
		}
		if i == 0 {
			first = x
		}
		if x.layout != first.layout && !x.vector() {
			return operand{}, errors.New("its values are laid out differently")
		}
		values = append(values, x.value)
	}
	v, err := r.b.Concat(o.outputs[0], values...)
	return first.like(v), err
}
