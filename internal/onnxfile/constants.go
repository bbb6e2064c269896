package onnxfile

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"xbmedge/internal/nn"
)

// errConstants is the end for constants that are computed in a way that exporters of networks do not.
var errConstants = errors.New("it computes constants: simplify the model first")

// realConstant computes what exporters leave between a parameter and its use.
func (r *reader) realConstant(in []*constant) (*constant, error) {
	c := in[0]
	switch r.node.kind {
	case "Identity":
		return c, nil
	case "Cast":
		if to := r.int("to", typeFloat); to == typeInt64 || to == typeInt32 {
			return truncated(c)
		}
		return c, nil
	case "Transpose":
		perm := r.node.attributes["perm"].ints
		if len(c.Shape) != 2 || len(perm) != 0 && !slices.Equal(perm, []int{1, 0}) {
			return nil, fmt.Errorf("a constant of shape %v turned by %v: simplify the model first", c.Shape, perm)
		}
		values, err := r.transpose(c)
		return &constant{Tensor: nn.Tensor{Shape: []int{c.Shape[1], c.Shape[0]}, Data: values}}, err
	case "Reshape", "Unsqueeze", "Squeeze", "Flatten":
		shape, err := r.newShape(c.Shape)
		return &constant{Tensor: nn.Tensor{Shape: shape, Data: c.Data}}, err
	case "Concat":
		var all []float32
		for _, part := range in {
			if part == nil || part.integer || len(part.Shape) > 1 || len(all)+len(part.Data) > maxInts {
				return nil, errConstants
			}
			all = append(all, part.Data...)
		}
		return &constant{Tensor: nn.Tensor{Shape: []int{len(all)}, Data: all}}, nil
	case "Clip":
		low, high, err := r.bounds()
		if err != nil {
			return nil, err
		}
		return r.elementwise(c, oneZero(), func(v, _ float64) float64 { return min(max(v, low), high) })
	case "Reciprocal", "Sqrt", "Neg", "Ceil", "Floor":
		f := map[string]func(float64) float64{
			"Reciprocal": func(v float64) float64 { return 1 / v }, "Sqrt": math.Sqrt, "Neg": func(v float64) float64 { return -v },
			"Ceil": math.Ceil, "Floor": math.Floor,
		}[r.node.kind]
		return r.elementwise(c, oneZero(), func(v, _ float64) float64 { return f(v) })
	}
	f, ok := map[string]func(a, b float64) float64{
		"Add": func(a, b float64) float64 { return a + b }, "Sub": func(a, b float64) float64 { return a - b },
		"Mul": func(a, b float64) float64 { return a * b }, "Div": func(a, b float64) float64 { return a / b }, "Pow": math.Pow,
		"Max": math.Max, "Min": math.Min,
	}[r.node.kind]
	if !ok || len(in) != 2 || in[1] == nil || in[1].integer {
		return nil, errConstants
	}
	return r.elementwise(c, in[1], f)
}

// truncated returns real numbers without their fractions: as many as a shape has.
func truncated(c *constant) (*constant, error) {
	if len(c.Data) > maxInts {
		return nil, errConstants
	}
	out := make([]int, len(c.Data))
	for i, v := range c.Data {
		if !(math.Abs(float64(v)) < math.MaxInt32) {
			return nil, errConstants
		}
		out[i] = int(v)
	}
	return integers64(out, c.Shape...), nil
}

// oneZero is the second operand of functions that have only one.
func oneZero() *constant { return &constant{Tensor: nn.Tensor{Data: []float32{0}}} }

// elementwise computes f of two constants of the same shape, or of which one is a number.
func (r *reader) elementwise(a, b *constant, f func(a, b float64) float64) (*constant, error) {
	shape := a.Shape
	if len(a.Data) == 1 && len(b.Data) > 1 {
		shape = b.Shape
	}
	n := max(len(a.Data), len(b.Data))
	if len(a.Data) != 1 && len(b.Data) != 1 && !slices.Equal(a.Shape, b.Shape) || min(len(a.Data), len(b.Data)) == 0 {
		return nil, errConstants
	}
	if err := r.b.Spend(n); err != nil {
		return nil, err
	}
	out := make([]float32, n)
	for i := range out {
		out[i] = float32(f(float64(a.Data[i%len(a.Data)]), float64(b.Data[i%len(b.Data)])))
	}
	return &constant{Tensor: nn.Tensor{Shape: shape, Data: out}}, nil
}

// integerConstant computes shapes, axes and paddings.
func (r *reader) integerConstant(in []*constant) (*constant, error) {
	c := in[0]
	switch r.node.kind {
	case "Identity":
		return c, nil
	case "Cast":
		if to := r.int("to", typeInt64); to == typeFloat || to == typeHalf || to == typeDouble {
			data := make([]float32, len(c.ints)) // as short as a shape
			for i, v := range c.ints {
				data[i] = float32(v)
			}
			return &constant{Tensor: nn.Tensor{Shape: c.Shape, Data: data}}, nil
		}
		return c, nil
	case "ConstantOfShape":
		n := 1
		for _, d := range c.ints {
			if d < 0 || d > maxInts || n*d > maxInts {
				return nil, errConstants
			}
			n *= d
		}
		value, _ := r.node.attributes["value"].tensor.number()
		return integers64(slices.Repeat([]int{int(value)}, n), c.ints...), nil
	case "Reshape", "Unsqueeze", "Squeeze", "Flatten":
		shape, err := r.newShape(c.Shape)
		return integers64(c.ints, shape...), err
	case "Transpose":
		if len(c.Shape) != 2 || len(c.ints) != c.Shape[0]*c.Shape[1] {
			return nil, errConstants
		}
		h, w := c.Shape[0], c.Shape[1]
		out := make([]int, len(c.ints))
		for i, v := range c.ints {
			out[i%w*h+i/w] = v
		}
		return integers64(out, w, h), nil
	case "Concat":
		var all []int
		for _, part := range in {
			if part == nil || !part.integer || len(part.Shape) > 1 || len(all)+len(part.ints) > maxInts {
				return nil, errConstants
			}
			all = append(all, part.ints...)
		}
		return integers64(all, len(all)), nil
	case "Gather":
		if len(in) < 2 || in[1] == nil || len(c.Shape) > 1 {
			return nil, errConstants
		}
		out := make([]int, len(in[1].ints))
		for i, at := range in[1].ints {
			at, err := axis(at, len(c.ints))
			if err != nil {
				return nil, err
			}
			out[i] = c.ints[at]
		}
		return integers64(out, in[1].Shape...), nil
	case "Slice":
		return r.rows(c)
	}
	return r.integerArithmetic(in)
}

// integers64 returns a constant of that shape.
func integers64(values []int, shape ...int) *constant {
	return &constant{Tensor: nn.Tensor{Shape: shape}, ints: values, integer: true}
}

func (r *reader) integerArithmetic(in []*constant) (*constant, error) {
	if r.node.kind == "Clip" {
		low, high, err := r.bounds()
		out := make([]int, len(in[0].ints))
		for i, v := range in[0].ints {
			out[i] = int(min(max(float64(v), low, math.MinInt32), high, math.MaxInt32))
		}
		return integers64(out, in[0].Shape...), err
	}
	if len(in) != 2 || in[1] == nil || !in[1].integer || len(in[0].ints) != 1 || len(in[1].ints) != 1 {
		return nil, errConstants
	}
	a, b := in[0].ints[0], in[1].ints[0]
	shape := in[0].Shape
	switch {
	case r.node.kind == "Add":
		a += b
	case r.node.kind == "Sub":
		a -= b
	case r.node.kind == "Mul":
		a *= b
	case r.node.kind == "Div" && b != 0:
		a /= b
	case r.node.kind == "Max":
		a = max(a, b)
	case r.node.kind == "Min":
		a = min(a, b)
	default:
		return nil, errConstants
	}
	return integers64([]int{a}, shape...), nil
}

// rows reads a Slice of the first dimension of integers, which may turn their order around.
func (r *reader) rows(c *constant) (*constant, error) {
	starts, err := r.ints("starts", 1)
	if err != nil {
		return nil, err
	}
	ends, err := r.ints("ends", 2)
	if err != nil {
		return nil, err
	}
	axes, err := r.ints("axes", 3)
	if err != nil {
		return nil, err
	}
	steps, err := r.ints("steps", 4)
	if err != nil {
		return nil, err
	}
	if len(starts) != 1 || len(ends) != 1 || len(axes) > 0 && axes[0] != 0 || len(c.Shape) == 0 || c.Shape[0] == 0 {
		return nil, errConstants
	}
	n := c.Shape[0]
	width := len(c.ints) / n
	out := []int{}
	switch {
	case len(steps) == 1 && steps[0] == -1 && starts[0] == -1 && ends[0] < -n:
		for i := n - 1; i >= 0; i-- {
			out = append(out, c.ints[i*width:(i+1)*width]...)
		}
	case len(steps) == 0 || steps[0] == 1:
		first, last := span(n, starts[0], ends[0])
		n = last - first
		out = append(out, c.ints[first*width:last*width]...)
	default:
		return nil, errConstants
	}
	return integers64(out, append([]int{n}, c.Shape[1:]...)...), nil
}

// span returns the first of n and the one after the last of a slice whose bounds may count from the end.
func span(n, start, end int) (first, last int) {
	bound := func(i int) int {
		if i < 0 {
			i += n
		}
		return min(max(i, 0), n)
	}
	first = bound(start)
	return first, max(first, bound(end))
}
