// Package bundletest makes small models and bundles for tests.
package bundletest

import (
	"context"
	"math/rand/v2"
	"path/filepath"
	"testing"
	"time"

	"xbmedge/internal/bundle"
	"xbmedge/internal/bundle/parity"
	"xbmedge/internal/nn"
	"xbmedge/internal/quantize"
	"xbmedge/internal/tflite"
	"xbmedge/internal/tflitefile"
	"xbmedge/internal/vision"
)

// Size is the width and height of the models' input, Dim the number of their embeddings' values.
const (
	Size = 16
	Dim  = 8
)

// Model returns a small int8 model; another seed gives another model. Without TensorFlow Lite, which calibration needs,
// it skips the test.
func Model(t testing.TB, seed uint64) []byte {
	t.Helper()
	if err := tflite.Available(); err != nil {
		t.Skip(err)
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	net := nn.SmallCNN(Size, 4, 8).WithEmbedding(Dim)
	w, err := net.Init(rand.New(rand.NewPCG(seed, 1)))
	must(err)
	net, w, err = nn.Fold(net, w)
	must(err)
	calibration, err := quantize.Calibrate(context.Background(), net, w, Frames(8))
	must(err)
	model, _, err := quantize.Quantize(net, w, calibration, quantize.Options{})
	must(err)
	file, err := tflitefile.Encode(model)
	must(err)
	return file
}

// Frames returns n pictures of noise, the same each time.
func Frames(n int) []vision.Frame {
	rng := rand.New(rand.NewPCG(5, 6))
	frames := make([]vision.Frame, n)
	for i := range frames {
		frames[i] = vision.NewFrame(Size, Size)
		for k := range frames[i].Pix {
			frames[i].Pix[k] = byte(rng.IntN(256))
		}
	}
	return frames
}

// Parts returns what a bundle "shelf", version 1, of a model is made of, with two golden images.
func Parts(t testing.TB, model []byte) (bundle.Manifest, bundle.Parts) {
	t.Helper()
	m, parts, err := parity.Compute(model, Frames(2))
	if err != nil {
		t.Fatal(err)
	}
	m.Name, m.Version, m.Created = "shelf", 1, time.Date(2026, 11, 25, 8, 0, 0, 0, time.UTC)
	return m, parts
}

// Write writes a bundle of Parts into a new folder, after change, which may be nil, and returns its path.
func Write(t testing.TB, model []byte, key *bundle.SecretKey, change func(*bundle.Manifest, *bundle.Parts)) string {
	t.Helper()
	m, parts := Parts(t, model)
	if change != nil {
		change(&m, &parts)
	}
	path := filepath.Join(t.TempDir(), "shelf.xbm")
	if err := bundle.Write(path, m, parts, key); err != nil {
		t.Fatal(err)
	}
	return path
}
