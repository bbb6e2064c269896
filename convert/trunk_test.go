package main

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"xbmedge/internal/nn"
	"xbmedge/internal/quantize"
	"xbmedge/internal/tflitefile"
	"xbmedge/internal/vision"
)

// TestTrunkIsTakenOverAsItIs: the board's first layers are, to the bit, those that the rest was trained on, although the
// trunk was calibrated on other pictures, and smaller ones.
func TestTrunkIsTakenOverAsItIs(t *testing.T) {
	needTFLite(t)
	run, photos := writeRun(t, nil), writePhotos(t, 6, 3, 1)
	net, w, err := nn.ReadNetwork(run)
	if err != nil {
		t.Fatal(err)
	}
	small := *net
	small.Input.H, small.Input.W = size/2, size/2
	trunk, _, err := small.Split(net.Layers[1].Name)
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(3, 4))
	pictures := make([]vision.Frame, 20)
	for i := range pictures {
		pictures[i] = vision.NewFrame(size/2, size/2)
		for k := range pictures[i].Pix {
			pictures[i].Pix[k] = byte(rng.IntN(256))
		}
	}
	cal, err := quantize.Calibrate(t.Context(), trunk, w, pictures)
	if err != nil {
		t.Fatal(err)
	}
	want, _, err := quantize.Quantize(trunk, w, cal, quantize.Options{})
	if err != nil {
		t.Fatal(err)
	}
	file, err := tflitefile.Encode(want)
	if err != nil {
		t.Fatal(err)
	}
	quantised := func() *tflitefile.Model {
		t.Helper()
		out := filepath.Join(t.TempDir(), "model.tflite")
		if _, _, err := convert(t, "quantize", "--run", run, "--calib", photos, "--out", out, "--max-recall-drop", "1"); err != nil {
			t.Fatal(err)
		}
		raw, err := os.ReadFile(out)
		if err != nil {
			t.Fatal(err)
		}
		m, err := tflitefile.Decode(raw)
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	differences := func(got *tflitefile.Model) (names []string) {
		for i := range want.Tensors {
			name := want.Tensors[i].Name
			k := got.Find(name)
			if k < 0 {
				t.Fatalf("the model has no %s", name)
			}
			if !cmp.Equal(want.Tensors[i].Quant, got.Tensors[k].Quant) || !cmp.Equal(want.Data(i), got.Data(k)) {
				names = append(names, name)
			}
		}
		return names
	}
	if len(differences(quantised())) == 0 {
		t.Fatal("the photos give the same trunk by themselves: the test proves nothing")
	}
	write(t, filepath.Join(run, nn.TrunkFile), file)
	if names := differences(quantised()); len(names) > 0 {
		t.Errorf("%v differ from those of the run's %s", names, nn.TrunkFile)
	}
	write(t, filepath.Join(run, nn.TrunkFile), file[:len(file)/2])
	_, _, err = convert(t, "quantize", "--run", run, "--calib", photos, "--out", filepath.Join(t.TempDir(), "m.tflite"))
	if err == nil || !strings.Contains(err.Error(), nn.TrunkFile) {
		t.Errorf("half a trunk: %v", err)
	}
}
