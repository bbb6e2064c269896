package engine

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"

	"xbmedge/internal/nn"
	"xbmedge/internal/testdata"
	"xbmedge/internal/vision"
)

// run computes the network's output for x, a batch of inputs one after another.
func run(t *testing.T, net *nn.Network, w nn.Weights, lowering Lowering, x []float32) []float32 {
	t.Helper()
	e, err := Open("go")
	if err != nil {
		t.Fatal(err)
	}
	n := len(x) / net.Input.Size()
	var out []float32
	err = Try(func() {
		y := graph.MustExecOnce(e.Backend, func(in *graph.Node) *graph.Node {
			f := Forward{Lowering: lowering, Param: func(name string) *graph.Node {
				return graph.Const(in.Graph(), tensors.FromFlatDataAndDimensions(w[name].Data, w[name].Shape...))
			}}
			return f.Build(net, in)
		}, tensors.FromFlatDataAndDimensions(x, n, net.Input.H, net.Input.W, net.Input.C))
		out = tensors.MustCopyFlatData[float32](y)
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// naive is a convolution written straight from its definition: x is one [H, W, C] map.
func naive(l *nn.Layer, w nn.Weights, in, out nn.Shape, x []float32) []float32 {
	weight, bias := w[l.Name+".weight"], w[l.Name+".bias"]
	top, _ := l.Pads(in.H)
	left, _ := l.Pads(in.W)
	fan := weight.Shape[1]
	y := make([]float32, out.Size())
	for oy := range out.H {
		for ox := range out.W {
			for o := range out.C {
				sum := bias.Data[o]
				for ky := range l.Kernel {
					for kx := range l.Kernel {
						iy, ix := oy*l.Stride+ky-top, ox*l.Stride+kx-left
						if iy < 0 || iy >= in.H || ix < 0 || ix >= in.W {
							continue
						}
						for i := range fan {
							c := i
							if l.Kind == nn.Depthwise {
								c = o
							}
							sum += weight.Data[((o*fan+i)*l.Kernel+ky)*l.Kernel+kx] * x[(iy*in.W+ix)*in.C+c]
						}
					}
				}
				y[(oy*out.W+ox)*out.C+o] = sum
			}
		}
	}
	return y
}

func TestConvolutionsEqualTheirDefinition(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	for _, c := range []struct {
		name           string
		kind           nn.Kind
		in             nn.Shape
		kernel, stride int
	}{
		{"dense 3x3 stride 1", nn.Conv, nn.Shape{H: 7, W: 6, C: 3}, 3, 1},
		{"dense 3x3 stride 2 even", nn.Conv, nn.Shape{H: 8, W: 6, C: 3}, 3, 2},
		{"dense 3x3 stride 2 odd", nn.Conv, nn.Shape{H: 7, W: 5, C: 3}, 3, 2},
		{"dense 4x4 patches", nn.Conv, nn.Shape{H: 8, W: 12, C: 3}, 4, 4},
		{"dense 2x2 patches, padded", nn.Conv, nn.Shape{H: 5, W: 4, C: 3}, 2, 2},
		{"dense 1x1", nn.Conv, nn.Shape{H: 3, W: 4, C: 5}, 1, 1},
		{"depthwise, small map", nn.Depthwise, nn.Shape{H: 7, W: 5, C: 4}, 3, 1},
		{"depthwise, small map, stride 2", nn.Depthwise, nn.Shape{H: 7, W: 6, C: 4}, 3, 2},
		{"depthwise, large map", nn.Depthwise, nn.Shape{H: 12, W: 10, C: 4}, 3, 1},
		{"depthwise, large map, stride 2", nn.Depthwise, nn.Shape{H: 12, W: 9, C: 4}, 3, 2},
	} {
		channels := 6
		if c.kind == nn.Depthwise {
			channels = c.in.C
		}
		net := &nn.Network{Name: "one", Input: c.in, Layers: []nn.Layer{{
			Name: "l", Kind: c.kind, Inputs: []int{nn.Input},
			Channels: channels, Kernel: c.kernel, Stride: c.stride, Activation: nn.Linear,
		}}}
		w, err := net.Init(rng)
		if err != nil {
			t.Fatal(err)
		}
		for i := range w["l.bias"].Data {
			w["l.bias"].Data[i] = rng.Float32()
		}
		x := make([]float32, 2*c.in.Size())
		for i := range x {
			x[i] = rng.Float32() - 0.5
		}
		shape, err := net.Output()
		if err != nil {
			t.Fatal(err)
		}
		want := append(naive(&net.Layers[0], w, c.in, shape, x[:c.in.Size()]), naive(&net.Layers[0], w, c.in, shape, x[c.in.Size():])...)
		for _, lowering := range []Lowering{Products, Shifts, Native} {
			got := run(t, net, w, lowering, x)
			if len(got) != len(want) {
				t.Fatalf("%s, lowering %d: %d values, want %d", c.name, lowering, len(got), len(want))
			}
			for i := range want {
				if math.Abs(float64(got[i]-want[i])) > 1e-5 {
					t.Errorf("%s, lowering %d: value %d is %g, want %g", c.name, lowering, i, got[i], want[i])
					break
				}
			}
		}
	}
}

// TestPretrainedEqualsReference holds the forward pass of the ImageNet weights against ONNX Runtime's.
func TestPretrainedEqualsReference(t *testing.T) {
	if testing.Short() {
		t.Skip("long with the race detector; runs without it")
	}
	refs := testdata.References(t)
	w, err := nn.ReadSafetensors(testdata.File(t, "mobilenetv2/mobilenetv2_1.0_224_tf_folded.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	net := nn.MobileNetV2(1, 224)
	if err := net.Check(w); err != nil {
		t.Fatal(err)
	}
	for _, ref := range refs {
		x := make([]float32, net.Input.Size())
		if err := vision.Float32(x, ref.Crop); err != nil {
			t.Fatal(err)
		}
		feature := run(t, net, w, Products, x)
		norm := 0.0
		for _, v := range feature {
			norm += float64(v) * float64(v)
		}
		norm = math.Sqrt(norm)
		if math.Abs(norm-ref.Norm) > ref.Tolerance*ref.Norm {
			t.Errorf("%s: norm %g, want %g", ref.Photo, norm, ref.Norm)
		}
		for i, want := range ref.First16 {
			if math.Abs(float64(feature[i])-want) > ref.Tolerance*ref.Norm {
				t.Errorf("%s: feature %d is %g, want %g", ref.Photo, i, feature[i], want)
			}
		}
	}
}
