package tflitefile

import (
	"fmt"
	"slices"

	"xbmedge/internal/assemble"
	"xbmedge/internal/nn"
)

// window reads how a kernel of that height and width slides over a map.
func (r *reader) window(x assemble.Value, height, width int) (assemble.Window, error) {
	opt := &r.op.Options
	if height != width || opt.StrideH != opt.StrideW || opt.Dilated {
		return assemble.Window{}, fmt.Errorf("a kernel of %d×%d with strides %d×%d: only square ones, without dilation, can be represented",
			height, width, opt.StrideH, opt.StrideW)
	}
	if opt.Valid {
		return assemble.Window{Kernel: height, Stride: opt.StrideH}, nil
	}
	return assemble.SameWindow(height, opt.StrideH, x.Shape), nil
}

// convolution reads a convolution: its weight is [out, k, k, in], or [1, k, k, channels] where it is depthwise.
func (r *reader) convolution(x assemble.Value) (assemble.Value, error) {
	weight, shape, err := r.constant(1)
	if err != nil {
		return x, err
	}
	bias, _, err := r.constant(2)
	if err != nil {
		return x, err
	}
	if len(shape) != 4 {
		return x, fmt.Errorf("a weight of shape %v", shape)
	}
	w, err := r.window(x, shape[1], shape[2])
	if err != nil {
		return x, err
	}
	depthwise := r.op.Op == DepthwiseConv2D
	if depthwise && shape[0] != 1 || !depthwise && shape[3] != x.Shape.C {
		return x, fmt.Errorf("a weight of shape %v for %d channels: grouped convolutions cannot be represented", shape, x.Shape.C)
	}
	if err := r.b.Spend(len(weight)); err != nil {
		return x, err
	}
	return r.b.Conv(r.name(), x, w, depthwise, planes(weight, shape, depthwise), bias)
}

// planes returns a convolution's weight as nn has it, [out, in, k, k]: the inverse of kernel.
func planes(weight []float32, shape []int, depthwise bool) []float32 {
	out := make([]float32, len(weight))
	area, last := shape[1]*shape[2], shape[3]
	for i, v := range weight {
		o, p, c := i/(area*last), i/last%area, i%last
		if depthwise {
			out[c*area+p] = v
		} else {
			out[(o*last+c)*area+p] = v
		}
	}
	return out
}

// dense reads a FULLY_CONNECTED, whose weight is [out, in]. The values of a map come in the order H, W, C.
func (r *reader) dense(x assemble.Value) (assemble.Value, error) {
	weight, shape, err := r.constant(1)
	if err != nil {
		return x, err
	}
	bias, _, err := r.constant(2)
	if err != nil {
		return x, err
	}
	s := x.Shape
	if len(shape) != 2 || shape[1] != s.Size() {
		return x, fmt.Errorf("a matrix of shape %v for an input of %v", shape, s)
	}
	if s.H != 1 || s.W != 1 {
		if err := r.b.Spend(len(weight)); err != nil {
			return x, err
		}
		weight = planes(weight, []int{shape[0], s.H, s.W, s.C}, false)
	}
	return r.b.Dense(r.name(), x, weight, bias)
}

func (r *reader) pool(x assemble.Value) (assemble.Value, error) {
	opt := &r.op.Options
	whole := opt.FilterH == x.Shape.H && opt.FilterW == x.Shape.W && (opt.Valid || opt.StrideH == opt.FilterH && opt.StrideW == opt.FilterW)
	if r.op.Op == AveragePool2D && whole {
		return r.b.GlobalAvg(r.name(), x)
	}
	w, err := r.window(x, opt.FilterH, opt.FilterW)
	if err != nil {
		return x, err
	}
	if r.op.Op == AveragePool2D {
		return r.b.AvgPool(r.name(), x, w, false)
	}
	return r.b.MaxPool(r.name(), x, w)
}

func (r *reader) pad(x assemble.Value) (assemble.Value, error) {
	by, err := r.ints(1)
	if err != nil {
		return x, err
	}
	if len(by) != 8 || by[0] != 0 || by[1] != 0 || by[6] != 0 || by[7] != 0 {
		return x, fmt.Errorf("it pads by %v: only height and width can be padded", by)
	}
	return r.b.Pad(r.name(), x, nn.Margins{Top: by[2], Bottom: by[3], Left: by[4], Right: by[5]})
}

// reshape reads an operator that leaves a vector a vector, or all values of a map in one row for a dense layer.
func (r *reader) reshape(x assemble.Value) (assemble.Value, error) {
	from, to := &r.model.Tensors[r.op.Inputs[0]], &r.model.Tensors[r.op.Outputs[0]]
	size := x.Shape.Size()
	row := len(to.Shape) > 0 && to.Shape[len(to.Shape)-1] == size
	if x.Shape.H == 1 && x.Shape.W == 1 || row || slices.Equal(from.Shape, to.Shape) {
		return x, nil
	}
	return x, fmt.Errorf("dimensions %v become %v: only all of a map can become one dimension", from.Shape, to.Shape)
}
