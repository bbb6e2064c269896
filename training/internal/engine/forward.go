// Package engine lowers nn networks to GoMLX graphs and opens the backends they run on.
//
// How a convolution is written decides its speed: the pure-Go backend is fast at matrix products and slow at
// convolutions, so there a dense convolution becomes patches times a matrix, and a depthwise one nine shifted
// multiply-adds or, on small maps, one batched product. XLA on a GPU gets the native operation.
package engine

import (
	"fmt"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/gomlx/core/graph"

	"xbmedge/internal/nn"
)

type node = graph.Node

// Lowering chooses how convolutions are written.
type Lowering int

// The ways to write a convolution.
const (
	Products Lowering = iota // as matrix products, for the pure-Go backend
	Shifts                   // depthwise ones always as shifted multiply-adds, which XLA fuses on CPUs
	Native                   // as the backend's own convolution, for GPUs
)

// Forward says how a network is lowered.
type Forward struct {
	Lowering Lowering
	// Training normalises with the batch's own statistics, which needs Observe, instead of the running ones.
	Training bool
	// Half multiplies dense convolutions and dense layers in bfloat16, which GPUs do several times as fast, and all the
	// rest, sums and gradients of weights included, in float32 (Micikevicius et al., Mixed Precision Training, ICLR 2018;
	// bfloat16 has float32's range, so that the loss needs no scaling).
	Half bool
	// Param returns the node of a named parameter with the shape given by nn.Network.Parameters.
	Param func(name string) *node
	// Observe receives the mean and the variance, each [C], of the values that enter the batch norm of a layer; nil: nobody
	// wants them.
	Observe func(layer string, mean, variance *node)
	// RoundWeight and RoundOutput change a layer's weight, and what a layer gives, as int8 will; nil: they stay as they are.
	RoundWeight func(weight *node) *node
	RoundOutput func(layer string, y *node) *node
}

// Build appends the network to the graph of x, which is [N, H, W, C] float32, and returns the output of its last
// layer, [N, H, W, C], or [N, C] where that is 1×1. Like all of GoMLX's graph building it panics on faults.
func (f *Forward) Build(net *nn.Network, x *node) *node {
	shapes, err := net.Shapes()
	if err != nil {
		panic(err)
	}
	n := x.Shape().Dimensions[0]
	x = graph.Reshape(x, n, net.Input.H, net.Input.W, net.Input.C)
	outs := make([]*node, len(net.Layers))
	for i := range net.Layers {
		l := &net.Layers[i]
		in := make([]*node, len(l.Inputs))
		for k, j := range l.Inputs {
			in[k] = x
			if j != nn.Input {
				in[k] = outs[j]
			}
		}
		outs[i] = f.layer(l, in, shapes[i])
	}
	out := outs[len(outs)-1]
	if s := shapes[len(shapes)-1]; s.H == 1 && s.W == 1 {
		out = graph.Reshape(out, n, s.C)
	}
	return out
}

func (f *Forward) layer(l *nn.Layer, in []*node, out nn.Shape) *node {
	n := in[0].Shape().Dimensions[0]
	var y *node
	switch l.Kind {
	case nn.Add:
		y = graph.Add(in[0], in[1])
	case nn.Mul:
		y = graph.Mul(in[0], in[1])
	case nn.Concat:
		y = graph.Concatenate(in, -1)
	case nn.Pad:
		y = fill(fill(in[0], 1, [2]int{l.Around.Top, l.Around.Bottom}, 0), 2, [2]int{l.Around.Left, l.Around.Right}, 0)
	case nn.MaxPool:
		y = f.maxPool(l, in[0], out)
	case nn.AvgPool:
		y = avgPool(l, in[0], out)
	case nn.GeM:
		y = generalisedMean(in[0], f.param(l, nn.GeMPower))
	case nn.GlobalAvg:
		y = graph.Reshape(graph.ReduceMean(in[0], 1, 2), n, 1, 1, out.C)
	case nn.Dense:
		flat := graph.Reshape(in[0], n, in[0].Shape().Size()/n)
		y = graph.Reshape(f.product(flat, graph.Transpose(f.weight(l), 0, 1)), n, 1, 1, out.C)
	case nn.Conv:
		y = f.convolve(l, in[0], out)
	case nn.Depthwise:
		y = f.depthwise(l, in[0], out)
	default:
		panic(fmt.Errorf("engine: layer %s: unknown kind %q", l.Name, l.Kind))
	}
	if l.Weighted() {
		y = f.offset(l, y)
	}
	y = activate(l.Activation, y)
	if f.RoundOutput != nil && !keepsSteps(l.Kind) {
		y = f.RoundOutput(l.Name, y)
	}
	return y
}

// keepsSteps reports whether int8 values leave a layer with the scale they came with.
func keepsSteps(k nn.Kind) bool { return k == nn.MaxPool || k == nn.AvgPool }

// weight returns the layer's weight.
func (f *Forward) weight(l *nn.Layer) *node {
	w := f.param(l, ".weight")
	if f.RoundWeight != nil {
		w = f.RoundWeight(w)
	}
	return w
}

// param returns the layer's parameter of that suffix, without a gradient where the layer is frozen.
func (f *Forward) param(l *nn.Layer, suffix string) *node {
	p := f.Param(l.Name + suffix)
	if l.Frozen {
		return graph.StopGradient(p)
	}
	return p
}

// offset adds the bias or normalises over the batch (Ioffe and Szegedy, 2015).
func (f *Forward) offset(l *nn.Layer, y *node) *node {
	if !l.BatchNorm {
		return graph.Add(y, perChannel(f.param(l, ".bias")))
	}
	mean, variance := f.param(l, nn.BNMean), f.param(l, nn.BNVariance)
	if f.Observe != nil && !l.Frozen {
		batchMean := graph.ReduceMean(y, 0, 1, 2)
		batchVariance := graph.ReduceMean(graph.Square(graph.Sub(y, perChannel(batchMean))), 0, 1, 2)
		f.Observe(l.Name, batchMean, batchVariance)
		if f.Training {
			mean, variance = batchMean, batchVariance
		}
	}
	// A quotient: GoMLX has no gradient for Rsqrt.
	factor := graph.Div(f.param(l, nn.BNScale), graph.Sqrt(graph.AddScalar(variance, l.NormEpsilon())))
	shift := graph.Sub(f.param(l, nn.BNOffset), graph.Mul(mean, factor))
	return graph.Add(graph.Mul(y, perChannel(factor)), perChannel(shift))
}

func perChannel(v *node) *node { return graph.Reshape(v, 1, 1, 1, v.Shape().Dimensions[0]) }

// convolve computes a dense convolution; the weight is [O, I, k, k].
func (f *Forward) convolve(l *nn.Layer, x *node, out nn.Shape) *node {
	weight := f.weight(l)
	n, c := x.Shape().Dimensions[0], x.Shape().Dimensions[3]
	if f.Lowering == Native {
		kernel := graph.TransposeAllAxes(weight, 2, 3, 1, 0)
		return full(graph.Convolve(f.half(x), f.half(kernel)).Strides(l.Stride).PaddingPerDim(paddings(l, x)).Done())
	}
	var patches *node
	switch {
	case l.Kernel == 1 && l.Stride == 1:
		patches = x
	case l.Kernel == l.Stride && out.H*l.Stride == x.Shape().Dimensions[1] && out.W*l.Stride == x.Shape().Dimensions[2]:
		// Patches that neither overlap nor need padding only have to be put in order.
		split := graph.Reshape(x, n, out.H, l.Kernel, out.W, l.Kernel, c)
		patches = graph.TransposeAllAxes(split, 0, 1, 3, 2, 4, 5)
	default:
		patches = graph.Concatenate(shifts(l, x, out), -1)
	}
	matrix := graph.Reshape(graph.TransposeAllAxes(weight, 2, 3, 1, 0), l.Kernel*l.Kernel*c, l.Channels)
	y := f.product(graph.Reshape(patches, n*out.H*out.W, l.Kernel*l.Kernel*c), matrix)
	return graph.Reshape(y, n, out.H, out.W, out.C)
}

// half is x as products take it.
func (f *Forward) half(x *node) *node {
	if f.Half {
		return graph.ConvertDType(x, dtypes.BFloat16)
	}
	return x
}

func full(x *node) *node {
	if x.DType() == dtypes.BFloat16 {
		return graph.ConvertDType(x, dtypes.Float32)
	}
	return x
}

func (f *Forward) product(a, b *node) *node { return full(graph.MatMul(f.half(a), f.half(b))) }

// smallMap is the largest number of positions for which a depthwise layer is one batched matrix product.
const smallMap = 64

// depthwise convolves each channel with its own kernel; the weight is [C, 1, k, k].
func (f *Forward) depthwise(l *nn.Layer, x *node, out nn.Shape) *node {
	weight := graph.Reshape(f.weight(l), l.Channels, l.Kernel*l.Kernel)
	if f.Lowering == Native {
		kernel := graph.Reshape(graph.Transpose(weight, 0, 1), l.Kernel, l.Kernel, 1, l.Channels)
		return graph.Convolve(x, kernel).Strides(l.Stride).PaddingPerDim(paddings(l, x)).ChannelGroupCount(l.Channels).Done()
	}
	n, h, w := x.Shape().Dimensions[0], x.Shape().Dimensions[1], x.Shape().Dimensions[2]
	if f.Lowering == Products && h*w <= smallMap {
		// y[n,o,c] = Σ_i x[n,i,c] M[c,o,i], where M = weight · basis
		basis := graph.Const(x.Graph(), depthwiseBasis(l, h, w, out))
		m := graph.Reshape(graph.MatMul(weight, graph.Reshape(basis, l.Kernel*l.Kernel, out.H*out.W*h*w)), l.Channels, out.H*out.W, h*w)
		y := graph.Einsum("nic,coi->cno", graph.Reshape(x, n, h*w, l.Channels), m)
		return graph.Reshape(graph.TransposeAllAxes(y, 1, 2, 0), n, out.H, out.W, out.C)
	}
	taps := graph.Transpose(weight, 0, 1) // [k*k, C]
	var sum *node
	for t, view := range shifts(l, x, out) {
		term := graph.Mul(view, perChannel(graph.Reshape(graph.Slice(taps, graph.AxisElem(t)), l.Channels)))
		if sum == nil {
			sum = term
			continue
		}
		sum = graph.Add(sum, term)
	}
	return sum
}

// shifts returns, for each kernel position in row order, the input value it meets at every output: [N, OH, OW, C].
func shifts(l *nn.Layer, x *node, out nn.Shape) []*node {
	pad := paddings(l, x)
	return slide(l, fill(fill(x, 1, pad[0], 0), 2, pad[1], 0), out)
}

// slide returns what shifts does for a map that is padded already.
func slide(l *nn.Layer, x *node, out nn.Shape) []*node {
	var views []*node
	for ky := range l.Kernel {
		for kx := range l.Kernel {
			views = append(views, graph.Slice(x, graph.AxisRange(),
				graph.AxisRange(ky, ky+(out.H-1)*l.Stride+1).Stride(l.Stride),
				graph.AxisRange(kx, kx+(out.W-1)*l.Stride+1).Stride(l.Stride), graph.AxisRange()))
		}
	}
	return views
}

// fill adds that value before and after along an axis. It is a concatenation, since GoMLX has no gradient for Pad.
func fill(x *node, axis int, by [2]int, value float32) *node {
	parts := []*node{x}
	border := func(n int) *node {
		shape := x.Shape().Clone()
		shape.Dimensions[axis] = n
		return graph.BroadcastToShape(graph.Const(x.Graph(), value), shape)
	}
	if by[0] > 0 {
		parts = append([]*node{border(by[0])}, parts...)
	}
	if by[1] > 0 {
		parts = append(parts, border(by[1]))
	}
	if len(parts) == 1 {
		return x
	}
	return graph.Concatenate(parts, axis)
}

func paddings(l *nn.Layer, x *node) [][2]int {
	var p [2][2]int
	for axis := range p {
		p[axis][0], p[axis][1] = l.Pads(x.Shape().Dimensions[axis+1])
	}
	return p[:]
}

// depthwiseBasis returns B with B[t][o][i] = 1 where kernel tap t connects input position i with output position o.
func depthwiseBasis(l *nn.Layer, h, w int, out nn.Shape) [][][]float32 {
	top, _ := l.Pads(h)
	left, _ := l.Pads(w)
	basis := make([][][]float32, l.Kernel*l.Kernel)
	for t := range basis {
		basis[t] = make([][]float32, out.H*out.W)
		for o := range basis[t] {
			basis[t][o] = make([]float32, h*w)
			y := o/out.W*l.Stride + t/l.Kernel - top
			x := o%out.W*l.Stride + t%l.Kernel - left
			if y >= 0 && y < h && x >= 0 && x < w {
				basis[t][o][y*w+x] = 1
			}
		}
	}
	return basis
}
