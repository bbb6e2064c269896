package engine

import (
	"math"
	"math/rand/v2"
	"testing"

	"xbmedge/internal/nn"
	"xbmedge/internal/tflite"
	"xbmedge/internal/tflitetest"
)

// TestBackbonesEqualTFLite holds every backbone, with batch norms, against the folded float model on TensorFlow Lite,
// which the tests of weightfile hold against PyTorch.
func TestBackbonesEqualTFLite(t *testing.T) {
	if testing.Short() {
		t.Skip("long with the race detector; runs without it")
	}
	if err := tflite.Available(); err != nil {
		t.Skip("needs TensorFlow Lite: ", err)
	}
	for _, name := range nn.Backbones() {
		t.Run(name, func(t *testing.T) {
			net, err := nn.Backbone(name, 0.5, 48, []int{8, 16})
			if err != nil {
				t.Fatal(err)
			}
			if net, err = net.WithPooling(nn.GeMPooling); err != nil {
				t.Fatal(err)
			}
			net = net.WithNeck(32, true).WithEmbedding(16)
			rng := rand.New(rand.NewPCG(3, 4))
			w := tflitetest.Weights(t, net, rng)
			x := make([]float32, net.Input.Size())
			for i := range x {
				x[i] = 2*rng.Float32() - 1
			}
			want := tflitetest.Run(t, net, w, x)
			largest := 0.0
			for _, v := range want {
				largest = max(largest, math.Abs(float64(v)))
			}
			got := run(t, net, w, Products, x)
			if len(got) != len(want) || largest == 0 {
				t.Fatalf("%d values, want %d; the largest is %g", len(got), len(want), largest)
			}
			for i, v := range want {
				if math.Abs(float64(got[i]-v)) > 1e-4*max(1, largest) {
					t.Fatalf("value %d is %g, %g on TensorFlow Lite", i, got[i], v)
				}
			}
		})
	}
}
