package report

import "testing"

// TestThinned: of very many steps a line keeps the last and the best.
func TestThinned(t *testing.T) {
	steps := make([]Step, 1001)
	for i := range steps {
		steps[i].Step = i
	}
	steps[3].Best, steps[502].Best = true, true
	kept := thinned(steps)
	if len(kept) > maxDots+2 || len(kept) < maxDots/2 || kept[len(kept)-1].Step != 1000 || kept[bestOf(kept)].Step != 502 {
		t.Errorf("%d kept, the last %d, the best at %d", len(kept), kept[len(kept)-1].Step, bestOf(kept))
	}
}
