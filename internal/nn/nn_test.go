package nn

import (
	"bytes"
	"encoding/binary"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestBackbones(t *testing.T) {
	for _, c := range []struct {
		name       string
		width      float64
		size, out  int
		parameters int // what the makers count without the classifier: torchvision's 3,504,872 − 1,281,000 and so on
	}{
		{"mobilenetv2", 1, 224, 1280, 2223872},
		{"mobilenetv2", 0.35, 96, 1280, 0},
		{"mobilenetv2_torch", 1.4, 224, 1792, 0},
		{"mobilenetv3_small", 1, 224, 1024, 2542856 - 1025000},
		{"mobilenetv3_large", 1, 224, 1280, 5483032 - 1281000},
		{"resnet50", 1, 224, 2048, 25557032 - 2049000},
		{"resnet50_vd", 1, 225, 2048, 25576264 - 2049000}, // timm's resnet50d
	} {
		net, err := Backbone(c.name, c.width, c.size, nil)
		if err != nil {
			t.Fatal(err)
		}
		out, err := net.Output()
		if err != nil {
			t.Fatal(err)
		}
		if (out != Shape{1, 1, c.out}) {
			t.Errorf("%s %g: output %v, want 1×1×%d", c.name, c.width, out, c.out)
		}
		ps, err := net.Parameters()
		if err != nil {
			t.Fatal(err)
		}
		sum := 0
		for _, p := range ps {
			if !p.Fixed {
				sum += len(NewTensor(p.Shape...).Data)
			}
		}
		if c.parameters != 0 && sum != c.parameters {
			t.Errorf("%s %g: %d parameters, want %d", c.name, c.width, sum, c.parameters)
		}
	}
	for name, want := range map[string]string{"vgg": "take smallcnn, mobilenetv2, ", "smallcnn": "no channels"} {
		if _, err := Backbone(name, 1, 64, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v does not say %q", name, err, want)
		}
	}
	if _, err := Backbone("mobilenetv2", math.NaN(), 64, nil); err == nil || !strings.Contains(err.Error(), "take 0.35 to 1.4") {
		t.Errorf("a width that is no number: %v", err)
	}
	for _, name := range Backbones() {
		if _, err := Backbone(name, 1, 64, []int{8}); err != nil {
			t.Errorf("%s is listed, but: %v", name, err)
		}
	}
}

func TestDivisible(t *testing.T) {
	for v, want := range map[float64]int{1: 8, 11.2: 16, 12: 16, 16 * 0.35: 8, 24 * 0.35: 8, 32 * 0.75: 24, 96 * 1.4: 136, 320 * 1.3: 416, 26: 24, 27: 32, 18: 24} {
		if got := divisible(v); got != want {
			t.Errorf("divisible(%g) = %d, want %d", v, got, want)
		}
	}
}

func TestHeads(t *testing.T) {
	net, err := Backbone("resnet50", 1, 64, nil)
	if err != nil {
		t.Fatal(err)
	}
	if net, err = net.WithProjection(512); err != nil {
		t.Fatal(err)
	}
	if net, err = net.WithPooling(GeMFixed); err != nil {
		t.Fatal(err)
	}
	net = net.WithEmbedding(128)
	out, err := net.Output()
	if err != nil {
		t.Fatal(err)
	}
	if (out != Shape{1, 1, 128}) {
		t.Errorf("output %v", out)
	}
	ps, err := net.Parameters()
	if err != nil {
		t.Fatal(err)
	}
	var fixed []string
	for _, p := range ps {
		if p.Fixed && !strings.HasSuffix(p.Name, BNMean) && !strings.HasSuffix(p.Name, BNVariance) {
			fixed = append(fixed, p.Name)
		}
	}
	if want := []string{"normalize.weight", "normalize.bias", "pool.p"}; !slices.Equal(fixed, want) {
		t.Errorf("%v are fixed, want %v", fixed, want)
	}
	w, err := net.Init(rand.New(rand.NewPCG(1, 2)))
	if err != nil {
		t.Fatal(err)
	}
	folded, f, err := Fold(net, w)
	if err != nil {
		t.Fatal(err)
	}
	if err := folded.Check(f); err != nil {
		t.Error(err)
	}
	if p := f["pool"+GeMPower].Data[0]; p != 3 {
		t.Errorf("p is %g, want 3", p)
	}
	if s := f["normalize.weight"].Data[0]; math.Abs(float64(s)-0.5/0.229) > 1e-6 {
		t.Errorf("red is scaled by %g, want %g", s, 0.5/0.229)
	}
	small, err := Backbone("mobilenetv3_small", 1, 64, nil)
	if err != nil {
		t.Fatal(err)
	}
	if out, err := small.WithNeck(256, true).WithEmbedding(64).Output(); err != nil || out.C != 64 {
		t.Errorf("a dense neck: %v, %v", out, err)
	}
	if _, err := small.WithProjection(64); err == nil || !strings.Contains(err.Error(), "head after its pool") {
		t.Errorf("a projection before a head: %v", err)
	}
	if _, err := small.WithPooling("median"); err == nil {
		t.Error("a global maxpool was taken")
	}
}

func TestPads(t *testing.T) {
	for _, c := range []struct {
		kernel, stride, size int
		padding              PaddingMode
		before, after        int
	}{
		{3, 2, 8, Same, 0, 1},
		{3, 2, 8, Symmetric, 1, 0},
		{3, 2, 7, Symmetric, 1, 1},
		{3, 1, 8, Symmetric, 1, 1},
		{7, 2, 224, Same, 2, 3},
		{7, 2, 224, Symmetric, 3, 2},
		{1, 2, 8, Symmetric, 0, 0},
		{5, 2, 8, Symmetric, 2, 1},
	} {
		l := Layer{Kernel: c.kernel, Stride: c.stride, Padding: c.padding}
		if before, after := l.Pads(c.size); before != c.before || after != c.after {
			t.Errorf("%+v: %d and %d", c, before, after)
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

func TestHalfPrecision(t *testing.T) {
	for v, want := range map[float32]uint16{
		0: 0, 1: 0x3c00, -2: 0xc000, 65504: 0x7bff, 5.9604645e-8: 1, 6.097555e-5: 0x03ff, 6.1035156e-5: 0x0400,
		1.0 / 3: 0x3555, 1 + 1.0/2048: 0x3c00, 1 + 3.0/2048: 0x3c02, 2049: 0x6800, float32(math.Inf(1)): 0x7c00, 1e-9: 0,
	} {
		if got := toHalf(v); got != want {
			t.Errorf("%g is %#04x, want %#04x", v, got, want)
		}
	}
	for h := range uint16(0x7c00) { // every number, there and back
		if got := toHalf(fromHalf(h)); got != h {
			t.Fatalf("%#04x is %g is %#04x", h, fromHalf(h), got)
		}
	}
	w := Weights{"a": {[]int{3}, []float32{1.0 / 3, -1024.4, 1e-5}}}
	var buf bytes.Buffer
	if err := WriteSafetensorsF16(&buf, w, nil); err != nil {
		t.Fatal(err)
	}
	back, _, err := ParseSafetensors(buf.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	for i, v := range w["a"].Data {
		if got := back["a"].Data[i]; math.Abs(float64(got-v)) > math.Abs(float64(v))/1024+1e-7 {
			t.Errorf("%g came back as %g", v, got)
		}
	}
	w["a"].Data[1] = 70000
	if err := WriteSafetensorsF16(&buf, w, nil); err == nil || !strings.Contains(err.Error(), "half precision cannot") {
		t.Errorf("70000: %v", err)
	}
}

func TestSafetensorsTypes(t *testing.T) {
	header := `{"b":{"dtype":"BF16","shape":[1],"data_offsets":[0,2]},"n":{"dtype":"I64","shape":[],"data_offsets":[2,10]},` +
		`"d":{"dtype":"F64","shape":[1],"data_offsets":[10,18]}}`
	raw := binary.LittleEndian.AppendUint64(nil, uint64(len(header)))
	raw = append(raw, header...)
	raw = append(raw, 0xc0, 0x3f, 1, 0, 0, 0, 0, 0, 0, 0) // 1.5 as bfloat16, 1
	raw = binary.LittleEndian.AppendUint64(raw, math.Float64bits(-2.25))
	w, _, err := ParseSafetensors(raw)
	if err != nil {
		t.Fatal(err)
	}
	if len(w) != 2 || w["b"].Data[0] != 1.5 || w["d"].Data[0] != -2.25 {
		t.Errorf("read %v", w)
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
		w, _, err := ParseSafetensors(raw)
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
