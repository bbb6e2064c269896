package quantize

import (
	"math/rand/v2"
	"testing"
)

// Vectors of one length lose next to nothing; where a few are a hundred times as long, the others lose much.
func TestRoundingLoss(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for _, tc := range []struct {
		name        string
		length      func(i int) float64
		least, most float64
	}{
		{"of one length", func(int) float64 { return 1 }, 1e-6, 1e-4},
		{"a tenth is thirty times as long", func(i int) float64 {
			if i%10 == 0 {
				return 30
			}
			return 1
		}, 1e-3, 1e-1},
	} {
		s := newStatistics(64)
		for i := range 100 {
			v := make([]float32, 64)
			for k := range v {
				v[k] = float32(tc.length(i) * rng.NormFloat64())
			}
			if err := s.add(v, i, false); err != nil {
				t.Fatal(err)
			}
			s.vectors = append(s.vectors, v)
		}
		s.finish()
		if got := (&Calibration{layers: []*statistics{s}}).RoundingLoss(); got < tc.least || got > tc.most {
			t.Errorf("%s: %g, want %g to %g", tc.name, got, tc.least, tc.most)
		}
	}
	if got := (&Calibration{layers: []*statistics{newStatistics(3)}}).RoundingLoss(); got != 0 {
		t.Errorf("a map: %g", got)
	}
}
