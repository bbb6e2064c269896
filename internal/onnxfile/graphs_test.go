package onnxfile

import (
	"fmt"
	"math/rand/v2"
	"slices"

	"xbmedge/internal/nn"
)

// foreign is a graph in the making, as another exporter would write it.
type foreign struct {
	encoder
	rng *rand.Rand
	n   int
}

func newForeign() *foreign { return &foreign{rng: rand.New(rand.NewPCG(1, 2))} }

// op appends an operator and returns its value.
func (f *foreign) op(kind string, inputs []string, attributes ...message) string {
	f.n++
	out := fmt.Sprintf("/%s_%d", kind, f.n)
	f.node(kind, out, inputs, attributes...)
	return out
}

// random is a constant tensor with values around zero.
func (f *foreign) random(shape ...int) string {
	t := nn.NewTensor(shape...)
	for i := range t.Data {
		t.Data[i] = float32(f.rng.NormFloat64() / 2)
	}
	return f.real(t.Data, shape...)
}

func (f *foreign) real(values []float32, shape ...int) string {
	f.n++
	return f.constant(fmt.Sprintf("real_%d", f.n), shape, values)
}

func (f *foreign) list(values ...int) string {
	f.n++
	return f.integers(fmt.Sprintf("list_%d", f.n), values...)
}

// conv appends a convolution whose bias is left out where the kernel is 1.
func (f *foreign) conv(x string, out, in, kernel, stride, pad int) string {
	inputs := []string{x, f.random(out, in, kernel, kernel)}
	if kernel > 1 {
		inputs = append(inputs, f.random(out))
	}
	return f.op("Conv", inputs, ints("kernel_shape", kernel, kernel), ints("strides", stride, stride), ints("pads", pad, pad, pad, pad))
}

func (f *foreign) batchNorm(x string, channels int) string {
	variance := make([]float32, channels)
	for i := range variance {
		variance[i] = 0.5 + f.rng.Float32()
	}
	return f.op("BatchNormalization", []string{x, f.random(channels), f.random(channels), f.random(channels), f.real(variance, channels)},
		float("epsilon", 1e-3))
}

// model ends the graph with the value out, a vector of that many numbers.
func (f *foreign) model(version int, out string, dim int, input ...int) []byte {
	graph := slices.Concat(f.nodes, message{}.text(graphName, "net"), f.initializers).
		message(graphInput, valueInfo("image", input...)).message(graphOutput, valueInfo(out, dim))
	return message{}.int(modelIRVersion, irVersion).message(modelGraph, graph).message(modelOpset, message{}.int(opsetVersion, version))
}

// writtenOut is hard-swish and hard sigmoid of smaller operators, a squeeze, and normalising as PyTorch exports it.
func writtenOut() ([]byte, []nn.Kind) {
	f := newForeign()
	three, six, zero := f.real([]float32{3}), f.real([]float32{6}), f.real([]float32{0})
	x := f.batchNorm(f.conv("image", 8, 3, 3, 2, 1), 8)
	shifted := f.op("Clip", []string{f.op("Add", []string{x, three}), zero, six})
	x = f.op("Div", []string{f.op("Mul", []string{x, shifted}), six})
	s := f.conv(f.op("ReduceMean", []string{x}, ints("axes", 2, 3), integer("keepdims", 1)), 8, 8, 1, 1, 0)
	s = f.op("Clip", []string{f.op("Add", []string{f.op("Div", []string{s, six}), f.real([]float32{0.5})}), zero, f.real([]float32{1})})
	x = f.op("Mul", []string{s, x})
	x = f.op("Mul", []string{x, f.op("HardSigmoid", []string{x}, float("alpha", 1.0/6))})
	x = f.op("Flatten", []string{f.op("GlobalAveragePool", []string{x})})
	x = f.op("Gemm", []string{x, f.random(5, 8), f.random(5)}, integer("transB", 1))
	norm := f.op("Clip", []string{f.op("ReduceL2", []string{x}, ints("axes", -1), integer("keepdims", 1)), f.real([]float32{1e-12})})
	x = f.op("Div", []string{x, f.op("Expand", []string{norm, f.op("Shape", []string{x})})})
	return f.model(11, x, 5, 3, 15, 12), []nn.Kind{nn.Conv, nn.GlobalAvg, nn.Dense, nn.Mul, nn.GlobalAvg, nn.Dense}
}

// joined is concatenations, a batch norm behind one, pools and padding of all kinds, and the sigmoids.
func joined() ([]byte, []nn.Kind) {
	f := newForeign()
	x := f.op("Relu", []string{f.conv("image", 6, 3, 3, 2, 0)}) // 16 → 7
	small := f.op("MaxPool", []string{x}, ints("kernel_shape", 3, 3), ints("strides", 2, 2), integer("ceil_mode", 1))
	mean := f.op("AveragePool", []string{x}, ints("kernel_shape", 3, 3), ints("strides", 2, 2), ints("pads", 0, 0, 0, 0))
	x = f.op("Concat", []string{small, mean}, integer("axis", 1)) // 3×3×12
	x = f.op("PRelu", []string{f.batchNorm(x, 12), f.random(12, 1, 1)})
	x = f.op("LeakyRelu", []string{x}, float("alpha", 0.1))
	counted := f.op("AveragePool", []string{x}, ints("kernel_shape", 3, 3), ints("strides", 1, 1), ints("pads", 1, 1, 1, 1), integer("count_include_pad", 1))
	gated := f.conv(counted, 4, 12, 3, 1, 1)
	gated = f.op("Mul", []string{gated, f.op("Sigmoid", []string{gated})})
	gated = f.op("Pad", []string{gated, f.list(0, 0, 0, 1, 0, 0, 2, 1)})
	deep := f.op("Conv", []string{gated, f.random(4, 1, 3, 3)}, integer("group", 4))
	x = f.op("Concat", []string{deep, f.op("Sigmoid", []string{x})}, integer("axis", -3))
	x = f.op("ReduceMean", []string{x, f.list(-1, -2)}, integer("keepdims", 0))
	x = f.op("Add", []string{f.op("MatMul", []string{x, f.random(16, 5)}), f.random(5)})
	return f.model(18, x, 5, 3, 16, 16), []nn.Kind{
		nn.Conv, nn.MaxPool, nn.AvgPool, nn.Concat, nn.Depthwise,
		nn.Depthwise, nn.Depthwise, nn.Depthwise, nn.Add, nn.Depthwise, nn.Depthwise, nn.Depthwise, nn.Add, nn.Pad, nn.AvgPool, nn.Conv, nn.Pad, nn.Depthwise, nn.Depthwise,
		nn.Concat, nn.GlobalAvg, nn.Dense,
	}
}

// fromTensorFlow has the picture's channels last, its normalisation inside, TensorFlow's padding and a dense layer on a
// map; the length is worked out step by step.
func fromTensorFlow() ([]byte, []nn.Kind) {
	f := newForeign()
	x := f.op("Sub", []string{"image", f.real([]float32{0.1, 0.2, 0.3}, 3)})
	x = f.op("Div", []string{x, f.real([]float32{0.5, 0.4, 0.3}, 1, 1, 3)})
	x = f.op("Transpose", []string{x}, ints("perm", 0, 3, 1, 2))
	auto := func(mode string) message {
		return message{}.text(attributeName, "auto_pad").text(attributeText, mode).int(attributeType, 3)
	}
	x = f.op("Conv", []string{x, f.random(4, 3, 3, 3)}, ints("strides", 2, 2), auto("SAME_UPPER")) // 8
	x = f.op("Relu", []string{f.batchNorm(x, 4)})
	x = f.op("MaxPool", []string{x}, ints("kernel_shape", 3, 3), ints("strides", 2, 2), auto("SAME_LOWER")) // 4
	x = f.op("Identity", []string{f.op("Dropout", []string{x})})
	x = f.op("Mul", []string{x, f.random(1, 4, 1, 1)})
	x = f.op("Gemm", []string{f.op("Flatten", []string{x}), f.random(64, 6), f.random(1, 6)}, float("alpha", 0.5))
	squares := f.op("ReduceSum", []string{f.op("Mul", []string{x, x}), f.list(1)}, integer("keepdims", 1))
	x = f.op("Div", []string{x, f.op("Sqrt", []string{f.op("Add", []string{squares, f.real([]float32{1e-12})})})})
	return f.model(13, x, 6, 16, 16, 3), []nn.Kind{nn.Depthwise, nn.Conv, nn.MaxPool, nn.Depthwise, nn.Conv}
}

// generalised is a generalised mean whose root is computed from its power, and a shape from the batch.
func generalised() ([]byte, []nn.Kind) {
	f := newForeign()
	p := f.real([]float32{2.5}, 1)
	x := f.op("Relu", []string{f.conv("image", 7, 3, 5, 3, 2)})
	x = f.op("Pow", []string{f.op("Clip", []string{x, f.real([]float32{1e-6})}), p})
	x = f.op("GlobalAveragePool", []string{x})
	x = f.op("Pow", []string{x, f.op("Mul", []string{f.op("Reciprocal", []string{p}), f.real([]float32{1})})})
	batch := f.op("Gather", []string{f.op("Shape", []string{x}), f.list(0)}, integer("axis", 0))
	x = f.op("Reshape", []string{x, f.op("Concat", []string{batch, f.list(-1)}, integer("axis", 0))})
	x = f.op("LpNormalization", []string{x}, integer("axis", -1), integer("p", 2))
	return f.model(17, x, 7, 3, 20, 14), []nn.Kind{nn.Conv, nn.GeM}
}

// computedPadding is TensorFlow's padding worked out from the picture's size inside the graph: for one side half of
// ⌈size/2⌉·2+1−size, for the other the rest.
func computedPadding() ([]byte, []nn.Kind) {
	f := newForeign()
	one, two, zero := f.real([]float32{1}), f.real([]float32{2}), f.real([]float32{0})
	floats := func(v string) string { return f.op("Cast", []string{v}, integer("to", typeFloat)) }
	whole := func(v string) string { return f.op("Cast", []string{v}, integer("to", typeInt64)) }
	var before, after []string
	for _, axis := range []int{2, 3} {
		size := floats(f.op("Gather", []string{f.op("Shape", []string{"image"}), f.list(axis)}, integer("axis", 0)))
		windows := f.op("Sub", []string{f.op("Ceil", []string{f.op("Div", []string{size, two})}), one})
		needed := f.op("Add", []string{f.op("Add", []string{f.op("Mul", []string{windows, two}), two}), one})
		total := f.op("Clip", []string{f.op("Sub", []string{needed, size}), zero})
		half := floats(whole(f.op("Div", []string{total, two})))
		before = append(before, half)
		after = append(after, f.op("Sub", []string{total, half}))
	}
	pads := f.op("Concat", []string{zeroes(f), before[0], before[1], zeroes(f), after[0], after[1]}, integer("axis", 0))
	x := f.op("Pad", []string{"image", whole(pads), zero})
	x = f.op("Relu", []string{f.conv(x, 5, 3, 3, 2, 0)})
	x = f.op("Flatten", []string{f.op("GlobalAveragePool", []string{x})})
	return f.model(13, x, 5, 3, 14, 11), []nn.Kind{nn.Conv, nn.GlobalAvg}
}

// zeroes are two.
func zeroes(f *foreign) string { return f.real([]float32{0, 0}, 2) }
