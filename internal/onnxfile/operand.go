package onnxfile

import (
	"errors"
	"fmt"
	"slices"

	"xbmedge/internal/assemble"
	"xbmedge/internal/nn"
)

// layout says in which order a value's dimensions are.
type layout int

// The layouts. Of a vector, with height and width 1, only the dimensions matter.
const (
	planes layout = iota // [1, C, H, W]
	pixels               // [1, H, W, C]
	rows                 // [1, C, H·W]
	flat                 // [1, C·H·W]
)

func (l layout) dims(s nn.Shape) []int {
	switch l {
	case pixels:
		return []int{1, s.H, s.W, s.C}
	case rows:
		return []int{1, s.C, s.H * s.W}
	case flat:
		return []int{1, s.Size()}
	}
	return []int{1, s.C, s.H, s.W}
}

// step is how far a value is on the way to a vector's length.
type step int

const (
	plain step = iota
	square
	squareSum
	length
)

// operand is a value of the graph while it is read. The batch has one sample.
type operand struct {
	constant *constant // or nil, and then the rest
	value    assemble.Value
	layout   layout
	dims     []int
	step     step // not plain: the squares, their sum or its root of what value is
}

func (o *operand) vector() bool { return o.value.Shape.H == 1 && o.value.Shape.W == 1 }

// channels returns the dimension that the channels are along.
func (o *operand) channels() int {
	switch {
	case o.vector() && len(o.dims) > 1:
		if i := slices.Index(o.dims[1:], o.value.Shape.C); i >= 0 {
			return i + 1
		}
	case o.layout == pixels:
		return 3
	}
	return min(1, len(o.dims)-1)
}

// like returns an operand laid out the same, for a value of the same height and width.
func (o operand) like(v assemble.Value) operand {
	if o.vector() && len(o.dims) > 0 {
		o.dims = slices.Clone(o.dims)
		o.dims[o.channels()] = v.Shape.C
	} else {
		o.dims = o.layout.dims(v.Shape)
	}
	o.value = v
	return o
}

// perChannel returns the values of a constant that is broadcast to an operand, of which only the channels may differ.
func (o *operand) perChannel(c *constant) ([]float32, error) {
	if c.integer {
		return nil, errors.New("its constant has integers")
	}
	if len(c.Data) == 1 {
		return c.Data, nil
	}
	axis := o.channels() - (len(o.dims) - len(c.Shape)) // dimensions are matched from the right
	if axis < 0 || axis >= len(c.Shape) || c.Shape[axis] != o.value.Shape.C || len(c.Data) != o.value.Shape.C || o.layout > pixels && !o.vector() {
		return nil, fmt.Errorf("its constant of shape %v differs within the channels of %v", c.Shape, o.dims)
	}
	return c.Data, nil
}

// axis brings an axis that may count from the end into range.
func axis(a, rank int) (int, error) {
	if a < 0 {
		a += rank
	}
	if a < 0 || a >= rank {
		return 0, fmt.Errorf("it has no dimension %d", a)
	}
	return a, nil
}

// reader turns a graph's operators into a builder's.
type reader struct {
	graph  *graph
	values map[string]operand
	b      *assemble.Builder
	summed map[string]bool // values of which only sums are asked for
	batch  int             // what the file has in place of one sample
	node   *operator
}

// any returns an input, which may be a constant.
func (r *reader) any(name string) (operand, error) {
	v, ok := r.values[name]
	if !ok {
		return operand{}, fmt.Errorf("its input %.100q is nowhere computed before it", name)
	}
	return v, nil
}

// input returns an input that is computed from the picture.
func (r *reader) input(name string) (operand, error) {
	v, err := r.any(name)
	switch {
	case err != nil:
		return v, err
	case v.constant != nil:
		return v, fmt.Errorf("its input %.100q is constant", name)
	case v.step != plain:
		return v, fmt.Errorf("its input %.100q is a step towards a vector's length, of which only the division can be represented", name)
	}
	return v, nil
}

// at returns the name of input i of the current node, empty where it is left out.
func (r *reader) at(i int) string {
	if i < len(r.node.inputs) {
		return r.node.inputs[i]
	}
	return ""
}

// maybe returns input i where it is there, a constant.
func (r *reader) maybe(i int) (*constant, error) {
	name := r.at(i)
	if name == "" {
		return nil, nil
	}
	v, err := r.any(name)
	if err == nil && v.constant == nil {
		err = fmt.Errorf("its input %.100q is not constant", name)
	}
	return v.constant, err
}

// reals returns input i, a constant of real numbers.
func (r *reader) reals(i int) (*constant, error) {
	c, err := r.maybe(i)
	if err == nil && (c == nil || c.integer) {
		err = fmt.Errorf("its input %d is no constant of real numbers", i)
	}
	return c, err
}

// ints returns integers that are an attribute in older operator sets and input i in newer ones.
func (r *reader) ints(attribute string, i int) ([]int, error) {
	if a, ok := r.node.attributes[attribute]; ok {
		return a.ints, nil
	}
	c, err := r.maybe(i)
	if err != nil || c == nil {
		return nil, err
	}
	if !c.integer || len(c.ints) == 0 && !slices.Contains(c.Shape, 0) {
		return nil, fmt.Errorf("its input %d is no list of integers", i)
	}
	return c.ints, nil
}

// real returns a number that is an attribute in older operator sets and input i in newer ones.
func (r *reader) real(attribute string, i int, otherwise float64) (float64, error) {
	if a, ok := r.node.attributes[attribute]; ok {
		return a.number, nil
	}
	c, err := r.maybe(i)
	if err != nil || c == nil {
		return otherwise, err
	}
	v, ok := c.number()
	if !ok {
		return 0, fmt.Errorf("its input %d is no number", i)
	}
	return v, nil
}

func (r *reader) int(attribute string, otherwise int) int {
	if a, ok := r.node.attributes[attribute]; ok {
		return a.int
	}
	return otherwise
}
