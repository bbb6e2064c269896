package htmlpage

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
		a := Axis{Low: tt.low, High: tt.high, From: 0, To: 100}.Rounded(4)
		var labels []string
		for _, m := range a.Ticks(4) {
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
	for _, a := range []Axis{
		{Low: -1.7e308, High: 1.7e308, To: 100},
		{Low: 0, High: 1.7e308, To: 100},
		{Low: 1e18, High: 1e18 + 512, To: 100},
		{Low: 5e-324, High: 1e-323, To: 100},
	} {
		marks := a.Rounded(4).Ticks(4)
		if len(marks) > 12 {
			t.Errorf("%g to %g has %d ticks", a.Low, a.High, len(marks))
		}
		for _, m := range marks {
			if len(m.Label) > 12 {
				t.Errorf("%g to %g has a tick %q", a.Low, a.High, m.Label)
			}
		}
	}
}

func TestNumbersInWords(t *testing.T) {
	for got, want := range map[string]string{
		Count(7): "7", Count(1234): "1,234", Count(1234567): "1,234,567",
		Percent(0): "0 %", Percent(1): "100 %", Percent(0.5): "50.0 %", Percent(0.0012): "0.12 %", Percent(0.9987): "99.87 %",
	} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
