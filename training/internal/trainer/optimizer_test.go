package trainer

import (
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func TestRate(t *testing.T) {
	c := OptimizerConfig{LearningRate: 1, Warmup: 4, DecaySteps: []int{6, 8}, DecayFactor: 0.5, Plateau: PlateauConfig{MinRate: 0.2}}
	for decay, want := range map[string][]float64{
		decayCosine:   {0.25, 0.5, 0.75, 1, 1, (1 + math.Sqrt(0.75)) / 2, 0.75, 0.5, 0.25, (1 - math.Sqrt(0.75)) / 2},
		decayStep:     {0.25, 0.5, 0.75, 1, 1, 1, 0.5, 0.5, 0.25, 0.25},
		decayConstant: {0.25, 0.5, 0.75, 1, 1, 1, 1, 1, 1, 1},
	} {
		c.Decay = decay
		var got []float64
		for step := range want {
			got = append(got, c.rate(step, 10, &plateau{}))
		}
		if diff := cmp.Diff(want, got, cmpopts.EquateApprox(0, 1e-12)); diff != "" {
			t.Errorf("%s: %s", decay, diff)
		}
	}
	c.Decay = decayPlateau
	for falls, want := range []float64{1, 0.5, 0.25, 0.2, 0.2} {
		if got := c.rate(9, 10, &plateau{Falls: falls}); got != want {
			t.Errorf("after %d falls: %g, want %g", falls, got, want)
		}
	}
}

// The falls are those of PyTorch's ReduceLROnPlateau(mode="max", factor=0.1, patience=2, threshold=0.01, cooldown=1).
func TestPlateau(t *testing.T) {
	c := PlateauConfig{Patience: 2, Threshold: 0.01, Cooldown: 1}
	recalls := []float64{0.5, 0.5, 0.504, 0.505, 0.51, 0.51, 0.51, 0.51, 0.51, 0.51, 0.51, 0.51, 0.6, 0.5, 0.5, 0.5}
	want := []int{0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4}
	var p plateau
	var got []int
	for _, r := range recalls {
		p.evaluated(&c, r)
		got = append(got, p.Falls)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
