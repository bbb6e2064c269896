package tflitefile

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"xbmedge/internal/assemble"
	"xbmedge/internal/nn"
)

// operator reads one operator.
func (r *reader) operator(o *Operator) error {
	r.op = o
	if len(o.Outputs) != 1 || len(o.Inputs) == 0 {
		return fmt.Errorf("operator %.100s: it has %d inputs and %d outputs", o.Name(), len(o.Inputs), len(o.Outputs))
	}
	r.b.Origin = fmt.Sprintf("operator %.100s (%.100q)", o.Name(), r.name())
	if o.Op == Dequantize && r.isConstant(0) {
		c, _, err := r.constant(0)
		r.constants[o.Outputs[0]] = c
		return err
	}
	v, err := r.result()
	if err == nil && o.Options.Activation != None {
		v, err = r.fused(v)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", r.b.Origin, err)
	}
	if declared := r.model.Tensors[o.Outputs[0]]; declared.Len() > 0 && declared.Len()%v.Shape.Size() != 0 {
		return fmt.Errorf("%s: it gives %v, where the file says %v", r.b.Origin, v.Shape, declared.Shape)
	}
	r.values[o.Outputs[0]] = v
	return nil
}

// fused applies the function that is part of the operator.
func (r *reader) fused(v assemble.Value) (assemble.Value, error) {
	switch a := r.op.Options.Activation; a {
	case ReLU:
		return r.b.Activate(r.name(), v, nn.ReLU)
	case ReLU6:
		return r.b.Activate(r.name(), v, nn.ReLU6)
	default:
		return v, fmt.Errorf("its fused activation %d cannot be represented", a)
	}
}

func (r *reader) result() (assemble.Value, error) {
	o := r.op
	switch o.Op {
	case Add, Sub, Mul, Div:
		return r.arithmetic()
	case Maximum, Minimum, Pow:
		return r.constantStep()
	case Concatenation:
		return r.concatenation()
	case Softmax:
		return assemble.Value{}, fmt.Errorf("its classes' probabilities are no embedding: choose a tensor before it as the output, such as %s", r.vectors())
	}
	x, err := r.input(0)
	if err != nil {
		return x, err
	}
	name := r.name()
	switch o.Op {
	case Conv2D, DepthwiseConv2D:
		return r.convolution(x)
	case FullyConnected:
		return r.dense(x)
	case MaxPool2D, AveragePool2D:
		return r.pool(x)
	case Mean:
		axes, err := r.ints(1)
		if err != nil {
			return x, err
		}
		for i, a := range axes {
			if a < 0 {
				axes[i] += 4
			}
		}
		slices.Sort(axes)
		if !slices.Equal(axes, []int{1, 2}) {
			return x, fmt.Errorf("a mean over dimensions %v: only one over height and width can be represented", axes)
		}
		return r.b.GlobalAvg(name, x)
	case Pad:
		return r.pad(x)
	case Relu:
		return r.b.Activate(name, x, nn.ReLU)
	case Relu6:
		return r.b.Activate(name, x, nn.ReLU6)
	case HardSwish:
		return r.b.Activate(name, x, nn.HSwish)
	case Logistic:
		return r.b.Activate(name, x, nn.Sigmoid)
	case L2Normalization:
		return r.b.Unit(name, x)
	case Reshape, Squeeze, ExpandDims:
		return r.reshape(x)
	}
	return x, errors.New("it cannot be represented: choose a tensor before it as the output, if one is the embedding")
}

// vectors returns the names of the last vectors that were computed.
func (r *reader) vectors() string {
	var found []int
	for i := range r.model.Operators {
		for _, t := range r.model.Operators[i].Outputs {
			if v, ok := r.values[t]; ok && v.Shape.H == 1 && v.Shape.W == 1 {
				found = append(found, t)
			}
		}
	}
	return r.model.names(found[max(len(found)-3, 0):])
}

// perChannel returns constant i, which may differ from channel to channel of a value of that shape.
func (r *reader) perChannel(i int, s nn.Shape) ([]float32, error) {
	c, shape, err := r.constant(i)
	if err != nil {
		return nil, err
	}
	if len(c) != 1 && (len(c) != s.C || len(shape) == 0 || shape[len(shape)-1] != s.C) {
		return nil, fmt.Errorf("its constant of shape %v differs within the channels of %v", shape, s)
	}
	return c, nil
}

// arithmetic reads a sum, difference, product or quotient: of two values, or of one and a constant.
func (r *reader) arithmetic() (assemble.Value, error) {
	o, name := r.op, r.name()
	if len(o.Inputs) != 2 {
		return assemble.Value{}, errors.New("it lacks an input")
	}
	first, second := 0, 1
	if r.isConstant(0) {
		first, second = 1, 0
	}
	x, err := r.input(first)
	if err != nil {
		return x, err
	}
	if !r.isConstant(second) {
		y, err := r.input(second)
		switch {
		case err != nil:
			return y, err
		case o.Op == Add:
			return r.b.Add(name, x, y)
		case o.Op == Mul:
			return r.b.Mul(name, x, y)
		}
		return x, errors.New("only sums and products of two computed values can be represented")
	}
	values, err := r.perChannel(second, x.Shape)
	if err != nil {
		return x, err
	}
	changed := make([]float32, len(values)) // as long as the constant, which was paid for
	for i, v := range values {
		changed[i] = -v
		if o.Op == Div {
			changed[i] = 1 / v
		}
	}
	switch {
	case o.Op == Add:
		return r.b.Affine(name, x, nil, values)
	case o.Op == Mul:
		return r.b.Affine(name, x, values, nil)
	case o.Op == Sub && first == 1:
		return r.b.Affine(name, x, []float32{-1}, values)
	case o.Op == Sub:
		return r.b.Affine(name, x, nil, changed)
	case first == 1:
		return x, errors.New("it divides a constant by a value")
	}
	return r.b.Affine(name, x, changed, nil)
}

// constantStep reads a bound or a power.
func (r *reader) constantStep() (assemble.Value, error) {
	x, err := r.input(0)
	if err != nil {
		return x, err
	}
	c, _, err := r.constant(1)
	if err != nil {
		return x, err
	}
	if len(c) != 1 {
		return x, fmt.Errorf("it takes %d numbers, and only one can be represented", len(c))
	}
	switch r.op.Op {
	case Maximum:
		return r.b.Clip(r.name(), x, float64(c[0]), math.Inf(1))
	case Minimum:
		return r.b.Ceiling(r.name(), x, float64(c[0]))
	}
	return r.b.Power(r.name(), x, float64(c[0]))
}

func (r *reader) concatenation() (assemble.Value, error) {
	var values []assemble.Value
	for i := range r.op.Inputs {
		x, err := r.input(i)
		if err != nil {
			return x, err
		}
		values = append(values, x)
	}
	if rank := len(r.model.Tensors[r.op.Inputs[0]].Shape); r.op.Options.Axis != -1 && r.op.Options.Axis != rank-1 {
		return assemble.Value{}, fmt.Errorf("it joins along dimension %d: only channels can be joined", r.op.Options.Axis)
	}
	return r.b.Concat(r.name(), values...)
}
