package quantize

import (
	"math/rand/v2"
	"testing"

	"xbmedge/internal/nn"
	"xbmedge/internal/tflitefile"
)

// TestForeignKinds quantises a network with what only networks made elsewhere have: maps joined and padded, sigmoids, and
// windows without padding.
func TestForeignKinds(t *testing.T) {
	net := &nn.Network{Name: "foreign", Input: nn.Shape{H: 32, W: 32, C: 3}, Layers: []nn.Layer{
		{Name: "stem", Kind: nn.Conv, Inputs: []int{nn.Input}, Channels: 12, Kernel: 3, Stride: 2, Padding: nn.Valid, Activation: nn.SiLU},
		{Name: "max", Kind: nn.MaxPool, Inputs: []int{0}, Channels: 12, Kernel: 3, Stride: 2, Padding: nn.Valid},
		{Name: "a", Kind: nn.Conv, Inputs: []int{1}, Channels: 8, Kernel: 1, Stride: 1, Activation: nn.ReLU},
		{Name: "b", Kind: nn.Conv, Inputs: []int{1}, Channels: 8, Kernel: 3, Stride: 1, Activation: nn.SiLU},
		{Name: "concat", Kind: nn.Concat, Inputs: []int{2, 1, 3}, Channels: 28},
		{Name: "mean", Kind: nn.GlobalAvg, Inputs: []int{4}, Channels: 28},
		{Name: "gate", Kind: nn.Dense, Inputs: []int{5}, Channels: 28, Activation: nn.Sigmoid},
		{Name: "scale", Kind: nn.Mul, Inputs: []int{4, 6}, Channels: 28},
		{Name: "pad", Kind: nn.Pad, Inputs: []int{7}, Channels: 28, Around: nn.Margins{Top: 2, Right: 1}},
		{Name: "deep", Kind: nn.Conv, Inputs: []int{8}, Channels: 32, Kernel: 3, Stride: 2, Padding: nn.Valid, Activation: nn.ReLU},
		{Name: "pool", Kind: nn.GlobalAvg, Inputs: []int{9}, Channels: 32},
		{Name: "embedding", Kind: nn.Dense, Inputs: []int{10}, Channels: 16},
	}}
	w, err := net.Init(rand.New(rand.NewPCG(7, 8)))
	if err != nil {
		t.Fatal(err)
	}
	cal := calibrate(t, net, w, randomFrames(60, 32, 1))
	m, _, err := Quantize(net, w, cal, Options{})
	if err != nil {
		t.Fatal(err)
	}
	for i := range m.Operators {
		o := &m.Operators[i]
		if o.Op != tflitefile.Concatenation {
			continue
		}
		out := m.Tensors[o.Outputs[0]].Quant
		for _, in := range o.Inputs {
			if q := m.Tensors[in].Quant; q.Scale[0] != out.Scale[0] || q.ZeroPoint[0] != out.ZeroPoint[0] {
				t.Errorf("joins %s of scale %g, zero %d into scale %g, zero %d", m.Tensors[in].Name, q.Scale[0], q.ZeroPoint[0], out.Scale[0], out.ZeroPoint[0])
			}
		}
	}
	file, test := encode(t, m), randomFrames(40, 32, 2)
	got := embedAll(t, file, test, false)
	if c := meanCosine(t, embedAll(t, floatModel(t, net, w), test, false), got); c < 0.995 {
		t.Errorf("mean cosine %.4f with float, want at least 0.995", c)
	}
	if c := meanCosine(t, got, embedAll(t, file, test, true)); c < 0.999 {
		t.Errorf("XNNPACK and the plain kernels have mean cosine %.4f", c)
	}
}
