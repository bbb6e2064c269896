package onnxfile

import (
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"xbmedge/internal/nn"
)

// TestDamagedGraphs reads graphs whose operators have been exchanged, connected otherwise and set otherwise: each gives an
// error, or a network that fits its weights and can be written.
func TestDamagedGraphs(t *testing.T) {
	kinds := []string{
		"Add", "Sub", "Mul", "Div", "Relu", "Sigmoid", "HardSigmoid", "HardSwish", "Clip", "Pow", "Concat", "Conv", "BatchNormalization",
		"MaxPool", "AveragePool", "GlobalAveragePool", "GlobalMaxPool", "ReduceMean", "ReduceL2", "ReduceSum", "Sqrt", "Gemm", "MatMul", "Pad",
		"Flatten", "Reshape", "Squeeze", "Unsqueeze", "Transpose", "Slice", "Shape", "Gather", "Cast", "Expand", "Identity", "Constant",
		"ConstantOfShape", "LpNormalization", "Reciprocal", "Max", "Ceil", "Softmax",
	}
	read := 0
	var files [][]byte
	for _, make := range []func() ([]byte, []nn.Kind){writtenOut, joined, fromTensorFlow, generalised, computedPadding} {
		raw, _ := make()
		files = append(files, raw)
	}
	for i := range 40_000 {
		rng := rand.New(rand.NewPCG(uint64(i), 9))
		raw := files[i%len(files)]
		g, err := parse(raw)
		if err != nil {
			t.Fatal(err)
		}
		for range 1 + rng.IntN(3) {
			damage(g, rng, kinds)
		}
		net, w, err := g.network(&ReadOptions{}, len(raw)+spareFloats)
		if err != nil {
			continue
		}
		read++
		if err := net.Check(w); err != nil {
			t.Errorf("damage %d: what was read does not fit: %v", i, err)
		}
		if _, err := Encode(net, w, Options{}); err != nil {
			t.Errorf("damage %d: what was read cannot be written: %v", i, err)
		}
	}
	if read < 100 {
		t.Errorf("only %d damaged graphs could be read: the damage is too much to tell anything", read)
	}
}

// damage changes one thing.
func damage(g *graph, rng *rand.Rand, kinds []string) {
	o := &g.nodes[rng.IntN(len(g.nodes))]
	other := &g.nodes[rng.IntN(len(g.nodes))]
	numbers := []int{-8, -1, 0, 1, 2, 3, 4, 5, 16, 1 << 30, 1 << 40, -1 << 63}
	switch rng.IntN(6) {
	case 0:
		o.kind = kinds[rng.IntN(len(kinds))]
	case 1:
		o.inputs[rng.IntN(len(o.inputs))] = other.outputs[0]
	case 2:
		o.inputs[rng.IntN(len(o.inputs))] = other.inputs[rng.IntN(len(other.inputs))]
	case 3:
		o.inputs = o.inputs[:rng.IntN(len(o.inputs))+1]
	case 4:
		for _, name := range slices.Sorted(maps.Keys(o.attributes)) {
			a := o.attributes[name]
			if len(a.ints) > 0 {
				a.ints[rng.IntN(len(a.ints))] = numbers[rng.IntN(len(numbers))]
			}
			a.int = numbers[rng.IntN(len(numbers))]
			o.attributes[name] = a
			if rng.IntN(2) == 0 {
				break
			}
		}
	case 5:
		for _, name := range slices.Sorted(maps.Keys(g.constants)) {
			c := g.constants[name]
			if n := len(c.ints); n > 0 {
				c.ints[rng.IntN(n)] = numbers[rng.IntN(len(numbers))]
			} else if n := len(c.Shape); n > 0 { // as many values as before, as the parser sees to
				i, k := rng.IntN(n), rng.IntN(n)
				c.Shape[i], c.Shape[k] = c.Shape[k], c.Shape[i]
			}
			if rng.IntN(4) == 0 {
				break
			}
		}
	}
}
