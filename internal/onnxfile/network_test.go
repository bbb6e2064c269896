package onnxfile

import (
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"xbmedge/internal/nn"
	"xbmedge/internal/tflitetest"
)

func TestNetworkComputesWhatTheRuntimeDoes(t *testing.T) {
	for name, make := range map[string]func() ([]byte, []nn.Kind){
		"written out": writtenOut, "joined": joined, "from TensorFlow": fromTensorFlow, "generalised": generalised, "computed padding": computedPadding,
	} {
		t.Run(name, func(t *testing.T) {
			raw, kinds := make()
			net, w, err := Network(raw, ReadOptions{})
			if err != nil {
				t.Fatal(err)
			}
			var got []nn.Kind
			for i := range net.Layers {
				got = append(got, net.Layers[i].Kind)
			}
			if d := cmp.Diff(kinds, got); d != "" {
				t.Errorf("layers (-want +got):\n%s", d)
			}
			x := make32(net.Input.Size())
			input := channelsFirst(x, net.Input)
			if name == "from TensorFlow" {
				input = x
			}
			want := onnxRuntime(t, raw, input).Values[0]
			near(t, want, tflitetest.Run(t, net, w, x))
		})
	}
}

func make32(n int) []float32 {
	rng := rand.New(rand.NewPCG(3, 4))
	x := make([]float32, n)
	for i := range x {
		x[i] = float32(rng.Float64()*2 - 1)
	}
	return x
}

// near compares two vectors, each divided by its length.
func near(t *testing.T, want []float64, got []float32) {
	t.Helper()
	if len(want) != len(got) {
		t.Fatalf("%d values, want %d", len(got), len(want))
	}
	var a, b float64
	for i := range want {
		a, b = a+want[i]*want[i], b+float64(got[i])*float64(got[i])
	}
	for i := range want {
		if d := want[i]/math.Sqrt(a) - float64(got[i])/math.Sqrt(b); !(math.Abs(d) < 1e-5) {
			t.Errorf("value %d is %g, want %g", i, float64(got[i])/math.Sqrt(b), want[i]/math.Sqrt(a))
		}
	}
}

// TestNetworkReadsWhatEncodeWrites holds that a network comes back with its weights.
func TestNetworkReadsWhatEncodeWrites(t *testing.T) {
	for _, tt := range []struct {
		name    string
		pooling nn.Pooling
	}{{"smallcnn", nn.MaxPooling}, {"mobilenetv2", nn.AvgPooling}, {"mobilenetv3_small", nn.GeMFixed}, {"resnet50_vd", nn.AvgPooling}} {
		net, w := network(t, tt.name, 64, tt.pooling)
		raw, err := Encode(net, w, Options{Normalize: true})
		if err != nil {
			t.Fatal(err)
		}
		got, gotWeights, err := Network(raw, ReadOptions{})
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		if len(got.Layers) != len(net.Layers) || len(gotWeights) != len(w) {
			t.Errorf("%s: %d layers and %d tensors, want %d and %d", tt.name, len(got.Layers), len(gotWeights), len(net.Layers), len(w))
			continue
		}
		for i := range net.Layers {
			want, l := &net.Layers[i], &got.Layers[i]
			if l.Name != want.Name || l.Kind != want.Kind || l.Activation != want.Activation || !slices.Equal(l.Inputs, want.Inputs) {
				t.Errorf("%s: layer %d is %+v, want %+v", tt.name, i, *l, *want)
			}
			for _, suffix := range []string{".weight", ".bias", nn.GeMPower} {
				a, b := w[want.Name+suffix], gotWeights[l.Name+suffix]
				if (a == nil) != (b == nil) || a != nil && (!slices.Equal(a.Shape, b.Shape) || !slices.Equal(a.Data, b.Data)) {
					t.Errorf("%s: tensor %s%s is not what was written", tt.name, want.Name, suffix)
				}
			}
		}
	}
}

func TestNetworkRefuses(t *testing.T) {
	vector := func(f *foreign, x string) []byte {
		return f.model(13, f.op("Flatten", []string{f.op("GlobalAveragePool", []string{x})}), 8, 3, 16, 16)
	}
	after := func(kind string, inputs func(*foreign) []string, attributes ...message) []byte {
		f := newForeign()
		in := []string{f.conv("image", 8, 3, 3, 1, 1)}
		if inputs != nil {
			in = append(in, inputs(f)...)
		}
		return vector(f, f.op(kind, in, attributes...))
	}
	weight := func(shape ...int) func(*foreign) []string {
		return func(f *foreign) []string { return []string{f.random(shape...)} }
	}
	open := newForeign()
	classes := newForeign()
	classes.op("Softmax", []string{classes.op("Flatten", []string{classes.op("GlobalAveragePool", []string{"image"})})})
	for _, tt := range []struct {
		name, want string
		raw        []byte
		opt        ReadOptions
	}{
		{"an unknown operator", `operator Einsum (node "/Einsum_4"): it cannot be represented`, after("Einsum", nil), ReadOptions{}},
		{"groups", "2 groups from 8 to 8 channels", after("Conv", weight(8, 4, 1, 1), integer("group", 2)), ReadOptions{}},
		{"a kernel that is no square", "only square ones", after("Conv", weight(8, 8, 1, 3)), ReadOptions{}},
		{"dilation", "dilations of 2", after("Conv", weight(8, 8, 3, 3), ints("dilations", 2, 2)), ReadOptions{}},
		{"strides that differ", "strides [1 2]", after("Conv", weight(8, 8, 1, 1), ints("strides", 1, 2)), ReadOptions{}},
		{"other channels", "a weight of shape [8 7 1 1] for 8 channels", after("Conv", weight(8, 7, 1, 1)), ReadOptions{}},
		{"an exponential", "operator Elu", after("Elu", nil), ReadOptions{}},
		{"another bound", "it clips to 0 … 4", after("Clip", func(f *foreign) []string {
			return []string{f.real([]float32{0}), f.real([]float32{4})}
		}), ReadOptions{}},
		{"a power", `operator Pow (node "/Pow_5"): only a generalised mean`, after("Pow", func(f *foreign) []string {
			return []string{f.real([]float32{3})}
		}), ReadOptions{}},
		{"a quantised model", "already quantised", after("QuantizeLinear", nil), ReadOptions{}},
		{"a map's length", "a map of 16×16×8, not a vector", after("LpNormalization", nil, integer("axis", 1)), ReadOptions{}},
		{"a map", "ends in a map of 16×16×8", after("Relu", nil), ReadOptions{Output: "/Relu_4"}},
		{"another output", `no value "nose"`, after("Relu", nil), ReadOptions{Output: "nose"}},
		{"a classifier", `no embedding: choose a value before it as the output, such as "/Flatten_2"`, classes.model(13, "/Softmax_3", 3, 3, 8, 8), ReadOptions{}},
		{"an open size", "give the size (--size)", open.model(13, open.op("GlobalAveragePool", []string{"image"}), 3, 3, 0, 0), ReadOptions{}},
		{"another size", "fixed at 16×16, not 32", after("Relu", nil), ReadOptions{Size: 32}},
		{"a mean without deviation", "standard deviation", after("Relu", nil), ReadOptions{Mean: [3]float32{1, 1, 1}}},
		{"two inputs", "2 inputs", append(newForeign().model(13, "image", 3, 3, 8, 8), message{}...), ReadOptions{}},
		{"no graph", "damaged", message{}.int(modelIRVersion, irVersion), ReadOptions{}},
		{"nothing", "damaged", nil, ReadOptions{}},
	} {
		if tt.name == "two inputs" {
			f := newForeign()
			f.op("Add", []string{"image", "other"})
			graph := slices.Concat(f.nodes, message{}).message(graphInput, valueInfo("image", 3, 8, 8)).
				message(graphInput, valueInfo("other", 3, 8, 8)).message(graphOutput, valueInfo("/Add_1", 3))
			tt.raw = message{}.message(modelGraph, graph)
		}
		net, _, err := Network(tt.raw, tt.opt)
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: network %v, error %v, want %q", tt.name, net, err, tt.want)
		}
	}
}

func TestNetworkOptions(t *testing.T) {
	f := newForeign()
	x := f.op("Relu", []string{f.conv("image", 4, 3, 3, 2, 1)})
	x = f.op("Flatten", []string{f.op("GlobalAveragePool", []string{x})})
	f.op("Relu", []string{f.op("Neg", []string{x})}) // behind the chosen output: of no interest
	raw := f.model(13, "/Relu_7", 4, 3, 0, 0)
	mean, std := [3]float32{0.485, 0.456, 0.406}, [3]float32{0.229, 0.224, 0.225}
	plain, plainWeights, err := Network(raw, ReadOptions{Size: 8, Output: x})
	if err != nil {
		t.Fatal(err)
	}
	scaled, scaledWeights, err := Network(raw, ReadOptions{Size: 8, Output: x, Mean: mean, Std: std})
	if err != nil {
		t.Fatal(err)
	}
	if want := (nn.Shape{H: 8, W: 8, C: 3}); scaled.Input != want || len(scaled.Layers) != len(plain.Layers)+1 {
		t.Errorf("a network for %v of %d layers, want %v and %d", scaled.Input, len(scaled.Layers), want, len(plain.Layers)+1)
	}
	ours, theirs := make([]float32, scaled.Input.Size()), make([]float32, scaled.Input.Size())
	for i := range ours {
		pixel := float32(f.rng.IntN(256))
		ours[i], theirs[i] = pixel/127.5-1, (pixel/255-mean[i%3])/std[i%3]
	}
	var want []float64
	for _, v := range tflitetest.Run(t, plain, plainWeights, theirs) {
		want = append(want, float64(v))
	}
	near(t, want, tflitetest.Run(t, scaled, scaledWeights, ours))
}

func FuzzNetwork(f *testing.F) {
	for _, make := range []func() ([]byte, []nn.Kind){writtenOut, joined, fromTensorFlow, generalised, computedPadding} {
		raw, _ := make()
		f.Add(raw)
	}
	tiny := newForeign() // few weights, so that most of what is changed is the graph
	x := tiny.op("Relu", []string{tiny.conv("image", 1, 3, 1, 1, 0)})
	f.Add(tiny.model(13, tiny.op("GlobalAveragePool", []string{x}), 1, 3, 4, 4))
	f.Fuzz(func(t *testing.T, raw []byte) {
		net, w, err := Network(raw, ReadOptions{})
		if err != nil {
			return
		}
		if err := net.Check(w); err != nil {
			t.Errorf("what was read does not fit: %v", err)
		}
		if _, err := Encode(net, w, Options{}); err != nil {
			t.Errorf("what was read cannot be written: %v", err)
		}
	})
}
