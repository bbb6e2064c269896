package quantize

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"xbmedge/internal/nn"
	"xbmedge/internal/tflitefile"
	"xbmedge/internal/vision"
)

// quantised makes an int8 model, calibrated on frames.
func quantised(t *testing.T, net *nn.Network, w nn.Weights, frames []vision.Frame, opt Options) *tflitefile.Model {
	t.Helper()
	m, _, err := Quantize(net, w, calibrate(t, net, w, frames), opt)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// A trunk quantised alone on some pictures and the whole network quantised on others hold the same first layers, so the
// tail sees exactly the values it was trained on.
func TestFixedTrunk(t *testing.T) {
	net, w := smallNetwork(t)
	trunkNet, _, err := net.Split("conv1")
	if err != nil {
		t.Fatal(err)
	}
	trunk := quantised(t, trunkNet, w, randomFrames(30, 32, 1), Options{})
	other := randomFrames(40, 32, 5)
	whole := quantised(t, net, w, other, Options{Fixed: trunk})
	free := quantised(t, net, w, other, Options{})
	changed := false
	for i := range trunk.Tensors {
		want := &trunk.Tensors[i]
		k := whole.Find(want.Name)
		if k < 0 {
			t.Fatalf("the whole network has no %s", want.Name)
		}
		if diff := cmp.Diff(want.Quant, whole.Tensors[k].Quant); diff != "" {
			t.Errorf("%s (-trunk +whole):\n%s", want.Name, diff)
		}
		if diff := cmp.Diff(trunk.Data(i), whole.Data(k)); diff != "" {
			t.Errorf("the constants of %s differ", want.Name)
		}
		changed = changed || !cmp.Equal(want.Quant, free.Tensors[free.Find(want.Name)].Quant)
	}
	if !changed {
		t.Error("the other pictures give the same trunk by themselves: the test proves nothing")
	}
	test := randomFrames(5, 32, 9)
	if diff := cmp.Diff(outputs(t, encode(t, trunk), test), outputs(t, encode(t, withOutput(t, whole, "conv1")), test)); diff != "" {
		t.Errorf("the trunk's outputs (-alone +in the whole):\n%s", diff)
	}
}

func TestFixedRefuses(t *testing.T) {
	net, w := smallNetwork(t)
	cal := calibrate(t, net, w, randomFrames(20, 32, 1))
	float, err := tflitefile.FromNetwork(net, w, tflitefile.Options{})
	if err != nil {
		t.Fatal(err)
	}
	wide := nn.SmallCNN(32, 4, 8).WithoutBatchNorm()
	wideWeights := nn.Weights{}
	for _, p := range must(wide.Parameters()) {
		wideWeights[p.Name] = nn.NewTensor(p.Shape...)
	}
	for _, tc := range []struct {
		name  string
		fixed *tflitefile.Model
		want  string
	}{
		{"a float model", float, "int8"},
		{"another network's", quantised(t, wide, wideWeights, randomFrames(20, 32, 1), Options{}), "shape"},
	} {
		_, _, err := Quantize(net, w, cal, Options{Fixed: tc.fixed})
		if err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v, want an error with %q", tc.name, err, tc.want)
		}
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
