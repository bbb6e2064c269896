package engine

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"

	"xbmedge/internal/nn"
)

// poolReference computes max and average pools from their definition, in float64, for one map.
func poolReference(l *nn.Layer, in, out nn.Shape, x []float32) []float64 {
	top, _ := l.Pads(in.H)
	left, _ := l.Pads(in.W)
	y := make([]float64, out.Size())
	for i := range y {
		row, col, c := i/(out.W*out.C), i/out.C%out.W, i%out.C
		largest, sum, count := math.Inf(-1), 0.0, 0.0
		for k := range l.Kernel * l.Kernel {
			r, q := row*l.Stride-top+k/l.Kernel, col*l.Stride-left+k%l.Kernel
			if r < 0 || r >= in.H || q < 0 || q >= in.W {
				continue
			}
			v := float64(x[(r*in.W+q)*in.C+c])
			largest, sum, count = max(largest, v), sum+v, count+1
		}
		y[i] = largest
		if l.Kind == nn.AvgPool {
			y[i] = sum / count
		}
	}
	return y
}

func TestPoolsEqualTheirDefinition(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	for _, kind := range []nn.Kind{nn.MaxPool, nn.AvgPool} {
		for _, c := range []struct {
			h, w, kernel, stride int
			padding              nn.PaddingMode
		}{{8, 6, 2, 2, ""}, {7, 5, 2, 2, ""}, {8, 7, 3, 2, nn.Symmetric}, {8, 7, 3, 2, nn.Same}, {8, 7, 3, 2, nn.Valid}, {5, 5, 3, 1, ""}} {
			in := nn.Shape{H: c.h, W: c.w, C: 3}
			net := &nn.Network{Name: "pool", Input: in, Layers: []nn.Layer{{
				Name: "l", Kind: kind, Inputs: []int{nn.Input}, Channels: 3, Kernel: c.kernel, Stride: c.stride, Padding: c.padding,
			}}}
			out, err := net.Output()
			if err != nil {
				t.Fatal(err)
			}
			x := make([]float32, in.Size())
			for i := range x {
				x[i] = rng.Float32() - 1.5 // all negative: padding that counts would show
			}
			want := poolReference(&net.Layers[0], in, out, x)
			for _, lowering := range []Lowering{Products, Native} {
				got := run(t, net, nil, lowering, x)
				for i := range want {
					if math.Abs(float64(got[i])-want[i]) > 1e-6 {
						t.Fatalf("%s %+v, lowering %d: value %d is %g, want %g", kind, c, lowering, i, got[i], want[i])
					}
				}
			}
		}
	}
}

// kindsNetwork has every kind of layer that is no convolution, and every activation but ReLU6.
func kindsNetwork() *nn.Network {
	return &nn.Network{Name: "kinds", Input: nn.Shape{H: 8, W: 6, C: 3}, Layers: []nn.Layer{
		{Name: "normalize", Kind: nn.Depthwise, Inputs: []int{nn.Input}, Channels: 3, Kernel: 1, Stride: 1, Frozen: true},
		{Name: "stem", Kind: nn.Conv, Inputs: []int{0}, Channels: 4, Kernel: 3, Stride: 2, Padding: nn.Symmetric, Activation: nn.HSwish},
		{Name: "max", Kind: nn.MaxPool, Inputs: []int{1}, Channels: 4, Kernel: 3, Stride: 1, Padding: nn.Symmetric},
		{Name: "mean", Kind: nn.GlobalAvg, Inputs: []int{2}, Channels: 4},
		{Name: "gate", Kind: nn.Dense, Inputs: []int{3}, Channels: 4, Activation: nn.HSigmoid},
		{Name: "scale", Kind: nn.Mul, Inputs: []int{2, 4}, Channels: 4},
		{Name: "pad", Kind: nn.Pad, Inputs: []int{5}, Channels: 4, Around: nn.Margins{Top: 1, Right: 2, Bottom: 1}},
		{Name: "valid", Kind: nn.Conv, Inputs: []int{6}, Channels: 2, Kernel: 3, Stride: 1, Padding: nn.Valid, Activation: nn.SiLU},
		{Name: "sigmoid", Kind: nn.Depthwise, Inputs: []int{5}, Channels: 4, Kernel: 1, Stride: 1, Activation: nn.Sigmoid},
		{Name: "concat", Kind: nn.Concat, Inputs: []int{7, 5, 8}, Channels: 10},
		{Name: "avg", Kind: nn.AvgPool, Inputs: []int{9}, Channels: 10, Kernel: 2, Stride: 2},
		{Name: "down", Kind: nn.Depthwise, Inputs: []int{10}, Channels: 10, Kernel: 3, Stride: 2, Padding: nn.Symmetric, Activation: nn.ReLU},
		{Name: "pool", Kind: nn.GeM, Inputs: []int{11}, Channels: 10},
		{Name: "embedding", Kind: nn.Dense, Inputs: []int{12}, Channels: 3},
	}}
}

// gradients returns Σ outputs·(1, 2, 3, …) and its gradient by every trained parameter.
func gradients(t *testing.T, net *nn.Network, w nn.Weights, lowering Lowering, x []float32) (float64, nn.Weights) {
	t.Helper()
	e, err := Open("go")
	if err != nil {
		t.Fatal(err)
	}
	ps, err := net.Parameters()
	if err != nil {
		t.Fatal(err)
	}
	var outs []*tensors.Tensor
	err = Try(func() {
		outs = graph.MustExecOnceN(e.Backend, func(in *graph.Node) []*graph.Node {
			nodes := map[string]*graph.Node{}
			f := Forward{Lowering: lowering, Training: true, Observe: func(string, *graph.Node, *graph.Node) {}, Param: func(name string) *graph.Node {
				if nodes[name] == nil {
					nodes[name] = graph.Const(in.Graph(), tensors.FromFlatDataAndDimensions(w[name].Data, w[name].Shape...))
				}
				return nodes[name]
			}}
			y := f.Build(net, in)
			loss := graph.ReduceAllSum(graph.Mul(y, graph.AddScalar(graph.IotaFull(in.Graph(), y.Shape()), 1)))
			var by []*graph.Node
			for _, p := range ps {
				f.Param(p.Name) // a batch norm's statistics are not asked for while training
				by = append(by, nodes[p.Name])
			}
			return append([]*graph.Node{loss}, graph.Gradient(loss, by...)...)
		}, tensors.FromFlatDataAndDimensions(x, len(x)/net.Input.Size(), net.Input.H, net.Input.W, net.Input.C))
	})
	if err != nil {
		t.Fatal(err)
	}
	g := nn.Weights{}
	for i, p := range ps {
		g[p.Name] = &nn.Tensor{Shape: p.Shape, Data: tensors.MustCopyFlatData[float32](outs[i+1])}
	}
	return float64(tensors.ToScalar[float32](outs[0])), g
}

func TestGradientsOfEveryKind(t *testing.T) {
	net := kindsNetwork()
	rng := rand.New(rand.NewPCG(7, 8))
	w, err := net.Init(rng)
	if err != nil {
		t.Fatal(err)
	}
	for i := range w["stem.bias"].Data { // positive values, so that few units are at a kink
		w["stem.bias"].Data[i], w["gate.bias"].Data[i] = 1, 0.3
	}
	for i := range w["down.bias"].Data {
		w["down.bias"].Data[i] = 1
	}
	x := make([]float32, net.Input.Size())
	for i := range x {
		x[i] = 2*rng.Float32() - 1
	}
	for _, lowering := range []Lowering{Products, Native} {
		t.Run(fmt.Sprintf("lowering %d", lowering), func(t *testing.T) {
			_, got := gradients(t, net, w, lowering, x)
			for name, g := range got {
				for i := range g.Data {
					const step = 2e-3
					before := w[name].Data[i]
					w[name].Data[i] = before + step
					high, _ := gradients(t, net, w, lowering, x)
					w[name].Data[i] = before - step
					low, _ := gradients(t, net, w, lowering, x)
					w[name].Data[i] = before
					want := (high - low) / (2 * step)
					if name == nn.NormalizeLayer+".weight" || name == nn.NormalizeLayer+".bias" {
						want = 0 // frozen
					}
					if math.Abs(float64(g.Data[i])-want) > 0.02*(1+math.Abs(want)) {
						t.Errorf("%s[%d]: gradient %g, want %g", name, i, g.Data[i], want)
					}
				}
			}
		})
	}
}

// TestGradientsReachTheStem trains what is published from its first convolution to its last.
func TestGradientsReachTheStem(t *testing.T) {
	for name, stem := range map[string]string{"mobilenetv3_small": "features.0.weight", "resnet50_vd": "stem.0.weight"} {
		net, err := nn.Backbone(name, 0.5, 32, nil)
		if err != nil {
			t.Fatal(err)
		}
		rng := rand.New(rand.NewPCG(9, 10))
		w, err := net.Init(rng)
		if err != nil {
			t.Fatal(err)
		}
		x := make([]float32, 2*net.Input.Size()) // batch norms need two to differ
		for i := range x {
			x[i] = 2*rng.Float32() - 1
		}
		_, g := gradients(t, net, w, Products, x)
		norm := 0.0
		for _, v := range g[stem].Data {
			norm += float64(v) * float64(v)
		}
		if !(norm > 0) || math.IsInf(norm, 0) {
			t.Errorf("%s: the squared gradient of %s is %g", name, stem, norm)
		}
	}
}

func TestFrozenNormsKeepTheirStatistics(t *testing.T) {
	net := &nn.Network{Name: "norm", Input: nn.Shape{H: 1, W: 2, C: 1}, Layers: []nn.Layer{
		{Name: "c", Kind: nn.Conv, Inputs: []int{nn.Input}, Channels: 1, Kernel: 1, Stride: 1, BatchNorm: true, Epsilon: 1},
	}}
	w := nn.Weights{"c.weight": {Shape: []int{1, 1, 1, 1}, Data: []float32{1}}}
	for suffix, v := range map[string]float32{nn.BNScale: 2, nn.BNOffset: 1, nn.BNMean: 5, nn.BNVariance: 3} {
		w["c"+suffix] = &nn.Tensor{Shape: []int{1}, Data: []float32{v}}
	}
	e, err := Open("go")
	if err != nil {
		t.Fatal(err)
	}
	for frozen, want := range map[bool]float32{true: 1 + 2*(7-5)/2, false: 1 + 2/math.Sqrt2} {
		y := graph.MustExecOnce(e.Backend, func(in *graph.Node) *graph.Node {
			f := Forward{Training: !frozen, Observe: func(string, *graph.Node, *graph.Node) {}, Param: func(name string) *graph.Node {
				return graph.Const(in.Graph(), tensors.FromFlatDataAndDimensions(w[name].Data, w[name].Shape...))
			}}
			return f.Build(net, in)
		}, tensors.FromFlatDataAndDimensions([]float32{7, 5}, 1, 1, 2, 1))
		if got := tensors.MustCopyFlatData[float32](y)[0]; math.Abs(float64(got-want)) > 1e-5 {
			t.Errorf("frozen %t: %g, want %g", frozen, got, want) // the batch's mean is 6, its variance 1
		}
	}
}
