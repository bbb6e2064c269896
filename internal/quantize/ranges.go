package quantize

import (
	"fmt"
	"math"
	"strings"
)

// Method is how the range of an activation that int8 holds is chosen from what it was in calibration.
type Method string

// The calibration methods.
const (
	// MinMax keeps the whole range.
	MinMax Method = "minmax"
	// Percentile leaves out the values beyond a percentile of the distribution, Options.Percentile.
	Percentile Method = "percentile"
	// MSE has the least mean squared error: the rounding of what lies inside against the distance of what does not. The
	// embedding is ranged by the mean cosine instead. It is what an empty Method means.
	MSE Method = "mse"
	// Entropy has the least Kullback-Leibler (KL) divergence (Migacz, 8-bit Inference with TensorRT, GTC 2017).
	Entropy Method = "kl"
	// Auto is for Search alone, which measures the others.
	Auto Method = "auto"
)

// DefaultPercentile is used where Options.Percentile is 0.
const DefaultPercentile = 99.99

// Methods returns the methods in the order in which Search tries them, without Auto.
func Methods() []Method { return []Method{MSE, MinMax, Percentile, Entropy} }

// ParseMethod returns the method of that name.
func ParseMethod(name string) (Method, error) {
	names := make([]string, 0, 5)
	for _, m := range append(Methods(), Auto) {
		if string(m) == name {
			return m, nil
		}
		names = append(names, string(m))
	}
	return "", fmt.Errorf("a calibration method %q is not known: take %s", name, strings.Join(names, ", "))
}

// rangeOf returns the range that int8 is to hold of a value, zero included.
func rangeOf(s *statistics, m Method, percentile float64) (low, high float32) {
	h := &s.histogram
	low, high = min(s.min, 0), max(s.max, 0)
	if h.total == 0 || high <= low {
		return low, high
	}
	switch m {
	case MinMax:
		return low, high
	case Percentile:
		l, r := h.percentile(percentile)
		return max(low, l), min(high, r)
	case Entropy:
		return shrink(low, high, h.divergence)
	default:
		if s.vectors != nil {
			return shrink(low, high, func(l, r float64) float64 { return 1 - roundedCosine(s.vectors, l, r) })
		}
		return shrink(low, high, h.squaredError)
	}
}

// shrink returns the range with the least cost, cut in steps of a hundredth: first both ends together, then each for
// itself.
func shrink(low, high float32, cost func(low, high float64) float64) (float32, float32) {
	const steps = 80
	best, l, r := math.Inf(1), low, high
	try := func(a, b float32) {
		if c := cost(float64(a), float64(b)); c < best {
			best, l, r = c, a, b
		}
	}
	for step := range steps {
		keep := 1 - 0.01*float32(step)
		try(low*keep, high*keep)
	}
	if low == 0 || high == 0 {
		return l, r
	}
	for step := range steps {
		try(low*(1-0.01*float32(step)), r)
	}
	for step := range steps {
		try(l, high*(1-0.01*float32(step)))
	}
	return l, r
}

// percentile returns the range with that many percent of the values in it; the rest is left out at both ends alike, or
// at the one end of values that are never negative or never positive.
func (h *histogram) percentile(percent float64) (low, high float32) {
	out := float64(h.total+h.zeros) * (1 - percent/100)
	if h.low < 0 && h.high > 0 {
		out /= 2
	}
	end := func(from, step int) float32 {
		sum := 0.0
		for b := from; b >= 0 && b < len(h.counts); b += step {
			if sum += float64(h.counts[b]); sum > out {
				return float32(h.center(b)) + float32(-step)*h.width/2
			}
		}
		return 0
	}
	return min(end(0, 1), 0), max(end(len(h.counts)-1, -1), 0)
}

// roundedCosine is the mean cosine of vectors with what int8 makes of them between low and high.
func roundedCosine(vectors [][]float32, low, high float64) float64 {
	p, err := chooseParams(float32(low), float32(high))
	if err != nil {
		return -1
	}
	sum := 0.0
	for _, v := range vectors {
		var dot, a, b float64
		for _, x := range v {
			q := min(max(math.Round(float64(x)/float64(p.scale))+float64(p.zero), -128), 127)
			y := float64(p.scale) * (q - float64(p.zero))
			dot += float64(x) * y
			a += float64(x) * float64(x)
			b += y * y
		}
		if a > 0 && b > 0 {
			sum += dot / math.Sqrt(a*b)
		}
	}
	return sum / float64(len(vectors))
}
