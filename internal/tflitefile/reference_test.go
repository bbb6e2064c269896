package tflitefile

import (
	"math"
	"math/rand/v2"
	"testing"

	"xbmedge/internal/nn"
)

// testNetwork has all of MobileNetV2's layers, odd sizes, both strides and all of its activations.
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
	return net, testWeights(t, net)
}

// kindsNetwork has the layers of MobileNetV3 and ResNet, padded symmetrically, and a generalised mean.
func kindsNetwork() *nn.Network {
	return &nn.Network{Name: "kinds", Input: nn.Shape{H: 16, W: 14, C: 3}, Layers: []nn.Layer{
		{Name: "stem", Kind: nn.Conv, Inputs: []int{nn.Input}, Channels: 4, Kernel: 3, Stride: 2, Padding: nn.Symmetric, Activation: nn.ReLU},
		{Name: "max", Kind: nn.MaxPool, Inputs: []int{0}, Channels: 4, Kernel: 3, Stride: 2, Padding: nn.Symmetric},
		{Name: "swish", Kind: nn.Conv, Inputs: []int{1}, Channels: 4, Kernel: 3, Stride: 1, Padding: nn.Symmetric, Activation: nn.HSwish},
		{Name: "mean", Kind: nn.GlobalAvg, Inputs: []int{2}, Channels: 4},
		{Name: "gate", Kind: nn.Dense, Inputs: []int{3}, Channels: 4, Activation: nn.HSigmoid},
		{Name: "scale", Kind: nn.Mul, Inputs: []int{2, 4}, Channels: 4},
		{Name: "down", Kind: nn.Depthwise, Inputs: []int{5}, Channels: 4, Kernel: 3, Stride: 2, Padding: nn.Symmetric, Activation: nn.HSwish},
		{Name: "avg", Kind: nn.AvgPool, Inputs: []int{5}, Channels: 4, Kernel: 2, Stride: 2},
		{Name: "add", Kind: nn.Add, Inputs: []int{6, 7}, Channels: 4, Activation: nn.ReLU},
		{Name: "pool", Kind: nn.GeM, Inputs: []int{8}, Channels: 4},
	}}
}

// foreignNetwork has what only networks made elsewhere have.
func foreignNetwork() *nn.Network {
	return &nn.Network{Name: "foreign", Input: nn.Shape{H: 13, W: 16, C: 3}, Layers: []nn.Layer{
		{Name: "stem", Kind: nn.Conv, Inputs: []int{nn.Input}, Channels: 4, Kernel: 3, Stride: 2, Padding: nn.Valid, Activation: nn.ReLU},
		{Name: "max", Kind: nn.MaxPool, Inputs: []int{0}, Channels: 4, Kernel: 3, Stride: 2, Padding: nn.Valid},
		{Name: "silu", Kind: nn.Conv, Inputs: []int{1}, Channels: 3, Kernel: 1, Stride: 1, Activation: nn.SiLU},
		{Name: "sigmoid", Kind: nn.Depthwise, Inputs: []int{1}, Channels: 4, Kernel: 3, Stride: 1, Activation: nn.Sigmoid},
		{Name: "concat", Kind: nn.Concat, Inputs: []int{2, 1, 3}, Channels: 11},
		{Name: "pad", Kind: nn.Pad, Inputs: []int{4}, Channels: 11, Around: nn.Margins{Top: 2, Left: 1, Right: 1}},
		{Name: "avg", Kind: nn.AvgPool, Inputs: []int{5}, Channels: 11, Kernel: 2, Stride: 2, Padding: nn.Valid},
		{Name: "pool", Kind: nn.GlobalAvg, Inputs: []int{6}, Channels: 11},
	}}
}

func testWeights(t *testing.T, net *nn.Network) nn.Weights {
	t.Helper()
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
	return w
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
		y := layerReference(l, in, net.InputShapes(i, shapes), shapes[i], w)
		for k, v := range y {
			switch l.Activation {
			case nn.ReLU:
				y[k] = max(v, 0)
			case nn.ReLU6:
				y[k] = min(max(v, 0), 6)
			case nn.Sigmoid:
				y[k] = 1 / (1 + math.Exp(-v))
			case nn.SiLU:
				y[k] = v / (1 + math.Exp(-v))
			case nn.HSigmoid:
				y[k] = min(max(v+3, 0), 6) / 6
			case nn.HSwish:
				y[k] = v * min(max(v+3, 0), 6) / 6
			}
		}
		values[i], out[l.Name] = y, y
	}
	return out
}

func layerReference(l *nn.Layer, in [][]float64, shapes []nn.Shape, to nn.Shape, w nn.Weights) []float64 {
	y, from := make([]float64, to.Size()), shapes[0]
	switch l.Kind {
	case nn.Add:
		for i := range y {
			y[i] = in[0][i] + in[1][i]
		}
	case nn.Mul:
		for i := range y {
			y[i] = in[0][i] * in[1][i%len(in[1])]
		}
	case nn.Concat:
		first := 0
		for k, x := range in {
			for i, v := range x {
				y[i/shapes[k].C*to.C+first+i%shapes[k].C] = v
			}
			first += shapes[k].C
		}
	case nn.Pad:
		for i, v := range in[0] {
			row, col, c := i/(from.W*from.C)+l.Around.Top, i/from.C%from.W+l.Around.Left, i%from.C
			y[(row*to.W+col)*to.C+c] = v
		}
	case nn.MaxPool, nn.AvgPool:
		pool(y, in[0], l, from, to)
	case nn.GeM:
		p := float64(w[l.Name+nn.GeMPower].Data[0])
		for i, v := range in[0] {
			y[i%from.C] += math.Pow(max(v, nn.GeMFloor), p) / float64(from.H*from.W)
		}
		for c := range y {
			y[c] = math.Pow(y[c], 1/p)
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

func pool(y, x []float64, l *nn.Layer, from, to nn.Shape) {
	top, _ := l.Pads(from.H)
	left, _ := l.Pads(from.W)
	for i := range y {
		row, col, c := i/(to.W*to.C), i/to.C%to.W, i%to.C
		largest, sum, count := math.Inf(-1), 0.0, 0.0
		for k := range l.Kernel * l.Kernel {
			r, q := row*l.Stride-top+k/l.Kernel, col*l.Stride-left+k%l.Kernel
			if r >= 0 && r < from.H && q >= 0 && q < from.W {
				v := x[(r*from.W+q)*from.C+c]
				largest, sum, count = max(largest, v), sum+v, count+1
			}
		}
		y[i] = largest
		if l.Kind == nn.AvgPool {
			y[i] = sum / count
		}
	}
}

func convolve(y, x []float64, l *nn.Layer, from, to nn.Shape, w nn.Weights) {
	weight, bias := w[l.Name+".weight"], w[l.Name+".bias"]
	top, _ := l.Pads(from.H)
	left, _ := l.Pads(from.W)
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
