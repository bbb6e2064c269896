package quantize

import (
	"context"
	"math"
	"strings"
	"testing"

	"xbmedge/internal/nn"
	"xbmedge/internal/tflite"
	"xbmedge/internal/vision"
)

// What is odd about a calibration is said, and what comes of it still runs.
func TestWarnings(t *testing.T) {
	for _, tc := range []struct {
		name   string
		frames []vision.Frame
		change func(nn.Weights)
		want   []string // parts of the warnings, in their order
	}{
		{"nothing odd", randomFrames(20, 32, 1), nil, nil},
		{"few pictures", randomFrames(15, 32, 1), nil, []string{"15 pictures only"}},
		{"a layer switched off", randomFrames(20, 32, 1), func(w nn.Weights) {
			clear(w["conv2.weight"].Data)
			clear(w["conv2.bias"].Data)
		}, []string{"conv2 gives 0 whatever", "conv3 gives", "pool gives", "embedding gives"}},
		{"a constant that is not zero", randomFrames(20, 32, 1), func(w nn.Weights) {
			clear(w["conv3.weight"].Data)
			for c := range w["conv3.bias"].Data {
				w["conv3.bias"].Data[c] = 2
			}
		}, []string{"conv3 gives 2 whatever", "pool gives 2"}},
		{"channels of zeros", randomFrames(20, 32, 1), func(w nn.Weights) {
			weight := w["conv1.weight"]
			clear(weight.Data[:len(weight.Data)*3/4])
			clear(w["conv1.bias"].Data)
		}, []string{"conv1: 1"}},
	} {
		net, w := smallNetwork(t)
		if tc.change != nil {
			tc.change(w)
		}
		cal := calibrate(t, net, w, tc.frames)
		var rest []string
		for _, warning := range cal.Warnings {
			if len(tc.want) > 0 && strings.Contains(warning, tc.want[0]) {
				tc.want = tc.want[1:]
			} else {
				rest = append(rest, warning)
			}
		}
		if len(tc.want) > 0 || tc.name == "nothing odd" && len(rest) > 0 {
			t.Errorf("%s: %q are missing from %q", tc.name, tc.want, cal.Warnings)
		}
		for _, opt := range []Options{{}, {Method: Entropy, BiasCorrection: Empirical}, {Method: Percentile, Rounding: Nearest}} {
			m, _, err := Quantize(net, w, cal, opt)
			if err != nil {
				t.Errorf("%s: %v", tc.name, err)
				continue
			}
			i, err := tflite.Open(encode(t, m), tflite.Options{})
			if err != nil {
				t.Fatal(err)
			}
			if !i.Delegated() {
				t.Errorf("%s, %+v: XNNPACK does not take the model", tc.name, opt)
			}
			if err := i.Close(); err != nil {
				t.Error(err)
			}
		}
	}
}

func TestBrokenWeightsAreNamed(t *testing.T) {
	for _, bad := range []float64{math.NaN(), math.Inf(1)} {
		net, w := smallNetwork(t)
		calibrate(t, net, w, randomFrames(1, 32, 1)) // skips without TensorFlow Lite
		w["conv2.weight"].Data[5] = float32(bad)
		if _, err := Calibrate(context.Background(), net, w, randomFrames(20, 32, 1)); err == nil || !strings.Contains(err.Error(), `"conv2.weight"`) {
			t.Errorf("%g: %v, want an error that names conv2.weight", bad, err)
		}
	}
	net, w := smallNetwork(t)
	for _, name := range []string{"conv1.weight", "conv2.weight", "conv3.weight"} {
		for i := range w[name].Data {
			w[name].Data[i] *= 1e20
		}
	}
	if _, err := Calibrate(context.Background(), net, w, randomFrames(20, 32, 1)); err == nil || !strings.Contains(err.Error(), "conv") {
		t.Errorf("values too large for float: %v, want an error that names a layer", err)
	}
}

func TestOptionsRefuse(t *testing.T) {
	net, w := smallNetwork(t)
	cal := calibrate(t, net, w, randomFrames(20, 32, 1))
	for _, tc := range []struct {
		opt  Options
		want string
	}{
		{Options{Method: "guess"}, `"guess" is not known`},
		{Options{Method: Auto}, "Search"},
		{Options{Methods: map[string]Method{"conv1": "guess"}}, `"guess" is not known`},
		{Options{Methods: map[string]Method{"nowhere": MSE}}, "nowhere"},
		{Options{Method: Percentile, Percentile: 40}, "percentile"},
		{Options{Percentile: math.NaN()}, "percentile"},
		{Options{Rounding: "up"}, "feedback"},
		{Options{BiasCorrection: "some"}, "analytic"},
	} {
		if _, _, err := Quantize(net, w, cal, tc.opt); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%+v: %v, want an error with %q", tc.opt, err, tc.want)
		}
	}
}
