package tflitefile

import (
	"fmt"
	"slices"

	"xbmedge/internal/nn"
)

// weighted lowers a layer with a weight and a bias.
func (l *lowering) weighted(layer *nn.Layer, opt OpOptions, out string, from, to nn.Shape, x int) int {
	weight, bias := l.weights[layer.Name+".weight"], l.weights[layer.Name+".bias"]
	op := Conv2D
	opt.StrideH, opt.StrideW = layer.Stride, layer.Stride
	switch layer.Kind {
	case nn.Depthwise:
		op, opt.DepthMultiplier = DepthwiseConv2D, 1
	case nn.Dense:
		// A dense layer on a 1×1 map is a 1×1 convolution. As one it keeps its four dimensions, and in int8 it may
		// have a scale per output, which the FULLY_CONNECTED of TensorFlow Lite 2.9 may not.
		opt.StrideH, opt.StrideW = 1, 1
	}
	if layer.Kind != nn.Dense {
		x, opt.Valid = l.pad(layer, from, x)
	}
	shape, data := kernel(layer.Kind, weight)
	return l.emit(op, opt, out, to, x,
		l.constant(layer.Name+".weight", shape, data), l.constant(layer.Name+".bias", bias.Shape, bias.Data))
}

// pool lowers a pool. TensorFlow Lite leaves SAME's padding out of both kinds; the zeros of a PAD are only left out of a
// largest value that is no less than zero.
func (l *lowering) pool(layer *nn.Layer, opt OpOptions, out string, from, to nn.Shape, x int) (int, error) {
	op := MaxPool2D
	if layer.Kind == nn.AvgPool {
		op = AveragePool2D
	}
	opt.StrideH, opt.StrideW, opt.FilterH, opt.FilterW = layer.Stride, layer.Stride, layer.Kernel, layer.Kernel
	x, opt.Valid = l.pad(layer, from, x)
	padded := layer.Padding != nn.Valid && opt.Valid
	if padded && (op == AveragePool2D || !l.neverNegative(layer.Inputs[0])) {
		return 0, fmt.Errorf("a %s with symmetric padding is only supported where its input is a ReLU's, and it a maximum", layer.Kind)
	}
	return l.emit(op, opt, out, to, x), nil
}

func (l *lowering) neverNegative(i int) bool {
	if i == nn.Input {
		return false
	}
	layer := &l.net.Layers[i]
	switch {
	case layer.Activation == nn.ReLU || layer.Activation == nn.ReLU6:
		return true
	case layer.Kind == nn.Concat, layer.Kind == nn.MaxPool:
		return !slices.ContainsFunc(layer.Inputs, func(j int) bool { return !l.neverNegative(j) })
	}
	return false
}

// pad adds the zeros of symmetric padding where SAME would put them elsewhere, and reports whether it did.
func (l *lowering) pad(layer *nn.Layer, from nn.Shape, x int) (padded int, valid bool) {
	top, bottom := layer.Pads(from.H)
	left, right := layer.Pads(from.W)
	if layer.Padding == nn.Valid {
		return x, true
	}
	sameTop, sameBottom := nn.Padding(from.H, layer.Kernel, layer.Stride)
	sameLeft, sameRight := nn.Padding(from.W, layer.Kernel, layer.Stride)
	if top == sameTop && bottom == sameBottom && left == sameLeft && right == sameRight {
		return x, false
	}
	around := nn.Margins{Top: top, Bottom: bottom, Left: left, Right: right}
	shape := nn.Shape{H: from.H + top + bottom, W: from.W + left + right, C: from.C}
	return l.emit(Pad, OpOptions{}, layer.Name+"/padded", shape, x, l.margins(layer.Name, around)), true
}

// margins returns a constant with what a PAD adds before and after each of the four dimensions.
func (l *lowering) margins(layer string, a nn.Margins) int {
	return l.model.AddTensor(Tensor{
		Name: layer + "/padding", Type: Int32, Shape: []int{4, 2},
		Buffer: l.model.AddBuffer(Int32s([]int32{0, 0, int32(a.Top), int32(a.Bottom), int32(a.Left), int32(a.Right), 0, 0})),
	})
}

// generalisedMean lowers a GeM layer to four operators.
func (l *lowering) generalisedMean(layer *nn.Layer, from, to nn.Shape, x int) int {
	p := l.weights[layer.Name+nn.GeMPower].Data[0]
	scalar := func(suffix string, v float32) int { return l.constant(layer.Name+suffix, []int{1}, []float32{v}) }
	y := l.emit(Maximum, OpOptions{}, layer.Name+"/floored", from, x, scalar("/floor", nn.GeMFloor))
	y = l.emit(Pow, OpOptions{}, layer.Name+"/raised", from, y, scalar(nn.GeMPower, p))
	y = l.emit(Mean, OpOptions{KeepDims: true}, layer.Name+"/mean", to, y, l.spatial())
	return l.emit(Pow, OpOptions{}, layer.Name, to, y, scalar("/root", 1/p))
}

// spatial returns the constant [1, 2], the axes of height and width.
func (l *lowering) spatial() int {
	if l.axes == 0 {
		l.axes = l.model.AddTensor(Tensor{
			Name: "axes", Type: Int32, Shape: []int{2}, Buffer: l.model.AddBuffer(Int32s([]int32{1, 2})),
		})
	}
	return l.axes
}

// lowerActivation returns what is fused into the operator; after says that the activation takes operators of its own.
func lowerActivation(a nn.Activation) (fused Activation, after bool, err error) {
	switch a {
	case nn.Linear, "":
		return None, false, nil
	case nn.ReLU:
		return ReLU, false, nil
	case nn.ReLU6:
		return ReLU6, false, nil
	case nn.HSwish, nn.HSigmoid, nn.Sigmoid, nn.SiLU:
		return None, true, nil
	}
	return 0, false, fmt.Errorf("activation %q cannot be lowered", a)
}

// activate appends the operators of an activation that none can fuse.
func (l *lowering) activate(layer *nn.Layer, shape nn.Shape, x int) int {
	switch layer.Activation {
	case nn.HSwish:
		return l.emit(HardSwish, OpOptions{}, layer.Name, shape, x)
	case nn.Sigmoid:
		return l.emit(Logistic, OpOptions{}, layer.Name, shape, x)
	case nn.SiLU:
		gate := l.emit(Logistic, OpOptions{}, layer.Name+"/gate", shape, x)
		return l.emit(Mul, OpOptions{}, layer.Name, shape, x, gate)
	}
	three := l.constant(layer.Name+"/three", []int{1}, []float32{3})
	sixth := l.constant(layer.Name+"/sixth", []int{1}, []float32{1.0 / 6})
	x = l.emit(Add, OpOptions{Activation: ReLU6}, layer.Name+"/shifted", shape, x, three)
	return l.emit(Mul, OpOptions{}, layer.Name, shape, x, sixth)
}
