package tflitefile

import (
	"math/rand/v2"
	"testing"

	"xbmedge/internal/nn"
)

// testNetwork has every kind of layer, odd sizes, both strides and all activations.
func testNetwork(t *testing.T) (*nn.Network, nn.Weights) {
	t.Helper()
	net := &nn.Network{Name: "test", Input: nn.Shape{H: 11, W: 8, C: 3}, Layers: []nn.Layer{
		{Name: "stem", Kind: nn.Conv, Inputs: []int{nn.Input}, Channels: 6, Kernel: 3, Stride: 2, Activation: nn.ReLU6},
		{Name: "depthwise", Kind: nn.Depthwise, Inputs: []int{0}, Channels: 6, Kernel: 3, Stride: 1, Activation: nn.ReLU},
		{Name: "project", Kind: nn.Conv, Inputs: []int{1}, Channels: 6, Kernel: 1, Stride: 1, Activation: nn.Linear},
		{Name: "add", Kind: nn.Add, Inputs: []int{0, 2}, Channels: 6, Activation: nn.Linear},
		{Name: "down", Kind: nn.Depthwise, Inputs: []int{3}, Channels: 6, Kernel: 3, Stride: 2, Activation: nn.Linear},
		{Name: "pool", Kind: nn.GlobalAvg, Inputs: []int{4}, Channels: 6, Activation: nn.Linear},
		{Name: "embedding", Kind: nn.Dense, Inputs: []int{5}, Channels: 4, Activation: nn.Linear},
	}}
	rng := rand.New(rand.NewPCG(1, 2))
	w, err := net.Init(rng)
	if err != nil {
		t.Fatal(err)
	}
	for i := range net.Layers { // Init leaves biases zero, which would hide a bias that is left out
		if b := w[net.Layers[i].Name+".bias"]; b != nil {
			for k := range b.Data {
				b.Data[k] = float32(rng.NormFloat64())
			}
		}
	}
	return net, w
}

func testInput(n int) []float32 {
	rng := rand.New(rand.NewPCG(3, 4))
	x := make([]float32, n)
	for i := range x {
		x[i] = float32(rng.Float64()*2 - 1)
	}
	return x
}

// reference computes every layer straight from the definitions in package nn, in float64, for one sample.
func reference(t *testing.T, net *nn.Network, w nn.Weights, input []float32) map[string][]float64 {
	t.Helper()
	shapes, err := net.Shapes()
	if err != nil {
		t.Fatal(err)
	}
	x := make([]float64, len(input))
	for i, v := range input {
		x[i] = float64(v)
	}
	values := make([][]float64, len(net.Layers))
	out := map[string][]float64{}
	for i := range net.Layers {
		l := &net.Layers[i]
		in := make([][]float64, len(l.Inputs))
		for k, j := range l.Inputs {
			in[k] = x
			if j != nn.Input {
				in[k] = values[j]
			}
		}
		y := layerReference(l, in, net.InputShapes(i, shapes)[0], shapes[i], w)
		for k, v := range y {
			switch l.Activation {
			case nn.ReLU:
				y[k] = max(v, 0)
			case nn.ReLU6:
				y[k] = min(max(v, 0), 6)
			}
		}
		values[i], out[l.Name] = y, y
	}
	return out
}

func layerReference(l *nn.Layer, in [][]float64, from, to nn.Shape, w nn.Weights) []float64 {
	y := make([]float64, to.Size())
	switch l.Kind {
	case nn.Add:
		for i := range y {
			y[i] = in[0][i] + in[1][i]
		}
	case nn.GlobalAvg:
		for i, v := range in[0] {
			y[i%from.C] += v / float64(from.H*from.W)
		}
	case nn.Dense:
		for o := range y {
			y[o] = float64(w[l.Name+".bias"].Data[o])
			for i := range from.C {
				y[o] += in[0][i] * float64(w[l.Name+".weight"].Data[o*from.C+i])
			}
		}
	default:
		convolve(y, in[0], l, from, to, w)
	}
	return y
}

func convolve(y, x []float64, l *nn.Layer, from, to nn.Shape, w nn.Weights) {
	weight, bias := w[l.Name+".weight"], w[l.Name+".bias"]
	top, _ := nn.Padding(from.H, l.Kernel, l.Stride)
	left, _ := nn.Padding(from.W, l.Kernel, l.Stride)
	fan := weight.Shape[1]
	for i := range y {
		row, col, o := i/(to.W*to.C), i/to.C%to.W, i%to.C
		y[i] = float64(bias.Data[o])
		for k := range l.Kernel * l.Kernel {
			r, c := row*l.Stride-top+k/l.Kernel, col*l.Stride-left+k%l.Kernel
			if r < 0 || r >= from.H || c < 0 || c >= from.W {
				continue
			}
			for ch := range fan {
				source := ch
				if l.Kind == nn.Depthwise {
					source = o
				}
				y[i] += x[(r*from.W+c)*from.C+source] * float64(weight.Data[(o*fan+ch)*l.Kernel*l.Kernel+k])
			}
		}
	}
}
