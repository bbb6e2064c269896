package weightfile

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"strconv"
	"strings"
	"testing"

	"xbmedge/internal/nn"
	"xbmedge/internal/tflite"
	"xbmedge/internal/tflitetest"
)

// reference is what testdata/reference.py has noted of a network of torchvision or timm.
type reference struct {
	Network     string
	Width       float64
	Size        int
	Maker, Name string
	Count       int
	Norm        float64
	First, Last []float64
	Tensors     string // "name 1x2x3 name 4 …", without what belongs to a batch norm but its weight
}

func (r *reference) String() string {
	return fmt.Sprintf("%s %g at %d of %s's %s", r.Network, r.Width, r.Size, r.Maker, r.Name)
}

func references(t *testing.T) []reference {
	t.Helper()
	raw, err := os.ReadFile("testdata/reference.json")
	if err != nil {
		t.Fatal(err)
	}
	var refs []reference
	if err := json.Unmarshal(raw, &refs); err != nil {
		t.Fatal(err)
	}
	if len(refs) != 10 {
		t.Fatalf("%d references", len(refs))
	}
	return refs
}

// values is reference.py's: a pseudo-random series that depends on the name alone, from -0.5 to below 0.5.
func values(name string, count int) []float64 {
	seed := uint32(0x811c9dc5)
	for _, b := range []byte(name) {
		seed = (seed ^ uint32(b)) * 0x01000193
	}
	out := make([]float64, count)
	for i := range out {
		v := uint32(i)*2654435761 + seed
		for range 2 {
			v ^= v >> 16
			v *= 0x45d9f3b
		}
		v ^= v >> 16
		out[i] = float64(v)/(1<<32) - 0.5
	}
	return out
}

// fill is reference.py's.
func fill(name string, shape ...int) *nn.Tensor {
	t := nn.NewTensor(shape...)
	scale, offset := 0.2, 0.0
	switch {
	case strings.HasSuffix(name, "running_var"):
		scale, offset = 1, 1
	case strings.HasSuffix(name, ".weight") && len(shape) == 1:
		scale, offset = 0.4, 1
	case strings.HasSuffix(name, ".weight"):
		scale = math.Sqrt(24 / float64(len(t.Data)/shape[0]))
	}
	for i, v := range values(name, len(t.Data)) {
		t.Data[i] = float32(scale*v + offset)
	}
	return t
}

// weights makes the weights that the reference was computed with, under their maker's names.
func (r *reference) weights(t *testing.T) nn.Weights {
	t.Helper()
	w := nn.Weights{}
	fields := strings.Fields(r.Tensors)
	for i := 0; i < len(fields); i += 2 {
		name := fields[i]
		var shape []int
		for _, d := range strings.Split(fields[i+1], "x") {
			n, err := strconv.Atoi(d)
			if err != nil {
				t.Fatal(err)
			}
			shape = append(shape, n)
		}
		w[name] = fill(name, shape...)
		if norm, ok := strings.CutSuffix(name, ".weight"); ok && len(shape) == 1 {
			for _, suffix := range []string{".bias", ".running_mean", ".running_var"} {
				w[norm+suffix] = fill(norm+suffix, shape...)
			}
		}
	}
	return w
}

func (r *reference) network(t *testing.T) *nn.Network {
	t.Helper()
	net, err := nn.Backbone(r.Network, r.Width, r.Size, nil)
	if err != nil {
		t.Fatal(err)
	}
	return net
}

// compare holds features against the reference.
func (r *reference) compare(t *testing.T, got []float32) {
	t.Helper()
	if len(got) != r.Count {
		t.Fatalf("%v: %d features, want %d", r, len(got), r.Count)
	}
	norm := 0.0
	for _, v := range got {
		norm += float64(v) * float64(v)
	}
	norm = math.Sqrt(norm)
	if math.Abs(norm-r.Norm) > 1e-4*r.Norm {
		t.Errorf("%v: norm %g, want %g", r, norm, r.Norm)
	}
	for i, want := range append(r.First[:len(r.First):len(r.First)], r.Last...) {
		at := i
		if i >= len(r.First) {
			at = r.Count - len(r.Last) + i - len(r.First)
		}
		if math.Abs(float64(got[at])-want) > 1e-4*max(1, math.Abs(want), r.Norm/math.Sqrt(float64(r.Count))) {
			t.Errorf("%v: feature %d is %g, want %g", r, at, got[at], want)
		}
	}
}

// picture is the input of the reference, [size, size, 3] from -1 to 1.
func picture(size int) []float32 {
	x := make([]float32, size*size*3)
	for i, v := range values("picture", len(x)) {
		x[i] = float32(2 * v)
	}
	return x
}

// TestNetworksEqualTheirMakers holds names, shapes, padding, normalisation, batch norms and every layer against
// PyTorch's result, with batch norms of the network's own and with folded ones.
func TestNetworksEqualTheirMakers(t *testing.T) {
	if testing.Short() {
		t.Skip("long with the race detector; runs without it")
	}
	if err := tflite.Available(); err != nil {
		t.Skip("needs TensorFlow Lite: ", err)
	}
	for _, r := range references(t) {
		published := r.weights(t)
		net := r.network(t)
		w, err := Match(net, published)
		if err != nil {
			t.Errorf("%v: %v", &r, err)
			continue
		}
		folded, f, err := nn.Fold(net, w)
		if err != nil {
			t.Fatal(err)
		}
		r.compare(t, tflitetest.Run(t, folded, f, picture(r.Size)))
		plain := net.WithoutBatchNorm()
		direct, err := Match(plain, published)
		if err != nil {
			t.Fatal(err)
		}
		r.compare(t, tflitetest.Run(t, plain, direct, picture(r.Size)))
		if len(direct) != len(f) {
			t.Errorf("%v: %d tensors folded at once, %d afterwards", &r, len(direct), len(f))
		}
	}
}
