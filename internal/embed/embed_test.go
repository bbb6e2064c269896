package embed

import (
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"xbmedge/internal/nn"
	"xbmedge/internal/testdata"
	"xbmedge/internal/tflite"
	"xbmedge/internal/tflitefile"
	"xbmedge/internal/vision"
)

func newEmbedder(t testing.TB, model []byte) *Embedder {
	t.Helper()
	e, err := New(model, Options{})
	if errors.Is(err, tflite.ErrUnavailable) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	return e
}

func readModel(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(testdata.File(t, "tflite/"+name))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// brightness is a network whose three outputs are the means of the three colours, 0 for black and 1 for white.
func brightness(t testing.TB, size int) []byte {
	t.Helper()
	net := &nn.Network{Name: "brightness", Input: nn.Shape{H: size, W: size, C: 3}, Layers: []nn.Layer{
		{Name: "pool", Kind: nn.GlobalAvg, Inputs: []int{nn.Input}, Channels: 3},
		{Name: "embedding", Kind: nn.Dense, Inputs: []int{0}, Channels: 3},
	}}
	w := nn.Weights{
		"embedding.weight": {Shape: []int{3, 3}, Data: []float32{.5, 0, 0, 0, .5, 0, 0, 0, .5}},
		"embedding.bias":   {Shape: []int{3}, Data: []float32{.5, .5, .5}},
	}
	m, err := tflitefile.FromNetwork(net, w, tflitefile.Options{})
	if err != nil {
		t.Fatal(err)
	}
	file, err := tflitefile.Encode(m)
	if err != nil {
		t.Fatal(err)
	}
	return file
}

func plain(w, h int, r, g, b byte) vision.Frame {
	f := vision.NewFrame(w, h)
	for i := 0; i < len(f.Pix); i += 3 {
		f.Pix[i], f.Pix[i+1], f.Pix[i+2] = r, g, b
	}
	return f
}

func TestEmbedFloat(t *testing.T) {
	e := newEmbedder(t, brightness(t, 8))
	if d := cmp.Diff(3, e.Dim()); d != "" {
		t.Error(d)
	}
	for _, tc := range []struct {
		name  string
		frame vision.Frame
		want  []float32
	}{
		{"colour", plain(20, 8, 51, 0, 68), []float32{0.6, 0, 0.8}},
		{"one colour", plain(8, 8, 0, 255, 0), []float32{0, 1, 0}},
		{"black", plain(3, 50, 0, 0, 0), []float32{0, 0, 0}},
	} {
		got := make([]float32, 3)
		if err := e.Embed(got, tc.frame); err != nil {
			t.Fatal(err)
		}
		for i := range got {
			if math.Abs(float64(got[i]-tc.want[i])) > 1e-6 {
				t.Errorf("%s: %v, want %v", tc.name, got, tc.want)
			}
		}
	}
}

func TestEmbedQuantised(t *testing.T) {
	e := newEmbedder(t, readModel(t, "mobilenet_v1_quant_embedding_extractor.tflite"))
	if w, h := e.InputSize(); w != 224 || h != 224 || e.Dim() != 1024 || e.Model().Quant != "uint8" || len(e.Model().SHA256) != 64 {
		t.Errorf("%d×%d, %+v", w, h, e.Model())
	}
	dir := testdata.Dir(t, "grocery")
	embed := func(name string) []float32 {
		f, err := vision.DecodeFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		dst := make([]float32, e.Dim())
		if err := e.Embed(dst, f); err != nil {
			t.Fatal(err)
		}
		return dst
	}
	dot := func(a, b []float32) (sum float64) {
		for i := range a {
			sum += float64(a[i]) * float64(b[i])
		}
		return sum
	}
	banana, oatly := embed("test/Banana/Banana_001.jpg"), embed("test/Oatly-Natural-Oatghurt/Oatly-Natural-Oatghurt_001.jpg")
	if n := dot(banana, banana); math.Abs(n-1) > 1e-5 {
		t.Errorf("length² = %g, want 1", n)
	}
	if s := dot(banana, oatly); s > 0.95 {
		t.Errorf("a banana and a carton have similarity %g", s)
	}
	if again := embed("test/Banana/Banana_001.jpg"); !cmp.Equal(banana, again) {
		t.Error("the same photo gives another embedding the second time")
	}
}

func TestNewRefuses(t *testing.T) {
	if err := tflite.Available(); err != nil {
		t.Skip(err)
	}
	for _, tc := range []struct{ file, want string }{
		{"two_inputs.tflite", "3 inputs"},
		{"custom_op.tflite", "custom operators"},
		{"README.md", "not a TensorFlow Lite model"},
	} {
		if _, err := New(readModel(t, tc.file), Options{}); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: error %v, want one with %q", tc.file, err, tc.want)
		}
	}
}

func TestEmbedRefuses(t *testing.T) {
	e := newEmbedder(t, brightness(t, 8))
	if err := e.Embed(make([]float32, 2), plain(8, 8, 1, 2, 3)); err == nil {
		t.Error("a slice that is too short was taken")
	}
	if err := e.Embed(make([]float32, 3), vision.Frame{}); err == nil {
		t.Error("an empty frame was taken")
	}
	if err := errors.Join(e.Close(), e.Close()); err != nil {
		t.Error(err)
	}
	if err := e.Embed(make([]float32, 3), plain(8, 8, 1, 2, 3)); !errors.Is(err, tflite.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}

func TestEmbedAllocatesNothing(t *testing.T) {
	e := newEmbedder(t, brightness(t, 64))
	dst, f := make([]float32, 3), plain(200, 100, 1, 2, 3)
	if n := testing.AllocsPerRun(10, func() {
		if err := e.Embed(dst, f); err != nil {
			t.Error(err)
		}
	}); n != 0 {
		t.Errorf("%g allocations a frame", n)
	}
}

// The published MobileNetV2 weights in our float graph on XNNPACK, against features worked out with ONNX Runtime.
func TestMobileNetV2Reference(t *testing.T) {
	references := testdata.References(t)
	w, err := nn.ReadSafetensors(testdata.File(t, "mobilenetv2/mobilenetv2_1.0_224_tf_folded.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	m, err := tflitefile.FromNetwork(nn.MobileNetV2(1, 224), w, tflitefile.Options{})
	if err != nil {
		t.Fatal(err)
	}
	file, err := tflitefile.Encode(m)
	if err != nil {
		t.Fatal(err)
	}
	e := newEmbedder(t, file)
	for _, r := range references {
		got := make([]float32, e.Dim())
		if err := e.Embed(got, r.Crop); err != nil {
			t.Fatal(err)
		}
		worst := 0.0
		for i, want := range r.First16 { // the embedding is the feature over its norm
			worst = max(worst, math.Abs(float64(got[i])-want/r.Norm))
		}
		t.Logf("%s: worst difference %.2g of the norm", r.Photo, worst)
		if worst > r.Tolerance {
			t.Errorf("%s: differs by %g of the norm, want at most %g", r.Photo, worst, r.Tolerance)
		}
	}
}

func BenchmarkEmbed(b *testing.B) {
	e := newEmbedder(b, readModel(b, "mobilenet_v2_ptq.tflite"))
	dst, f := make([]float32, e.Dim()), plain(640, 480, 100, 150, 200)
	b.ReportAllocs()
	for b.Loop() {
		if err := e.Embed(dst, f); err != nil {
			b.Fatal(err)
		}
	}
}
