package quantize

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"xbmedge/internal/tflite"
)

// Search must end no worse than any of its trials, and its options must give its model again.
func TestSearch(t *testing.T) {
	net, w := unevenBackbone(t, "mobilenetv2", 64)
	frames := randomFrames(60, 64, 1)
	r, err := Search(t.Context(), net, w, calibrate(t, net, w, frames), Options{Rounding: Nearest})
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for _, trial := range r.Trials {
		names[trial.Name] = true
		if trial.Err == nil && trial.Mean > r.Fidelity.Mean+2*worthwhile {
			t.Errorf("%s has mean cosine %.5f, the result %.5f", trial.Name, trial.Mean, r.Fidelity.Mean)
		}
	}
	for _, want := range []string{"mse", "minmax", "percentile", "kl", "equalised"} {
		if !names[want] {
			t.Errorf("%s was not tried", want)
		}
	}
	again, _, err := Quantize(net, r.Weights, r.Calibration, r.Options)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(encode(t, again), encode(t, r.Model)) {
		t.Error("the options do not give the model again")
	}
	i, err := tflite.Open(encode(t, r.Model), tflite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if !i.Delegated() {
		t.Error("XNNPACK does not take it")
	}
	if err := i.Close(); err != nil {
		t.Error(err)
	}
}

func TestSearchCancelled(t *testing.T) {
	net, w := spoilt(t)
	cal := calibrate(t, net, w, randomFrames(30, 32, 1))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Search(ctx, net, w, cal, Options{}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

func TestUntuned(t *testing.T) {
	for _, tc := range []struct{ frames, count, want int }{{200, 64, 57}, {200, 1000, 171}, {20, 64, 20}, {1, 64, 1}} {
		cal := &Calibration{frames: randomFrames(tc.frames, 1, 1)}
		got := cal.untuned(tc.count)
		_, tuned := cal.tuning()
		if len(got) != tc.want {
			t.Errorf("%d of %d frames: %d, want %d", tc.count, tc.frames, len(got), tc.want)
		}
		if tc.frames >= 2*tuneFrames && slices.ContainsFunc(got, func(n int) bool { return slices.Contains(tuned, n) }) {
			t.Errorf("%d frames: some of %v are tuned on", tc.frames, got)
		}
	}
}

// A model that XNNPACK refuses, here for a scale it cannot bring a sum to, is no way to quantise.
func TestFidelityRefusesPlainKernels(t *testing.T) {
	net, w := smallNetwork(t)
	frames := randomFrames(20, 32, 1)
	m := quantised(t, net, w, frames, Options{Rounding: Nearest})
	want := embedAll(t, floatModel(t, net, w), frames, false)
	if f, err := fidelity(t.Context(), m, 1, frames, want); err != nil || f.Mean < 0.99 || f.P1 > f.Mean {
		t.Fatalf("as it is: %+v, %v", f, err)
	}
	m.Tensors[m.Find("conv2")].Quant.Scale[0] *= 1 << 36
	if f, err := fidelity(t.Context(), m, 1, frames, want); err == nil || !strings.Contains(err.Error(), "XNNPACK") {
		t.Errorf("with a scale out of reach: %+v, %v", f, err)
	}
}
