package quantize

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"xbmedge/internal/nn"
)

// unevenBackbone is a fresh network some of whose channels are four times larger than others.
func unevenBackbone(t *testing.T, name string, size int) (*nn.Network, nn.Weights) {
	t.Helper()
	net, err := nn.Backbone(name, 0.35, size, []int{8, 16, 16})
	if err != nil {
		t.Fatal(err)
	}
	net = net.WithEmbedding(16)
	rng := rand.New(rand.NewPCG(7, 8))
	w, err := net.Init(rng)
	if err != nil {
		t.Fatal(err)
	}
	if net, w, err = nn.Fold(net, w); err != nil {
		t.Fatal(err)
	}
	for i := range net.Layers {
		l := &net.Layers[i]
		if !l.Weighted() || l.Activation != nn.Linear || i == len(net.Layers)-1 {
			continue
		}
		weight := w[l.Name+".weight"]
		per := len(weight.Data) / weight.Shape[0]
		for k := range weight.Data {
			if k/per%4 == 0 {
				weight.Data[k] *= 4
			}
		}
	}
	return net, w
}

// Equalising must change nothing in float, and little for the worse in int8.
func TestEqualize(t *testing.T) {
	for _, tc := range []struct {
		name   string
		size   int
		groups int // at least
	}{
		{"smallcnn", 32, 3},
		{"mobilenetv2", 64, 10},
		{"mobilenetv3_small", 64, 5},
		{"resnet50_vd", 32, 20},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if testing.Short() && tc.name == "resnet50_vd" {
				t.Skip("takes a minute with the race detector")
			}
			net, w := unevenBackbone(t, tc.name, tc.size)
			frames := randomFrames(20, tc.size, 1)
			cal := calibrate(t, net, w, frames)
			before := w["embedding.weight"].Data[0]
			even, err := Equalize(net, w, cal)
			if err != nil {
				t.Fatal(err)
			}
			if got := len(groups(net)); got < tc.groups {
				t.Errorf("%d groups, want at least %d", got, tc.groups)
			}
			if first := net.Layers[1].Name + ".weight"; slices.Equal(w[first].Data, even[first].Data) {
				t.Error("nothing was scaled")
			}
			if w["embedding.weight"].Data[0] != before {
				t.Error("the weights given were changed")
			}
			a, b := embedAll(t, floatModel(t, net, w), frames, false), embedAll(t, floatModel(t, net, even), frames, false)
			for i := range a {
				for k := range a[i] {
					if math.Abs(float64(a[i][k]-b[i][k])) > 1e-4 {
						t.Fatalf("picture %d, value %d: %g, equalised %g", i, k, a[i][k], b[i][k])
					}
				}
			}
			test := randomFrames(10, tc.size, 2)
			want := embedAll(t, floatModel(t, net, w), test, false)
			plain := meanCosine(t, want, embedAll(t, encode(t, quantised(t, net, w, frames, Options{Rounding: Nearest})), test, false))
			better := meanCosine(t, want, embedAll(t, encode(t, quantised(t, net, even, frames, Options{Rounding: Nearest})), test, false))
			t.Logf("mean cosine %.5f, equalised %.5f", plain, better)
			if better < plain-0.005 { // for better or worse is Search's to measure, but not by much
				t.Errorf("mean cosine %.5f, equalised %.5f", plain, better)
			}
		})
	}
}
