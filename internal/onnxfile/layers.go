package onnxfile

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"xbmedge/internal/assemble"
	"xbmedge/internal/nn"
)

// defaultEpsilon is a batch norm's where the file does not say otherwise.
const defaultEpsilon = 1e-5

func (r *reader) batchNorm(x operand) (operand, error) {
	var p [5]*constant // scale, offset, mean and variance are 1 to 4
	for i := 1; i < len(p); i++ {
		c, err := r.reals(i)
		if err != nil {
			return operand{}, err
		}
		if len(c.Data) != x.value.Shape.C {
			return operand{}, fmt.Errorf("%d values for %d channels", len(c.Data), x.value.Shape.C)
		}
		p[i] = c
	}
	if !x.vector() && x.layout != planes {
		return operand{}, errors.New("its channels are not the second dimension")
	}
	epsilon, err := r.real("epsilon", len(r.node.inputs), defaultEpsilon)
	if err != nil {
		return operand{}, err
	}
	if err := r.b.Spend(2 * x.value.Shape.C); err != nil {
		return operand{}, err
	}
	scale, shift := make([]float32, x.value.Shape.C), make([]float32, x.value.Shape.C)
	for c := range scale {
		factor := float64(p[1].Data[c]) / math.Sqrt(float64(p[4].Data[c])+epsilon)
		scale[c], shift[c] = float32(factor), float32(float64(p[2].Data[c])-factor*float64(p[3].Data[c]))
	}
	v, err := r.b.Affine(r.node.outputs[0], x.value, scale, shift)
	return x.like(v), err
}

func (r *reader) conv(x operand) (operand, error) {
	weight, err := r.reals(1)
	if err != nil {
		return operand{}, err
	}
	if len(weight.Shape) != 4 || x.layout != planes || len(x.dims) != 4 {
		return operand{}, fmt.Errorf("a weight of shape %v for an input of shape %v: only two-dimensional convolutions can be represented", weight.Shape, x.dims)
	}
	var bias []float32
	if r.at(2) != "" {
		b, err := r.reals(2)
		if err != nil {
			return operand{}, err
		}
		bias = b.Data
	}
	group, in := r.int("group", 1), x.value.Shape.C
	depthwise := group > 1 && group == in && weight.Shape[0] == in
	if group != 1 && !depthwise {
		return operand{}, fmt.Errorf("%d groups from %d to %d channels: only one group, or one for each channel, can be represented", group, in, weight.Shape[0])
	}
	if weight.Shape[1]*group != in {
		return operand{}, fmt.Errorf("a weight of shape %v for %d channels", weight.Shape, in)
	}
	w, err := r.window(x.value.Shape, weight.Shape[2:])
	if err != nil {
		return operand{}, err
	}
	v, err := r.b.Conv(r.node.outputs[0], x.value, w, depthwise, weight.Data, bias)
	return operand{value: v, layout: planes, dims: planes.dims(v.Shape)}, err
}

// window reads how a kernel of that size slides over a map.
func (r *reader) window(s nn.Shape, kernel []int) (assemble.Window, error) {
	var w assemble.Window
	attributes := r.node.attributes
	square := func(name string, values []int, otherwise int) (int, error) {
		switch {
		case len(values) == 0:
			return otherwise, nil
		case len(values) == 2 && values[0] == values[1]:
			return values[0], nil
		}
		return 0, fmt.Errorf("%s %v: only square ones can be represented", name, values)
	}
	var err error
	if w.Kernel, err = square("a kernel", kernel, 0); err != nil {
		return w, err
	}
	if w.Stride, err = square("strides", attributes["strides"].ints, 1); err != nil {
		return w, err
	}
	if w.Kernel <= 0 || w.Stride <= 0 {
		return w, fmt.Errorf("a kernel of %d with stride %d", w.Kernel, w.Stride)
	}
	dilation, err := square("dilations", attributes["dilations"].ints, 1)
	if err != nil {
		return w, err
	}
	if dilation != 1 && w.Kernel > 1 {
		return w, fmt.Errorf("dilations of %d: only 1 can be represented", dilation)
	}
	w.Ceil = r.int("ceil_mode", 0) != 0
	switch auto := attributes["auto_pad"].text; auto {
	case "", "NOTSET":
		if p := attributes["pads"].ints; len(p) == 4 {
			w.Top, w.Left, w.Bottom, w.Right = p[0], p[1], p[2], p[3]
		} else if len(p) != 0 {
			return w, fmt.Errorf("pads %v", p)
		}
	case "VALID":
	case "SAME_UPPER", "SAME_LOWER":
		w = assemble.SameWindow(w.Kernel, w.Stride, s)
		if auto == "SAME_LOWER" {
			w.Top, w.Bottom, w.Left, w.Right = w.Bottom, w.Top, w.Right, w.Left
		}
	default:
		return w, fmt.Errorf("auto_pad %q", auto)
	}
	return w, nil
}

func (r *reader) pool(x operand) (operand, error) {
	name, kind := r.node.outputs[0], r.node.kind
	if kind == "ReduceMean" {
		return r.mean(x)
	}
	if x.layout != planes || len(x.dims) != 4 {
		return operand{}, fmt.Errorf("an input of shape %v", x.dims)
	}
	s := x.value.Shape
	kernel := r.node.attributes["kernel_shape"].ints
	if kind == "GlobalMaxPool" {
		kernel = []int{s.H, s.W}
	}
	var v assemble.Value
	var err error
	switch {
	case kind == "GlobalAveragePool", kind == "AveragePool" && slices.Equal(kernel, []int{s.H, s.W}) && !slices.ContainsFunc(r.node.attributes["pads"].ints, func(p int) bool { return p != 0 }):
		v, err = r.b.GlobalAvg(name, x.value)
	default:
		var w assemble.Window
		if w, err = r.window(s, kernel); err != nil {
			return operand{}, err
		}
		if kind == "AveragePool" {
			v, err = r.b.AvgPool(name, x.value, w, r.int("count_include_pad", 0) != 0)
		} else {
			v, err = r.b.MaxPool(name, x.value, w)
		}
	}
	return operand{value: v, layout: planes, dims: planes.dims(v.Shape)}, err
}

// mean reads a mean over height and width.
func (r *reader) mean(x operand) (operand, error) {
	axes, err := r.ints("axes", 1)
	if err != nil {
		return operand{}, err
	}
	spatial := map[layout][]int{planes: {2, 3}, pixels: {1, 2}, rows: {2}}[x.layout]
	got := make([]int, len(axes))
	for i, a := range axes {
		if got[i], err = axis(a, len(x.dims)); err != nil {
			return operand{}, err
		}
	}
	slices.Sort(got)
	if spatial == nil || len(x.dims) != len(x.layout.dims(x.value.Shape)) || !slices.Equal(got, spatial) {
		return operand{}, fmt.Errorf("a mean over dimensions %v of %v: only one over height and width can be represented", axes, x.dims)
	}
	v, err := r.b.GlobalAvg(r.node.outputs[0], x.value)
	out := operand{value: v, layout: x.layout, dims: []int{1, v.Shape.C}}
	if r.int("keepdims", 1) != 0 {
		out.dims = x.layout.dims(v.Shape)
	}
	return out, err
}

// dense reads a matrix product with a constant.
func (r *reader) dense(x operand) (operand, error) {
	weight, err := r.reals(1)
	if err != nil {
		return operand{}, err
	}
	in := x.value.Shape.Size()
	if len(weight.Shape) != 2 || len(x.dims) == 0 || x.dims[len(x.dims)-1] != in || x.layout != flat && !x.vector() {
		return operand{}, fmt.Errorf("a matrix of shape %v for an input of shape %v", weight.Shape, x.dims)
	}
	alpha, beta, transposed := 1.0, 1.0, false
	if r.node.kind == "Gemm" {
		alpha, _ = r.real("alpha", math.MaxInt, 1)
		beta, _ = r.real("beta", math.MaxInt, 1)
		transposed = r.int("transB", 0) != 0
		if r.int("transA", 0) != 0 {
			return operand{}, errors.New("its input is transposed")
		}
	}
	values := weight.Data
	rows, columns := weight.Shape[0], weight.Shape[1]
	if !transposed {
		if values, err = r.transpose(weight); err != nil {
			return operand{}, err
		}
		rows, columns = columns, rows
	}
	if columns != in || rows == 0 {
		return operand{}, fmt.Errorf("a matrix of shape %v for an input of shape %v", weight.Shape, x.dims)
	}
	name := r.node.outputs[0]
	v, err := r.b.Dense(name, x.value, values, nil)
	if err != nil {
		return operand{}, err
	}
	if alpha != 1 {
		if v, err = r.b.Affine(name, v, []float32{float32(alpha)}, nil); err != nil {
			return operand{}, err
		}
	}
	out := operand{value: v, layout: planes, dims: append(slices.Clone(x.dims[:len(x.dims)-1]), rows)}
	if r.node.kind == "MatMul" || r.at(2) == "" {
		return out, nil
	}
	bias, err := r.reals(2)
	if err != nil {
		return operand{}, err
	}
	shift, err := out.perChannel(bias)
	if err != nil {
		return operand{}, err
	}
	if beta != 1 {
		return operand{}, fmt.Errorf("a beta of %g", beta)
	}
	out.value, err = r.b.Affine(name, v, nil, shift)
	return out, err
}

// transpose returns the values of a matrix with its dimensions exchanged.
func (r *reader) transpose(c *constant) ([]float32, error) {
	if err := r.b.Spend(len(c.Data)); err != nil {
		return nil, err
	}
	h, w := c.Shape[0], c.Shape[1]
	out := make([]float32, len(c.Data))
	for i, v := range c.Data {
		out[i%w*h+i/w] = v
	}
	return out, nil
}

func (r *reader) pad(x operand) (operand, error) {
	if mode := r.node.attributes["mode"].text; mode != "" && mode != "constant" {
		return operand{}, fmt.Errorf("it pads by mode %q: only zeros can be represented", mode)
	}
	value, err := r.real("value", 2, 0)
	if err != nil || value != 0 {
		return operand{}, errors.New("only padding with zeros can be represented")
	}
	pads, err := r.ints("pads", 1)
	if err != nil {
		return operand{}, err
	}
	if len(x.dims) != 4 || x.layout > pixels || len(pads) != 8 || r.at(3) != "" {
		return operand{}, fmt.Errorf("pads %v for an input of shape %v", pads, x.dims)
	}
	h, w, c := 2, 3, 1
	if x.layout == pixels {
		h, w, c = 1, 2, 3
	}
	if pads[0] != 0 || pads[4] != 0 || pads[c] != 0 || pads[4+c] != 0 {
		return operand{}, fmt.Errorf("pads %v: only height and width can be padded", pads)
	}
	v, err := r.b.Pad(r.node.outputs[0], x.value, nn.Margins{Top: pads[h], Left: pads[w], Bottom: pads[4+h], Right: pads[4+w]})
	return operand{value: v, layout: x.layout, dims: x.layout.dims(v.Shape)}, err
}
