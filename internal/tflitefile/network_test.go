package tflitefile

import (
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"xbmedge/internal/nn"
	"xbmedge/internal/testdata"
)

// settled returns a network with one way to write what can be written in several: padding that is the same by two
// modes, and no activation.
func settled(t *testing.T, net *nn.Network) *nn.Network {
	t.Helper()
	shapes, err := net.Shapes()
	if err != nil {
		t.Fatal(err)
	}
	out := *net
	out.Layers = nil
	for i, l := range net.Layers {
		if l.Activation == "" {
			l.Activation = nn.Linear
		}
		l.Frozen = false // a file says nothing about training
		if l.Kernel > 0 && l.Padding != nn.Valid {
			in := net.InputShapes(i, shapes)[0]
			same := l
			same.Padding = ""
			top, bottom := l.Pads(in.H)
			left, right := l.Pads(in.W)
			sameTop, sameBottom := same.Pads(in.H)
			sameLeft, sameRight := same.Pads(in.W)
			if [4]int{top, bottom, left, right} == [4]int{sameTop, sameBottom, sameLeft, sameRight} {
				l = same
			}
		}
		out.Layers = append(out.Layers, l)
	}
	return &out
}

func TestToNetworkReadsWhatFromNetworkWrites(t *testing.T) {
	net, _ := testNetwork(t)
	foreign := foreignNetwork()
	for _, n := range []*nn.Network{net, kindsNetwork(), foreign} {
		roundTrip(t, n)
	}
	for _, name := range nn.Backbones() {
		if name == "resnet50" {
			continue // resnet50_vd has all of its layers
		}
		n, err := nn.Backbone(name, 0.35, 64, []int{8, 16})
		if err != nil {
			t.Fatal(err)
		}
		if n, err = n.WithPooling(nn.GeMPooling); err != nil {
			t.Fatal(err)
		}
		roundTrip(t, n.WithNeck(24, false).WithEmbedding(16).WithoutBatchNorm())
	}
}

func roundTrip(t *testing.T, net *nn.Network) {
	t.Helper()
	w := testWeights(t, net)
	m, err := FromNetwork(net, w, Options{})
	if err != nil {
		t.Fatal(err)
	}
	file, err := Encode(m)
	if err != nil {
		t.Fatal(err)
	}
	if m, err = Decode(file); err != nil {
		t.Fatal(err)
	}
	got, gotWeights, err := ToNetwork(m, ReadOptions{})
	if err != nil {
		t.Errorf("%s: %v", net.Name, err)
		return
	}
	if d := cmp.Diff(settled(t, net), settled(t, got)); d != "" {
		t.Errorf("%s (-written +read):\n%s", net.Name, d)
	}
	if len(gotWeights) != len(w) {
		t.Errorf("%s: %d tensors, want %d", net.Name, len(gotWeights), len(w))
	}
	for name, want := range w { // cmp takes minutes for the millions of a ResNet
		if g := gotWeights[name]; g == nil || !slices.Equal(g.Shape, want.Shape) || !slices.Equal(g.Data, want.Data) {
			t.Errorf("%s: tensor %s is not what was written", net.Name, name)
		}
	}
}

// TestToNetworkComputesTheSame holds that a real file and what is read from it give the same.
func TestToNetworkComputesTheSame(t *testing.T) {
	raw, err := os.ReadFile(testdata.File(t, "tflite/mobilenet_v1_0.25_float.tflite"))
	if err != nil {
		t.Fatal(err)
	}
	m, err := Decode(raw)
	if err != nil {
		t.Fatal(err)
	}
	_, _, err = ToNetwork(m, ReadOptions{})
	if err == nil || !strings.Contains(err.Error(), "SOFTMAX") || !strings.Contains(err.Error(), "AvgPool") {
		t.Errorf("a classifier: error %v, want one that names SOFTMAX and the pool before it", err)
	}
	const pool = "MobilenetV1/Logits/AvgPool_1a/AvgPool"
	net, w, err := ToNetwork(m, ReadOptions{Output: pool})
	if err != nil {
		t.Fatal(err)
	}
	for i := range net.Layers {
		if l := &net.Layers[i]; l.Kind == nn.Depthwise && l.Kernel == 1 || l.Kind == nn.Pad {
			t.Errorf("layer %s is a %s of kernel %d: it should be part of another", l.Name, l.Kind, l.Kernel)
		}
	}
	x := testInput(net.Input.Size())
	m.Outputs = []int{m.Find(pool)}
	file, err := Encode(trimmed(m))
	if err != nil {
		t.Fatal(err)
	}
	want := runLiteRT(t, file, Float32s(x)).Outputs[0]
	got := reference(t, net, w, x)[net.Layers[len(net.Layers)-1].Name]
	if len(got) != len(want) || len(got) != 256 {
		t.Fatalf("%d values, want %d", len(got), len(want))
	}
	for i, v := range want {
		if d := got[i] - v; d > 1e-4 || d < -1e-4 {
			t.Fatalf("value %d is %g, and %g on LiteRT", i, got[i], v)
		}
	}
}

// trimmed leaves out the operators behind a model's output.
func trimmed(m *Model) *Model {
	needed := m.needed(m.Outputs[0])
	out := *m
	out.Operators = nil
	for i := range m.Operators {
		if needed[i] {
			out.Operators = append(out.Operators, m.Operators[i])
		}
	}
	return &out
}

func TestToNetworkRefuses(t *testing.T) {
	for _, tt := range []struct {
		file, want string
		opt        ReadOptions
	}{
		{"vww_96_int8.tflite", "already quantised", ReadOptions{}},
		{"mobilenet_v1_quant_embedding_extractor.tflite", "already quantised", ReadOptions{}},
		{"mobilenet_v1_0.25_float.tflite", `no tensor "nose"`, ReadOptions{Output: "nose"}},
		{"mobilenet_v1_0.25_float.tflite", "ends in a map", ReadOptions{Output: "MobilenetV1/MobilenetV1/Conv2d_0/Relu6"}},
		{"mobilenet_v1_0.25_float.tflite", "fixed at 224×224", ReadOptions{Size: 96}},
		{"mobilenet_v1_0.25_float.tflite", "standard deviation", ReadOptions{Mean: [3]float32{0.5, 0.5, 0.5}}},
	} {
		raw, err := os.ReadFile(testdata.File(t, "tflite/"+tt.file))
		if err != nil {
			t.Fatal(err)
		}
		m, err := Decode(raw)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := ToNetwork(m, tt.opt); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: error %v, want %q", tt.file, err, tt.want)
		}
	}
	for _, tt := range []struct {
		want string
		harm func(*Model)
	}{
		{"2 inputs", func(m *Model) { m.Inputs = []int{0, 0} }},
		{"2 outputs", func(m *Model) { m.Outputs = []int{1, 2} }},
		{"without dilation", func(m *Model) { m.Operators[0].Options.Dilated = true }},
		{"fused activation 2", func(m *Model) { m.Operators[0].Options.Activation = 2 }},
		{"TANH", func(m *Model) { m.Operators[3].Op = 28 }},
		{"is nowhere computed", func(m *Model) { m.Operators = m.Operators[1:2]; m.Operators[0].Outputs[0] = 0 }},
		{"is not computed from the picture", func(m *Model) { m.Operators = m.Operators[1:] }},
		{"only height and width", func(m *Model) {
			by := m.AddBuffer(Int32s([]int32{0, 0, 0, 0, 0, 0, 1, 0}))
			pads := m.AddTensor(Tensor{Name: "pads", Type: Int32, Shape: []int{4, 2}, Buffer: by})
			m.Operators[0] = Operator{Op: Pad, Inputs: []int{m.Inputs[0], pads}, Outputs: m.Operators[0].Outputs}
		}},
	} {
		net, w := testNetwork(t)
		m, err := FromNetwork(net, w, Options{})
		if err != nil {
			t.Fatal(err)
		}
		tt.harm(m)
		if _, _, err := ToNetwork(m, ReadOptions{}); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("error %v, want %q", err, tt.want)
		}
	}
}

func TestPictureOptions(t *testing.T) {
	net, w := testNetwork(t)
	m, err := FromNetwork(net, w, Options{})
	if err != nil {
		t.Fatal(err)
	}
	mean, std := [3]float32{0.485, 0.456, 0.406}, [3]float32{0.229, 0.224, 0.225}
	got, gotWeights, err := ToNetwork(m, ReadOptions{Mean: mean, Std: std})
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(5, 6))
	ours, theirs := make([]float32, net.Input.Size()), make([]float32, net.Input.Size())
	for i := range ours {
		pixel := float32(rng.IntN(256))
		ours[i], theirs[i] = pixel/127.5-1, (pixel/255-mean[i%3])/std[i%3]
	}
	want := reference(t, net, w, theirs)["embedding"]
	for i, v := range reference(t, got, gotWeights, ours)["embedding"] {
		if d := v - want[i]; d > 1e-4 || d < -1e-4 {
			t.Errorf("value %d is %g, want %g", i, v, want[i])
		}
	}
}

func FuzzToNetwork(f *testing.F) {
	net := kindsNetwork()
	foreign := foreignNetwork()
	for _, n := range []*nn.Network{net, foreign} {
		w, err := n.Init(rand.New(rand.NewPCG(1, 2)))
		if err != nil {
			f.Fatal(err)
		}
		m, err := FromNetwork(n, w, Options{})
		if err != nil {
			f.Fatal(err)
		}
		file, err := Encode(m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(file)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := Decode(data)
		if err != nil {
			return
		}
		net, w, err := ToNetwork(m, ReadOptions{})
		if err != nil {
			return
		}
		if err := net.Check(w); err != nil {
			t.Errorf("what was read does not fit: %v", err)
		}
		if _, err := FromNetwork(net, w, Options{}); err != nil {
			t.Errorf("what was read cannot be written: %v", err)
		}
	})
}
