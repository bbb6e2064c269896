package quantize

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

func needVectorUnit(t *testing.T) {
	t.Helper()
	if !vectorUnit() {
		t.Skip("built without GOEXPERIMENT=simd, or the processor has no AVX2")
	}
}

func randomDoubles(rng *rand.Rand, n int) []float64 {
	values := make([]float64, n)
	for i := range values {
		values[i] = rng.NormFloat64()
	}
	return values
}

func TestWeighVector(t *testing.T) {
	needVectorUnit(t)
	rng := rand.New(rand.NewPCG(2, 7))
	for _, n := range []int{0, 1, 2, 9, 100} {
		row, errs := randomDoubles(rng, n), randomDoubles(rng, (n+3)*lanes) // more than the row has
		got, want := weighVector(row, errs), weighPlain(row, errs)
		if got != want {
			t.Errorf("row of %d: %g, want %g", n, got, want)
		}
		exact := 0.0
		for i, f := range row {
			exact += f * errs[i*lanes+5]
		}
		if want[5] != exact {
			t.Errorf("row of %d: %g in lane 5, want %g", n, want[5], exact)
		}
	}
}

func TestSubtractVector(t *testing.T) {
	needVectorUnit(t)
	rng := rand.New(rand.NewPCG(1, 8))
	for n := range 40 {
		to, from := randomDoubles(rng, n), randomDoubles(rng, n+2)
		want := slices.Clone(to)
		subtractVector(to, from, 0.3)
		subtractPlain(want, from, 0.3)
		if !slices.Equal(to, want) {
			t.Errorf("%d values: %g, want %g", n, to, want)
		}
	}
}

func TestExtremesVector(t *testing.T) {
	needVectorUnit(t)
	rng := rand.New(rand.NewPCG(3, 9))
	for channels := 1; channels < 80; channels++ {
		for _, pixels := range []int{1, 2, 9} {
			values := make([]float32, pixels*channels)
			for i := range values {
				values[i] = float32(rng.NormFloat64())
				if rng.IntN(20) == 0 {
					values[i] = float32(math.NaN())
				}
			}
			got, want := newStatistics(channels), newStatistics(channels)
			for _, part := range [][]float32{values, values[:channels]} { // a second map goes on from the first
				extremesVector(got.lows, got.highs, part)
				extremesPlain(want.lows, want.highs, part)
			}
			if !slices.Equal(got.lows, want.lows) || !slices.Equal(got.highs, want.highs) {
				t.Errorf("%d pixels of %d channels: %g … %g, want %g … %g", pixels, channels, got.lows, got.highs, want.lows, want.highs)
			}
		}
	}
}

func TestExtremesAreOfAllPixels(t *testing.T) {
	values := make([]float32, 1000*3)
	values[3*501+1], values[3*998+2], values[0] = 7, -5, float32(math.NaN())
	s := newStatistics(3)
	s.extremes(values)
	if want := []float32{0, 0, -5}; !slices.Equal(s.lows, want) {
		t.Errorf("least values %g, want %g", s.lows, want)
	}
	if want := []float32{0, 7, 0}; !slices.Equal(s.highs, want) || s.min != -5 || s.max != 7 {
		t.Errorf("largest values %g of %g … %g, want %g of -5 … 7", s.highs, s.min, s.max, want)
	}
}

func BenchmarkExtremes(b *testing.B) {
	const channels = 96
	values := make([]float32, 112*112*channels)
	s := newStatistics(channels)
	b.SetBytes(int64(4 * len(values)))
	for b.Loop() {
		s.extremes(values)
	}
}
