package onnxfile

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"xbmedge/internal/nn"
	"xbmedge/internal/testdata"
	"xbmedge/internal/tflitetest"
	"xbmedge/internal/vision"
)

// runtimeResult is what ONNX Runtime makes of a model.
type runtimeResult struct {
	Input, Output []string // name, type, dimensions
	Metadata      map[string]string
	Values        [][]float64
}

// onnxRuntime checks a model and runs it on samples, each [3, H, W].
func onnxRuntime(t *testing.T, model []byte, samples ...[]float32) runtimeResult {
	t.Helper()
	python := filepath.Join(testdata.Root(t), "build", "testbench", "bin", "python")
	if err := exec.Command(python, "-c", "import onnx, onnxruntime").Run(); err != nil {
		t.Skip("needs build/testbench with ONNX Runtime, an independent reader of our files: run scripts/testbench.sh")
	}
	var input bytes.Buffer
	for _, s := range samples {
		if err := binary.Write(&input, binary.LittleEndian, s); err != nil {
			t.Fatal(err)
		}
	}
	dir := t.TempDir()
	for name, data := range map[string][]byte{"model.onnx": model, "input.bin": input.Bytes()} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	out, err := exec.Command(python, "testdata/run.py", filepath.Join(dir, "model.onnx"), filepath.Join(dir, "input.bin")).Output()
	if err != nil {
		e := &exec.ExitError{}
		if errors.As(err, &e) {
			t.Fatalf("ONNX Runtime: %v\n%s", err, e.Stderr)
		}
		t.Fatal(err)
	}
	var got runtimeResult
	if err := json.Unmarshal(out, &got); err != nil {
		t.Fatalf("ONNX Runtime printed %q: %v", out, err)
	}
	return got
}

// channelsFirst turns [H, W, C] into [C, H, W].
func channelsFirst(x []float32, s nn.Shape) []float32 {
	out := make([]float32, len(x))
	for i, v := range x {
		out[i%s.C*s.H*s.W+i/s.C] = v
	}
	return out
}

// photo returns a real photo's crop as the network takes it in.
func photo(t *testing.T, size int) []float32 {
	t.Helper()
	ref := testdata.References(t)[0]
	frame, err := vision.NewPreprocessor(size, size).Resize(ref.Crop)
	if err != nil {
		t.Fatal(err)
	}
	x := make([]float32, size*size*3)
	if err := vision.Float32(x, frame); err != nil {
		t.Fatal(err)
	}
	return x
}

// network returns a backbone with a head, and fresh weights for it with batch norms that are not the identity.
func network(t *testing.T, name string, size int, pooling nn.Pooling) (*nn.Network, nn.Weights) {
	t.Helper()
	net, err := nn.Backbone(name, 1, size, []int{16, 32, 64})
	if err != nil {
		t.Fatal(err)
	}
	if net, err = net.WithPooling(pooling); err != nil {
		t.Fatal(err)
	}
	net = net.WithNeck(64, true).WithEmbedding(32)
	rng := rand.New(rand.NewPCG(1, 2))
	w := tflitetest.Weights(t, net, rng)
	if net, w, err = nn.Fold(net, w); err != nil {
		t.Fatal(err)
	}
	return net, w
}

func TestRuntimeEqualsTFLite(t *testing.T) {
	if testing.Short() {
		t.Skip("long with the race detector; runs without it")
	}
	for _, tt := range []struct {
		name    string
		size    int
		pooling nn.Pooling
	}{
		{"smallcnn", 64, nn.AvgPooling}, {"mobilenetv3_small", 75, nn.GeMFixed}, {"resnet50", 64, nn.MaxPooling}, {"resnet50_vd", 75, nn.GeMFixed},
	} {
		t.Run(tt.name, func(t *testing.T) {
			net, w := network(t, tt.name, tt.size, tt.pooling)
			compare(t, net, w)
		})
	}
	t.Run("pretrained mobilenetv2", func(t *testing.T) {
		w, err := nn.ReadSafetensors(testdata.File(t, "mobilenetv2/mobilenetv2_1.0_224_tf_folded.safetensors"))
		if err != nil {
			t.Fatal(err)
		}
		compare(t, nn.MobileNetV2(1, 224), w)
	})
}

// compare holds ONNX Runtime's result for a photo, and for a batch of two, against TensorFlow Lite's.
func compare(t *testing.T, net *nn.Network, w nn.Weights) {
	t.Helper()
	x := photo(t, net.Input.H)
	want := tflitetest.Run(t, net, w, x)
	model, err := Encode(net, w, Options{Metadata: map[string]string{"network": net.Name}})
	if err != nil {
		t.Fatal(err)
	}
	got := onnxRuntime(t, model, make([]float32, len(x)), channelsFirst(x, net.Input))
	if got.Metadata["network"] != net.Name {
		t.Errorf("metadata %v", got.Metadata)
	}
	largest := 0.0
	for _, v := range want {
		largest = max(largest, math.Abs(float64(v)))
	}
	if len(got.Values) != 2 || len(got.Values[1]) != len(want) {
		t.Fatalf("ONNX Runtime gives %d times %d values, want 2 times %d", len(got.Values), len(got.Values[0]), len(want))
	}
	for i, v := range got.Values[1] {
		if math.Abs(v-float64(want[i])) > 1e-4*max(1, largest) {
			t.Fatalf("value %d is %g on ONNX Runtime, %g on TensorFlow Lite", i, v, want[i])
		}
	}
}

func TestRuntimeNormalizes(t *testing.T) {
	net, w := network(t, "smallcnn", 32, nn.AvgPooling)
	model, err := Encode(net, w, Options{Normalize: true})
	if err != nil {
		t.Fatal(err)
	}
	x := make([]float32, net.Input.Size())
	for i := range x {
		x[i] = float32(i%17)/17 - 0.5
	}
	got := onnxRuntime(t, model, x)
	if d := cmp.Diff([]string{"input", "tensor(float)", "N", "3", "32", "32"}, got.Input); d != "" {
		t.Errorf("input (-want +got):\n%s", d)
	}
	if d := cmp.Diff([]string{"output", "tensor(float)", "N", "32"}, got.Output); d != "" {
		t.Errorf("output (-want +got):\n%s", d)
	}
	sum := 0.0
	for _, v := range got.Values[0] {
		sum += v * v
	}
	if math.Abs(sum-1) > 1e-5 {
		t.Errorf("the vector's length is %g", math.Sqrt(sum))
	}
}
