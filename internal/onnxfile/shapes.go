package onnxfile

import (
	"errors"
	"fmt"
	"slices"

	"xbmedge/internal/nn"
)

// literal reads a constant that is a node.
func (r *reader) literal() (operand, error) {
	a := r.node.attributes
	switch {
	case a["value"].tensor != nil:
		return operand{constant: a["value"].tensor}, nil
	case a["value_ints"].ints != nil:
		return integerList(a["value_ints"].ints)
	case a["value_floats"].floats != nil:
		f := a["value_floats"].floats
		return operand{constant: &constant{Tensor: nn.Tensor{Shape: []int{len(f)}, Data: f}}}, nil
	}
	if v, ok := a["value_float"]; ok {
		return operand{constant: &constant{Tensor: nn.Tensor{Data: []float32{float32(v.number)}}}}, nil
	}
	if v, ok := a["value_int"]; ok {
		return operand{constant: integers64([]int{v.int})}, nil
	}
	return operand{}, errors.New("its kind of constant is not known")
}

func integerList(values []int) (operand, error) {
	if len(values) > maxInts {
		return operand{}, fmt.Errorf("%d integers: more than any shape has", len(values))
	}
	return operand{constant: integers64(values, len(values))}, nil
}

// shapes computes what follows from shapes and constants alone; it is nil for all that does not.
func (r *reader) shapes() (*constant, error) {
	o := r.node
	if o.kind == "Shape" {
		x, err := r.any(o.inputs[0])
		if err != nil {
			return nil, err
		}
		dims := x.dims
		if x.constant != nil {
			dims = x.constant.Shape
		}
		first, last := span(len(dims), r.int("start", 0), r.int("end", len(dims)))
		v, err := integerList(dims[first:last])
		return v.constant, err
	}
	in := make([]*constant, len(o.inputs))
	for i, name := range o.inputs {
		if name == "" {
			continue
		}
		v := r.values[name]
		if v.constant == nil {
			return nil, nil // the operator itself says what it misses
		}
		in[i] = v.constant
	}
	if in[0] == nil {
		return nil, errDamaged
	}
	if !in[0].integer {
		return r.realConstant(in)
	}
	return r.integerConstant(in)
}

// newShape returns what Reshape, Unsqueeze, Squeeze or Flatten make of dimensions.
func (r *reader) newShape(dims []int) ([]int, error) {
	axesFrom := func(rank int) ([]int, error) {
		axes, err := r.ints("axes", 1)
		out := make([]int, len(axes))
		for i, a := range axes {
			if out[i], err = axis(a, rank); err != nil {
				return nil, err
			}
		}
		return out, err
	}
	switch r.node.kind {
	case "Flatten":
		at, err := axis(r.int("axis", 1), len(dims)+1)
		if err != nil {
			return nil, err
		}
		before, after := 1, 1
		for i, d := range dims {
			if i < at {
				before *= d
			} else {
				after *= d
			}
		}
		return []int{before, after}, nil
	case "Unsqueeze":
		given, err := r.ints("axes", 1)
		if err != nil {
			return nil, err
		}
		if len(dims)+len(given) > 8 {
			return nil, errDamaged
		}
		axes, err := axesFrom(len(dims) + len(given))
		if err != nil {
			return nil, err
		}
		out, rest := []int{}, dims
		for i := range len(dims) + len(axes) {
			switch {
			case slices.Contains(axes, i):
				out = append(out, 1)
			case len(rest) > 0:
				out, rest = append(out, rest[0]), rest[1:]
			}
		}
		return out, nil
	case "Squeeze":
		axes, err := axesFrom(len(dims))
		if err != nil {
			return nil, err
		}
		var out []int
		for i, d := range dims {
			if d == 1 && (slices.Contains(axes, i) || len(axes) == 0 && i > 0) { // the batch is one only here
				continue
			}
			out = append(out, d)
		}
		return out, nil
	}
	wanted, err := r.ints("shape", 1)
	if err != nil {
		return nil, err
	}
	return r.fill(wanted, dims)
}

// fill works out the dimensions that a Reshape leaves open.
func (r *reader) fill(wanted, dims []int) ([]int, error) {
	total := 1
	for _, d := range dims {
		total *= d
	}
	if len(wanted) > 8 {
		return nil, errDamaged
	}
	out, known, open := slices.Clone(wanted), 1, -1
	for i, d := range out {
		switch {
		case i == 0 && d == r.batch:
			out[i] = 1
		case d == 0 && i < len(dims) && r.int("allowzero", 0) == 0:
			out[i] = dims[i]
		case d == -1 && open < 0:
			open = i
			continue
		}
		if out[i] <= 0 || known > total/out[i] {
			return nil, fmt.Errorf("dimensions %v become %v", dims, wanted)
		}
		known *= out[i]
	}
	if open >= 0 {
		out[open] = total / known
		known *= out[open]
	}
	if known != total {
		return nil, fmt.Errorf("dimensions %v become %v", dims, wanted)
	}
	return out, nil
}

// reshape reads an operator that moves values and computes nothing: where it leaves a map a map, or makes a vector of it.
func (r *reader) reshape(x operand) (operand, error) {
	switch r.node.kind {
	case "Transpose":
		return r.turn(x)
	case "Slice":
		return r.whole(x)
	}
	dims, err := r.newShape(x.dims)
	if err != nil {
		return operand{}, err
	}
	if x.vector() {
		x.dims = dims
		return x, nil
	}
	for _, l := range []layout{planes, rows, flat} {
		if slices.Equal(dims, l.dims(x.value.Shape)) && x.layout != pixels {
			x.layout, x.dims = l, dims
			return x, nil
		}
	}
	return operand{}, fmt.Errorf("dimensions %v become %v: only the pixels of a map, or all of it, can become one dimension", x.dims, dims)
}

// turn reads a Transpose between the two layouts.
func (r *reader) turn(x operand) (operand, error) {
	perm := r.node.attributes["perm"].ints
	if len(perm) != len(x.dims) {
		return operand{}, fmt.Errorf("dimensions %v turned by %v", x.dims, perm)
	}
	dims := make([]int, len(perm))
	for i, p := range perm {
		if p < 0 || p >= len(dims) {
			return operand{}, errDamaged
		}
		dims[i] = x.dims[p]
	}
	switch {
	case x.vector():
	case x.layout == pixels && slices.Equal(perm, []int{0, 3, 1, 2}):
		x.layout = planes
	case x.layout == planes && slices.Equal(perm, []int{0, 2, 3, 1}):
		x.layout = pixels
	default:
		return operand{}, fmt.Errorf("dimensions %v turned by %v: only [N, H, W, C] and [N, C, H, W] can be exchanged", x.dims, perm)
	}
	x.dims = dims
	return x, nil
}

// whole reads a Slice that leaves nothing out.
func (r *reader) whole(x operand) (operand, error) {
	var lists [4][]int
	for i, name := range []string{"starts", "ends", "axes", "steps"} {
		var err error
		if lists[i], err = r.ints(name, i+1); err != nil {
			return operand{}, err
		}
	}
	starts, ends, axes, steps := lists[0], lists[1], lists[2], lists[3]
	for i := range starts {
		at := i
		if i < len(axes) {
			at = axes[i]
		}
		at, err := axis(at, len(x.dims))
		if err != nil || i >= len(ends) || i < len(steps) && steps[i] != 1 || starts[i] != 0 || ends[i] < x.dims[at] && at > 0 {
			return operand{}, errors.New("it takes a part of a map, which cannot be represented")
		}
	}
	return x, nil
}
