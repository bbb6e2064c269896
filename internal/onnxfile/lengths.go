package onnxfile

import (
	"errors"
	"math"
	"slices"
	"strings"
)

// lengths reads the steps of dividing a vector by its length: squares, their sum, its root, and the division. They are
// followed by name until the division shows that they were that.
func (r *reader) lengths() (operand, bool, error) {
	o := r.node
	x, ok := r.values[o.inputs[0]]
	if !ok {
		return operand{}, false, nil // it is told by whom needs it
	}
	x2, second := r.values[r.at(1)]
	small := func(c *constant) bool { v, ok := c.number(); return ok && v >= 0 && v < 0.01 }
	to := func(s step) (operand, bool, error) { x.step = s; return x, true, nil }
	switch {
	case o.kind == "Div" && second && x.step == plain && x.constant == nil && x2.step == length && x2.value == x.value:
		v, err := r.b.Unit(o.outputs[0], x.value)
		return x.like(v), true, err
	case x.constant != nil && (o.kind == "Max" || o.kind == "Add") && second && x2.step >= squareSum && small(x.constant):
		return x2, true, nil
	case x.constant != nil || !x.vector():
		return operand{}, false, nil
	case x.step == plain:
		sum := squareSum
		switch {
		case o.kind == "Mul" && o.inputs[0] == r.at(1) && r.summed[o.outputs[0]]:
			return to(square)
		case o.kind == "Pow" && second && isNumber(x2.constant, 2):
			return to(square)
		case o.kind == "ReduceL2":
			sum = length
			fallthrough
		case o.kind == "ReduceSumSquare":
			if err := r.overChannels(&x); err != nil {
				return operand{}, true, err
			}
			return to(sum)
		}
		return operand{}, false, nil
	case o.kind == "ReduceSum" && x.step == square:
		if err := r.overChannels(&x); err != nil {
			return operand{}, true, err
		}
		return to(squareSum)
	case o.kind == "Sqrt" && x.step == squareSum, o.kind == "Pow" && x.step == squareSum && second && isNumber(x2.constant, 0.5):
		return to(length)
	case slices.Contains([]string{"Identity", "Cast", "Expand", "Unsqueeze"}, o.kind):
		return x, true, nil
	case (o.kind == "Add" || o.kind == "Max") && x.step >= squareSum && second && small(x2.constant):
		return x, true, nil
	case o.kind == "Clip" && x.step >= squareSum:
		low, high, err := r.bounds()
		if err != nil || !(low < 0.01 && high >= math.MaxFloat32) {
			return operand{}, true, errors.New("it limits a vector's length")
		}
		return x, true, nil
	}
	return operand{}, false, nil
}

// summed returns the values of which only sums are asked for.
func (g *graph) summed() map[string]bool {
	summed := map[string]bool{}
	for i := range g.nodes {
		o := &g.nodes[i]
		for _, in := range o.inputs {
			only, seen := summed[in]
			summed[in] = strings.HasPrefix(o.kind, "ReduceSum") && (only || !seen)
		}
	}
	return summed
}

func isNumber(c *constant, want float64) bool {
	v, ok := c.number()
	return ok && v == want
}

// overChannels refuses a sum over anything but the channels of a vector.
func (r *reader) overChannels(x *operand) error {
	axes, err := r.ints("axes", 1)
	if err != nil {
		return err
	}
	for _, a := range axes {
		if a, err = axis(a, len(x.dims)); err != nil {
			return err
		}
		if a != x.channels() {
			return errors.New("it sums over another dimension than the channels")
		}
	}
	return nil
}
