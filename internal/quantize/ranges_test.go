package quantize

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

func histogramOf(values ...float32) *statistics {
	s := newStatistics(1)
	if err := s.add(values, 0, false); err != nil {
		panic(err)
	}
	s.finish()
	return s
}

// fill gives 800 times 128 values, from value, to statistics, in maps of which every pixel is looked at.
func fill(s *statistics, value func(i int) float32) {
	values := make([]float32, 128)
	for range 800 {
		for i := range values {
			values[i] = value(i)
		}
		for part := range slices.Chunk(values, sampledPixels) {
			if err := s.add(part, 0, false); err != nil {
				panic(err)
			}
		}
	}
}

// outlier adds one value of 100.
func outlier(s *statistics) {
	if err := s.add([]float32{100}, 0, false); err != nil {
		panic(err)
	}
}

// evenAndOutlier are 102,400 evenly spread values, and the same with one at 100 among them.
func evenAndOutlier() (even, with *statistics) {
	even, with = newStatistics(1), newStatistics(1)
	for _, s := range []*statistics{even, with} {
		fill(s, func(i int) float32 { return float32(i)/64 - 1 })
	}
	outlier(with)
	return even, with
}

// bell is 102,400 values of mean 0 and deviation 1, and one at 100.
func bell() *statistics {
	rng := rand.New(rand.NewPCG(1, 2))
	s := newStatistics(1)
	fill(s, func(int) float32 { return float32(rng.NormFloat64()) })
	outlier(s)
	return s
}

func TestMethods(t *testing.T) {
	even, outlier := evenAndOutlier()
	for _, tc := range []struct {
		name       string
		s          *statistics
		method     Method
		percentile float64
		low, high  [2]float32 // from … to
	}{
		{"the whole range", outlier, MinMax, 0, [2]float32{-1, -1}, [2]float32{100, 100}},
		{"all but a ten-thousandth", outlier, Percentile, 99.99, [2]float32{-1, -0.9}, [2]float32{0.9, 1.2}},
		{"percentile of even values", even, Percentile, 90, [2]float32{-0.92, -0.88}, [2]float32{0.88, 0.92}},
		// 102,400 × ((h+1)/255)²/12 + (100−h)² is least at h = 88.6.
		{"least squares", outlier, MSE, 0, [2]float32{-1, -0.8}, [2]float32{85, 91}},
		{"least squares of even values", even, MSE, 0, [2]float32{-1, -0.95}, [2]float32{0.95, 1}},
		{"entropy of even values", even, Entropy, 0, [2]float32{-1, -0.9}, [2]float32{0.9, 1}},
		{"entropy cuts a bell's outlier", bell(), Entropy, 0, [2]float32{-5, -2}, [2]float32{2, 40}},
		{"never negative", histogramOf(0, 0, 1, 2, 4), MSE, 0, [2]float32{0, 0}, [2]float32{3.5, 4}},
		{"always zero", histogramOf(0, 0, 0), Entropy, 0, [2]float32{0, 0}, [2]float32{0, 0}},
		{"always the same", histogramOf(3, 3, 3), MinMax, 0, [2]float32{0, 0}, [2]float32{3, 3}},
	} {
		low, high := rangeOf(tc.s, tc.method, tc.percentile)
		if low < tc.low[0] || low > tc.low[1] || high < tc.high[0] || high > tc.high[1] {
			t.Errorf("%s: %g … %g, want %v … %v", tc.name, low, high, tc.low, tc.high)
		}
	}
	if got := outlier.histogram.outside(-1, 50); math.Abs(got-1.0/102_401) > 1e-9 {
		t.Errorf("share outside = %g", got)
	}
}

// Parts counted one by one and merged must agree with all counted at once, whatever comes first.
func TestHistogramGrowsAndMerges(t *testing.T) {
	parts := [][]float32{{0.001, -0.002, 0}, {5, -3}, {0.5, 0.25, 0}, {-40, 12}}
	var whole histogram
	var merged histogram
	for _, p := range parts {
		whole.add(p, 40)
		var one histogram
		reach := float32(0)
		for _, v := range p {
			reach = max(reach, v, -v)
		}
		one.add(p, reach)
		merged.merge(&one)
	}
	for _, h := range []*histogram{&whole, &merged} {
		if h.total != 8 || h.zeros != 2 || h.low != -40 || h.high != 12 {
			t.Errorf("counted %d values and %d zeros from %g to %g", h.total, h.zeros, h.low, h.high)
		}
		if got := h.outside(-2, 2); math.Abs(got-0.4) > 1e-9 {
			t.Errorf("share outside −2 … 2 is %g, want 4 of 10", got)
		}
	}
}

// A vector a hundred times shorter than the others loses its direction to a range made for them; the cosine sees it.
func TestEmbeddingIsRangedByCosine(t *testing.T) {
	s := newStatistics(2)
	for i := range 40 {
		v := []float32{0.03, 0.05}
		if i == 0 {
			v = []float32{3, 5}
		}
		if err := s.add(v, i, false); err != nil {
			t.Fatal(err)
		}
		s.vectors = append(s.vectors, v)
	}
	low, high := rangeOf(s, MSE, 0)
	if _, plain := rangeOf(&statistics{min: s.min, max: s.max, histogram: s.histogram}, MSE, 0); high >= plain {
		t.Errorf("up to %g by cosine, %g by squares: want less", high, plain)
	}
	if c, whole := roundedCosine(s.vectors, float64(low), float64(high)), roundedCosine(s.vectors, 0, 5); c <= whole {
		t.Errorf("cosine %g, not above the %g of the whole range", c, whole)
	}
}

func TestParseMethod(t *testing.T) {
	for _, m := range append(Methods(), Auto) {
		if got, err := ParseMethod(string(m)); err != nil || got != m {
			t.Errorf("%s: %s, %v", m, got, err)
		}
	}
	if _, err := ParseMethod("guess"); err == nil {
		t.Error("took a method that is none")
	}
}
