package tflitefile

import (
	"math/rand/v2"
	"testing"

	"xbmedge/internal/nn"
)

// TestDamagedModels reads models whose operators have been exchanged, connected otherwise and set otherwise: each gives
// an error, or a network that fits its weights and can be written.
func TestDamagedModels(t *testing.T) {
	if testing.Short() {
		t.Skip("long with the race detector; runs without it")
	}
	ops := []Op{
		Add, AveragePool2D, Concatenation, Conv2D, DepthwiseConv2D, Dequantize, FullyConnected, L2Normalization, Logistic, MaxPool2D, Mul, Relu,
		Relu6, Reshape, Softmax, Pad, Mean, Sub, Div, Squeeze, Maximum, Minimum, ExpandDims, Pow, HardSwish,
	}
	var files [][]byte
	for _, net := range []*nn.Network{kindsNetwork(), foreignNetwork()} {
		m, err := FromNetwork(net, testWeights(t, net), Options{})
		if err != nil {
			t.Fatal(err)
		}
		file, err := Encode(m)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, file)
	}
	read := 0
	for i := range 40_000 {
		rng := rand.New(rand.NewPCG(uint64(i), 9))
		m, err := Decode(files[i%len(files)])
		if err != nil {
			t.Fatal(err)
		}
		for range 1 + rng.IntN(3) {
			damage(m, rng, ops)
		}
		net, w, err := ToNetwork(m, ReadOptions{})
		if err != nil {
			continue
		}
		read++
		if err := net.Check(w); err != nil {
			t.Errorf("damage %d: what was read does not fit: %v", i, err)
		}
		if _, err := FromNetwork(net, w, Options{}); err != nil {
			t.Errorf("damage %d: what was read cannot be written: %v", i, err)
		}
	}
	if read < 100 {
		t.Errorf("only %d damaged models could be read: the damage is too much to tell anything", read)
	}
}

// damage changes one thing.
func damage(m *Model, rng *rand.Rand, ops []Op) {
	o := &m.Operators[rng.IntN(len(m.Operators))]
	numbers := []int{-8, -1, 0, 1, 2, 3, 4, 5, 16, 1 << 30}
	number := func() int { return numbers[rng.IntN(len(numbers))] }
	switch rng.IntN(6) {
	case 0:
		o.Op = ops[rng.IntN(len(ops))]
	case 1:
		if len(o.Inputs) == 0 {
			return
		}
		o.Inputs[rng.IntN(len(o.Inputs))] = rng.IntN(len(m.Tensors)+1) - 1
	case 2:
		o.Inputs = o.Inputs[:rng.IntN(len(o.Inputs)+1)]
	case 3:
		o.Options.StrideH = number()
		if rng.IntN(2) == 0 {
			o.Options.StrideW = o.Options.StrideH
		}
	case 4:
		o.Options.FilterH, o.Options.FilterW, o.Options.Valid, o.Options.Axis = number(), number(), rng.IntN(2) == 0, number()
		o.Options.Activation = Activation(rng.IntN(5))
	case 5:
		t := &m.Tensors[rng.IntN(len(m.Tensors))]
		if len(t.Shape) > 1 { // the same number of values
			i, k := rng.IntN(len(t.Shape)), rng.IntN(len(t.Shape))
			t.Shape[i], t.Shape[k] = t.Shape[k], t.Shape[i]
		}
	}
}
