package quantize

import (
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"xbmedge/internal/tflite"
	"xbmedge/internal/tflitefile"
)

// Whatever stays float, XNNPACK takes the model and it agrees with the float network; all float, it is the float
// network.
func TestFloatLayers(t *testing.T) {
	net, w := unevenBackbone(t, "mobilenetv2_torch", 64)
	cal := calibrate(t, net, w, randomFrames(20, 64, 1))
	test := randomFrames(10, 64, 2)
	want := embedAll(t, floatModel(t, net, w), test, false)
	for _, tc := range []struct {
		name  string
		float []string
		least float64
		out   tflitefile.Type
	}{
		{"all but the first", layerNames(net)[1:], 0.98, tflitefile.Float32},
		{"all", layerNames(net), 0.99999, tflitefile.Float32},
		{"the embedding", []string{"embedding"}, 0.95, tflitefile.Float32},
		{"in the middle", []string{"features.3.add", "features.2.project", "features.7.depthwise"}, 0.95, tflitefile.Int8},
	} {
		for _, rounding := range []Rounding{Feedback, Nearest} {
			m, report, err := Quantize(net, w, cal, Options{Float: tc.float, Rounding: rounding, BiasCorrection: Empirical})
			if err != nil {
				t.Fatalf("%s: %v", tc.name, err)
			}
			file := encode(t, m)
			i, err := tflite.Open(file, tflite.Options{})
			if err != nil {
				t.Fatal(err)
			}
			if !i.Delegated() || i.Outputs()[0].Type != tc.out {
				t.Errorf("%s: taken by XNNPACK: %v; output %v, want %v", tc.name, i.Delegated(), i.Outputs()[0].Type, tc.out)
			}
			if err := i.Close(); err != nil {
				t.Error(err)
			}
			if c := meanCosine(t, want, embedAll(t, file, test, false)); c < tc.least {
				t.Errorf("%s, %s: mean cosine %.5f, want %g", tc.name, rounding, c, tc.least)
			}
			floats := 0
			for _, l := range report.Layers {
				if l.Float {
					floats++
				}
			}
			if floats != len(tc.float) {
				t.Errorf("%s: the report has %d float layers, want %d", tc.name, floats, len(tc.float))
			}
		}
	}
	if _, _, err := Quantize(net, w, cal, Options{Float: []string{"nowhere"}}); err == nil || !strings.Contains(err.Error(), "nowhere") {
		t.Errorf("a layer that is not there: %v", err)
	}
}

// The layer that is spoilt must cost most.
func TestSensitivityNamesTheWorstLayer(t *testing.T) {
	net, w := spoilt(t)
	cal := calibrate(t, net, w, randomFrames(30, 32, 1))
	costs, err := Sensitivity(t.Context(), net, w, cal, Options{}, 8)
	if err != nil {
		t.Fatal(err)
	}
	worst := costs[0]
	for _, c := range costs {
		if math.IsNaN(c.Cost) || c.Cost < -1e-6 || c.Cost > 1 {
			t.Errorf("layer %s costs %g", c.Name, c.Cost)
		}
		if c.Cost > worst.Cost {
			worst = c
		}
	}
	if len(costs) != len(net.Layers) || worst.Name != "conv2" {
		t.Errorf("worst layer %+v of %d, want conv2 of %d", worst, len(costs), len(net.Layers))
	}
	if diff := cmp.Diff([]string{"conv2"}, Worst(costs, 1)); diff != "" {
		t.Errorf("worst layer (-want +got):\n%s", diff)
	}
	if got := Worst(costs, 100); len(got) != len(costs) || Worst(costs, 0) != nil {
		t.Errorf("the worst 100 of %d: %v", len(costs), got)
	}
	if _, err := Sensitivity(t.Context(), net, w, cal, Options{}, 0); err == nil {
		t.Error("measured on no pictures")
	}
}

func TestSQNR(t *testing.T) {
	for _, tc := range []struct{ power, want float64 }{{1, 0}, {0.1, 10}, {1e-4, 40}, {0, maxSQNR}} {
		if got := sqnr(tc.power); math.Abs(got-tc.want) > 1e-9 {
			t.Errorf("noise ÷ signal %g: %g dB, want %g", tc.power, got, tc.want)
		}
	}
}
