package parity_test

import (
	"errors"
	"os"
	"strings"
	"testing"

	"xbmedge/internal/bundle"
	"xbmedge/internal/bundle/bundletest"
	"xbmedge/internal/bundle/parity"
	"xbmedge/internal/testdata"
	"xbmedge/internal/tflite"
)

func open(t *testing.T, path string) *bundle.Bundle {
	t.Helper()
	b, err := bundle.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestCertify(t *testing.T) {
	model := bundletest.Model(t, 1)
	shift := func(by float32) func(*bundle.Manifest, *bundle.Parts) {
		return func(_ *bundle.Manifest, p *bundle.Parts) {
			v := &p.Golden[1].Output[3]
			if *v > 0 { // and so stays int8
				by = -by
			}
			*v += by
		}
	}
	for _, tt := range []struct {
		name      string
		model     []byte
		change    func(*bundle.Manifest, *bundle.Parts)
		steps     float64
		want      parity.Verdict
		differing int
		worst     float64
		reason    string
	}{
		{"as it is", model, nil, 0, parity.Exact, 0, 0, ""},
		{"a step off", model, shift(1), 0, parity.Close, 1, 1, ""},
		{"four steps off", model, shift(4), 0, parity.Close, 1, 4, ""},
		{"five steps off", model, shift(5), 0, parity.Fail, 1, 5, "by up to 5 steps"},
		{"five let pass", model, shift(5), 5, parity.Close, 1, 5, ""},
		{"another model", bundletest.Model(t, 2), func(_ *bundle.Manifest, p *bundle.Parts) { p.Model = model }, 0, parity.Fail, -1, -1, "output"},
		{"no model", model, func(_ *bundle.Manifest, p *bundle.Parts) { p.Model = []byte("TFL3") }, 0, parity.Fail, 0, 0, "model"},
		{"another number type", model, func(m *bundle.Manifest, _ *bundle.Parts) { m.Quantisation = "uint8" }, 0, parity.Fail, 0, 0, "the manifest says uint8"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, err := parity.Certify(t.Context(), open(t, bundletest.Write(t, tt.model, nil, tt.change)), parity.Options{Steps: tt.steps})
			if err != nil {
				t.Fatal(err)
			}
			if c.Verdict != tt.want || !strings.Contains(c.Reason, tt.reason) || (c.Err() == nil) != (tt.want != parity.Fail) {
				t.Errorf("%+v; want %s, %q", c, tt.want, tt.reason)
			}
			if tt.differing >= 0 && (c.Differing != tt.differing || c.WorstSteps != tt.worst) {
				t.Errorf("%+v; want %d values by %v steps", c, tt.differing, tt.worst)
			}
			if tt.want == parity.Fail && !errors.Is(c.Err(), parity.ErrFail) {
				t.Errorf("error %v", c.Err())
			}
			var text strings.Builder
			if err := c.WriteText(&text); err != nil || !strings.Contains(text.String(), "parity       "+string(tt.want)) {
				t.Errorf("%v\n%s", err, text.String())
			}
		})
	}
}

func TestCertifyFloat(t *testing.T) {
	if err := tflite.Available(); err != nil {
		t.Skip(err)
	}
	model, err := os.ReadFile(testdata.File(t, "tflite/mobilenet_v1_0.25_float.tflite"))
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		change func(*bundle.Manifest, *bundle.Parts)
		want   parity.Verdict
	}{
		{nil, parity.Exact},
		{func(_ *bundle.Manifest, p *bundle.Parts) { p.Golden[0].Output[0] *= 1.00001 }, parity.Close},
		{func(_ *bundle.Manifest, p *bundle.Parts) { p.Golden[0].Output[0] += 10 }, parity.Fail},
	} {
		c, err := parity.Certify(t.Context(), open(t, bundletest.Write(t, model, nil, tt.change)), parity.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if c.Verdict != tt.want {
			t.Errorf("%+v; want %s", c, tt.want)
		}
	}
}
