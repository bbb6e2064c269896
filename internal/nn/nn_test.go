package nn

import (
	"bytes"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestMobileNetV2Shapes(t *testing.T) {
	for _, c := range []struct {
		width      float64
		size, out  int
		parameters int // published: torchvision 1.0 without classifier has 2,223,872 with batch norm; folded 2,206,816
	}{{1, 224, 1280, 2206816}, {0.35, 96, 1280, 0}, {1.4, 224, 1792, 0}} {
		net := MobileNetV2(c.width, c.size)
		out, err := net.Output()
		if err != nil {
			t.Fatal(err)
		}
		if (out != Shape{1, 1, c.out}) {
			t.Errorf("width %g: output %v, want 1×1×%d", c.width, out, c.out)
		}
		ps, err := net.Parameters()
		if err != nil {
			t.Fatal(err)
		}
		sum := 0
		for _, p := range ps {
			sum += len(NewTensor(p.Shape...).Data)
		}
		if c.parameters != 0 && sum != c.parameters {
			t.Errorf("width %g: %d parameters, want %d", c.width, sum, c.parameters)
		}
	}
}

func TestShapesNamesTheFaultyLayer(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*Network)
		want   string
	}{
		{"later input", func(n *Network) { n.Layers[1].Inputs = []int{5} }, "conv1: input 5"},
		{"two of a name", func(n *Network) { n.Layers[1].Name = "conv0" }, `"conv0"`},
		{"dense on a map", func(n *Network) { n.Layers[2].Kind = Dense }, "1×1 maps"},
		{"unknown kind", func(n *Network) { n.Layers[1].Kind = "lstm" }, `unknown kind "lstm"`},
		{"no stride", func(n *Network) { n.Layers[0].Stride = 0 }, "stride 0"},
	} {
		n := SmallCNN(16, 4, 8)
		c.change(n)
		if _, err := n.Shapes(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v does not say %q", c.name, err, c.want)
		}
	}
}

func TestSplitKeepsTheFunction(t *testing.T) {
	net := MobileNetV2(0.35, 96).WithEmbedding(128)
	trunk, tail, err := net.Split("features.14.project")
	if err != nil {
		t.Fatal(err)
	}
	if got := len(trunk.Layers) + len(tail.Layers); got != len(net.Layers) {
		t.Errorf("%d layers after the split, want %d", got, len(net.Layers))
	}
	out, err := tail.Output()
	if err != nil {
		t.Fatal(err)
	}
	if (out != Shape{1, 1, 128}) {
		t.Errorf("tail ends in %v", out)
	}
	for cut, want := range map[string]string{
		"features.15.project": "cut after features.15.add", // a residual spans the cut
		"features.15":         "it has features.0, features.1.depthwise, ",
		EmbeddingLayer:        "nothing is left",
	} {
		if _, _, err := net.Split(cut); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("cut after %s: error %v does not say %q", cut, err, want)
		}
	}
}

func TestFoldDividesByTheDeviation(t *testing.T) {
	net := &Network{Name: "one", Input: Shape{1, 1, 1}, Layers: []Layer{
		{Name: "c", Kind: Conv, Inputs: []int{Input}, Channels: 1, Kernel: 1, Stride: 1, Activation: Linear, BatchNorm: true},
	}}
	w := Weights{
		"c.weight": {[]int{1, 1, 1, 1}, []float32{3}}, "c" + BNScale: {[]int{1}, []float32{2}},
		"c" + BNOffset: {[]int{1}, []float32{0.5}}, "c" + BNMean: {[]int{1}, []float32{4}}, "c" + BNVariance: {[]int{1}, []float32{0.249}},
	}
	_, f, err := Fold(net, w)
	if err != nil {
		t.Fatal(err)
	}
	// (3x - 4) / sqrt(0.249 + 0.001) * 2 + 0.5 = 12x - 15.5
	if got := f["c.weight"].Data[0]; math.Abs(float64(got)-12) > 1e-5 {
		t.Errorf("weight %g, want 12", got)
	}
	if got := f["c.bias"].Data[0]; math.Abs(float64(got)+15.5) > 1e-5 {
		t.Errorf("bias %g, want -15.5", got)
	}
}

func TestSafetensorsRoundTrip(t *testing.T) {
	net := SmallCNN(16, 4, 8)
	w, err := net.Init(rand.New(rand.NewPCG(1, 2)))
	if err != nil {
		t.Fatal(err)
	}
	var buf bytes.Buffer
	if err := WriteSafetensors(&buf, w, map[string]string{"step": "7"}); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "w.safetensors")
	if err := os.WriteFile(path, buf.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	back, metadata, err := ReadSafetensorsMetadata(path)
	if err != nil {
		t.Fatal(err)
	}
	if metadata["step"] != "7" {
		t.Errorf("metadata %v lost the step", metadata)
	}
	if len(back) != len(w) {
		t.Fatalf("%d tensors came back, want %d", len(back), len(w))
	}
	for name, want := range w {
		if got := back[name]; !slices.Equal(got.Shape, want.Shape) || !slices.Equal(got.Data, want.Data) {
			t.Errorf("%s changed", name)
		}
	}
}

func FuzzSafetensors(f *testing.F) {
	var buf bytes.Buffer
	if err := WriteSafetensors(&buf, Weights{"a": NewTensor(2, 3), "b": NewTensor()}, nil); err != nil {
		f.Fatal(err)
	}
	f.Add(buf.Bytes())
	f.Add([]byte("\x02\x00\x00\x00\x00\x00\x00\x00{}"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		w, _, err := parseSafetensors(raw)
		if err != nil {
			return
		}
		for name, tensor := range w {
			if len(NewTensor(tensor.Shape...).Data) != len(tensor.Data) {
				t.Errorf("tensor %q: shape %v with %d values", name, tensor.Shape, len(tensor.Data))
			}
		}
	})
}
