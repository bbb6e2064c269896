package main

import (
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"xbmedge/internal/cli"
	"xbmedge/internal/embed"
	"xbmedge/internal/nn"
	"xbmedge/internal/onnxfile"
	"xbmedge/internal/testdata"
	"xbmedge/internal/tflitefile"
	"xbmedge/internal/vision"
)

// embedding is what a model makes of a picture.
func embedding(t *testing.T, model string) []float32 {
	t.Helper()
	e, err := embed.New(read(t, model), embed.Options{})
	if err != nil {
		t.Fatal(err)
	}
	f := vision.NewFrame(size, size)
	for i := range f.Pix {
		f.Pix[i] = byte(i * i % 251)
	}
	v := make([]float32, e.Dim())
	if err := errors.Join(e.Embed(v, f), e.Close()); err != nil {
		t.Fatal(err)
	}
	return v
}

// A network that went through an .onnx file computes what it did, for the pixels it was made for or for others.
func TestFromONNX(t *testing.T) {
	needTFLite(t)
	runDir, dir := writeRun(t, nil), t.TempDir()
	net, w, err := nn.ReadNetwork(runDir)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := onnxfile.Encode(net, w, onnxfile.Options{})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "things.onnx")
	write(t, file, raw)
	own, foreign, otherwise := filepath.Join(dir, "own"), filepath.Join(dir, "foreign"), filepath.Join(dir, "otherwise")
	for _, args := range [][]string{
		{"--run", runDir, "--out", own},
		{"--from", file, "--out", foreign},
		{"--from", file, "--mean", "0.5,0.5,0.5", "--std", "0.5,0.5,0.5", "--out", otherwise}, // −1 to 1 in other words
	} {
		if _, _, err := convert(t, append([]string{"quantize", "--float"}, args...)...); err != nil {
			t.Fatal(err)
		}
	}
	near := cmp.Comparer(func(a, b float32) bool { return math.Abs(float64(a-b)) < 1e-5 })
	want := embedding(t, own)
	for _, model := range []string{foreign, otherwise} {
		if d := cmp.Diff(want, embedding(t, model), near); d != "" {
			t.Errorf("%s: another embedding (-run +onnx):\n%s", filepath.Base(model), d)
		}
	}
	m, err := tflitefile.Decode(read(t, foreign))
	if err != nil || m.Description != "things" {
		t.Errorf("it is called %q (%v), not after its file", m.Description, err)
	}
	if _, _, err := convert(t, "quantize", "--from", file, "--calib", writePhotos(t, 6, 4, 1), "--out", foreign, "--max-recall-drop", "1"); err != nil {
		t.Error(err)
	}
}

// The float model of a run, or one of others, is a network again.
func TestFromTFLite(t *testing.T) {
	needTFLite(t)
	dir := t.TempDir()
	own, again := filepath.Join(dir, "own.tflite"), filepath.Join(dir, "again.tflite")
	for _, args := range [][]string{{"--run", writeRun(t, nil), "--out", own}, {"--from", own, "--out", again}} {
		if _, _, err := convert(t, append([]string{"quantize", "--float"}, args...)...); err != nil {
			t.Fatal(err)
		}
	}
	if d := cmp.Diff(embedding(t, own), embedding(t, again)); d != "" {
		t.Errorf("another embedding (-run +tflite):\n%s", d)
	}
	out := filepath.Join(dir, "mobilenet.tflite")
	stdout, _, err := convert(t, "quantize", "--from", testdata.File(t, "tflite/mobilenet_v1_0.25_float.tflite"),
		"--output", "MobilenetV1/Logits/AvgPool_1a/AvgPool", "--calib", writePhotos(t, 4, 4, 1), "--out", out, "--max-recall-drop", "1")
	if err != nil || !strings.Contains(stdout, "mobilenet_v1_0.25_float, int8") {
		t.Fatalf("%v\n%s", err, stdout)
	}
	if dim := len(embedding(t, out)); dim != 256 {
		t.Errorf("an embedding of %d values, want the pool's 256", dim)
	}
}

// A run whose tail learned on an int8 trunk keeps that trunk's quantisation, whatever it is calibrated on.
func TestTrunkIsKept(t *testing.T) {
	needTFLite(t)
	runDir, dir := writeRun(t, nil), t.TempDir()
	first, second, third := filepath.Join(dir, "1"), filepath.Join(dir, "2"), filepath.Join(dir, "3")
	quantized := func(photos, out string) *tflitefile.Model {
		if _, _, err := convert(t, "quantize", "--run", runDir, "--calib", photos, "--out", out, "--max-recall-drop", "1"); err != nil {
			t.Fatal(err)
		}
		m, err := tflitefile.Decode(read(t, out))
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	scale := func(m *tflitefile.Model) float32 { return m.Tensors[m.Find("conv2")].Quant.Scale[0] }
	some, others := writePhotos(t, 4, 4, 1), writePhotos(t, 2, 9, 5)
	trunk, other := quantized(some, first), quantized(others, second)
	if scale(trunk) == scale(other) {
		t.Fatal("other photos give the same scale, so that nothing can be seen")
	}
	write(t, filepath.Join(runDir, nn.TrunkFile), read(t, first))
	if got := quantized(others, third); scale(got) != scale(trunk) {
		t.Errorf("scale %g, the trunk has %g", scale(got), scale(trunk))
	}
	write(t, filepath.Join(runDir, nn.TrunkFile), []byte("no model"))
	if _, _, err := convert(t, "quantize", "--run", runDir, "--calib", some, "--out", third); err == nil || !strings.Contains(err.Error(), nn.TrunkFile) {
		t.Errorf("of a broken trunk: %v", err)
	}
}

func TestSourceRefuses(t *testing.T) {
	needTFLite(t)
	dir := t.TempDir()
	text, broken := filepath.Join(dir, "net.txt"), filepath.Join(dir, "net.onnx")
	write(t, text, []byte("text"))
	write(t, broken, []byte("text"))
	for _, tc := range []struct {
		name, want string
		usage      bool
		args       []string
	}{
		{"two", "give one", true, []string{"--run", dir, "--from", broken}},
		{"mean of a run", "go with --from", true, []string{"--run", dir, "--mean", "0,0,0", "--std", "1,1,1"}},
		{"half", "go together", true, []string{"--from", broken, "--mean", "0,0,0"}},
		{"two of three", "three numbers", true, []string{"--from", broken, "--mean", "0,0", "--std", "1,1"}},
		{"size", "--size is -1", true, []string{"--from", broken, "--size", "-1"}},
		{"nowhere", "no such file", false, []string{"--from", filepath.Join(dir, "none.onnx")}},
		{"int8", "quantised", false, []string{"--from", testdata.File(t, "tflite/vww_96_int8.tflite")}},
		{"text", "give an .onnx", false, []string{"--from", text}},
		{"broken", "net.onnx", false, []string{"--from", broken}},
		{"deviation", "standard deviation", false, []string{"--from", broken, "--mean", "0,0,0", "--std", "0,1,1"}},
	} {
		args := append([]string{"quantize", "--float", "--out", filepath.Join(dir, "model")}, tc.args...)
		_, _, err := convert(t, args...)
		if err == nil || !strings.Contains(err.Error(), tc.want) || errors.Is(err, cli.ErrUsage) != tc.usage {
			t.Errorf("%s: error %v, want one with %q (usage: %v)", tc.name, err, tc.want, tc.usage)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "model")); err == nil {
		t.Error("a model was written all the same")
	}
}
