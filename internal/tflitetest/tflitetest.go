// Package tflitetest runs networks on TensorFlow Lite, and makes weights for them, for tests that hold something else
// against it.
package tflitetest

import (
	"math/rand/v2"
	"slices"
	"testing"

	"xbmedge/internal/nn"
	"xbmedge/internal/tflite"
	"xbmedge/internal/tflitefile"
)

// Run returns what a network, whose batch norms are folded first, makes of the one input x, in float. Without TensorFlow
// Lite it skips the test.
func Run(t testing.TB, net *nn.Network, w nn.Weights, x []float32) []float32 {
	t.Helper()
	if err := tflite.Available(); err != nil {
		t.Skip("needs TensorFlow Lite: ", err)
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	net, w, err := nn.Fold(net, w)
	must(err)
	model, err := tflitefile.FromNetwork(net, w, tflitefile.Options{})
	must(err)
	file, err := tflitefile.Encode(model)
	must(err)
	interpreter, err := tflite.Open(file, tflite.Options{})
	must(err)
	defer func() { must(interpreter.Close()) }()
	input, err := interpreter.InputFloat32(0)
	must(err)
	copy(input, x)
	must(interpreter.Invoke())
	out, err := interpreter.OutputFloat32(0)
	must(err)
	return slices.Clone(out)
}

// Weights returns fresh weights for a network, with batch norms that are not the identity.
func Weights(t testing.TB, net *nn.Network, rng *rand.Rand) nn.Weights {
	t.Helper()
	w, err := net.Init(rng)
	if err != nil {
		t.Fatal(err)
	}
	for i := range net.Layers {
		for _, suffix := range []string{nn.BNScale, nn.BNOffset, nn.BNMean, nn.BNVariance} {
			if p := w[net.Layers[i].Name+suffix]; p != nil {
				for k := range p.Data {
					p.Data[k] += 0.4 * (rng.Float32() - 0.5)
				}
			}
		}
	}
	return w
}
