package report

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestTicks(t *testing.T) {
	for _, tt := range []struct {
		low, high float64
		want      string
	}{
		{0, 80, "0 20 40 60 80"},
		{0, 0.0005, "0 2e-4 4e-4 6e-4"},
		{0.583, 0.991, "0.4 0.6 0.8 1.0"},
		{0.97, 0.981, "0.970 0.975 0.980 0.985"},
		{-0.3, 1, "-0.5 0 0.5 1.0"},
		{0, 250000, "0 1e5 2e5 3e5"},
		{3, 3, "2.6 2.8 3.0 3.2 3.4"},
		{0, 0, "-1.0e-9 -5e-10 0 5e-10 1.0e-9"},
	} {
		a := axis{low: tt.low, high: tt.high, from: 0, to: 100}.rounded(4)
		var labels []string
		for _, m := range a.ticks(4) {
			labels = append(labels, m.Label)
			if m.At < -0.1 || m.At > 100.1 {
				t.Errorf("%g to %g: %s lies at %g", tt.low, tt.high, m.Label, m.At)
			}
		}
		if diff := cmp.Diff(tt.want, strings.Join(labels, " ")); diff != "" {
			t.Errorf("%g to %g:\n%s", tt.low, tt.high, diff)
		}
	}
}

// TestTicksEnd: of values that no axis shows well there are few ticks, and short ones.
func TestTicksEnd(t *testing.T) {
	for _, a := range []axis{
		{low: -1.7e308, high: 1.7e308, to: 100},
		{low: 0, high: 1.7e308, to: 100},
		{low: 1e18, high: 1e18 + 512, to: 100},
		{low: 5e-324, high: 1e-323, to: 100},
	} {
		marks := a.rounded(4).ticks(4)
		if len(marks) > 12 {
			t.Errorf("%g to %g has %d ticks", a.low, a.high, len(marks))
		}
		for _, m := range marks {
			if len(m.Label) > 12 {
				t.Errorf("%g to %g has a tick %q", a.low, a.high, m.Label)
			}
		}
	}
}

func TestNumbersInWords(t *testing.T) {
	for got, want := range map[string]string{
		count(7): "7", count(1234): "1,234", count(1234567): "1,234,567",
		percent(0): "0 %", percent(1): "100 %", percent(0.5): "50.0 %", percent(0.0012): "0.12 %", percent(0.9987): "99.87 %",
	} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

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
