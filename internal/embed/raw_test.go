package embed

import (
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Raw values, scaled and brought to length one, are the embedding.
func TestRaw(t *testing.T) {
	for _, tt := range []struct {
		name, kind string
		model      func() []byte
	}{
		{"float", "float32", func() []byte { return brightness(t, 8) }},
		{"quantised", "uint8", func() []byte { return readModel(t, "mobilenet_v1_quant_embedding_extractor.tflite") }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			e := newEmbedder(t, tt.model())
			raw, want := make([]float32, e.Dim()), make([]float32, e.Dim())
			frame := plain(20, 8, 51, 0, 68)
			if err := e.Raw(raw, frame); err != nil {
				t.Fatal(err)
			}
			if err := e.Embed(want, frame); err != nil {
				t.Fatal(err)
			}
			out := e.Output()
			if d := cmp.Diff(tt.kind, out.Type); d != "" {
				t.Fatal(d)
			}
			if out.Type != "float32" {
				for i, v := range raw {
					if v != float32(math.Trunc(float64(v))) {
						t.Fatalf("value %d is %v, no integer", i, v)
					}
					raw[i] = out.Scale * (v - float32(out.ZeroPoint))
				}
			}
			if err := normalise(raw); err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(want, raw); d != "" {
				t.Error(d)
			}
			if err := e.Raw(raw[1:], frame); err == nil {
				t.Error("a slice that is too short was taken")
			}
		})
	}
}
