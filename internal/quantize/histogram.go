package quantize

import "math"

// bins is the resolution of a histogram: eight to each integer of int8.
const bins = 2048

// histogram counts values between low and high.
type histogram struct {
	low, high float32
	counts    []uint64
	total     uint64
}

func newHistogram(low, high float32) histogram {
	return histogram{low: low, high: high, counts: make([]uint64, bins)}
}

// add counts every value. Values must lie between low and high.
func (h *histogram) add(values []float32) {
	h.total += uint64(len(values))
	width := h.high - h.low
	if width <= 0 {
		h.counts[0] += uint64(len(values))
		return
	}
	factor := bins / width
	for _, v := range values {
		h.counts[min(max(int((v-h.low)*factor), 0), bins-1)]++
	}
}

// center returns the value in the middle of bin b.
func (h *histogram) center(b int) float64 {
	return float64(h.low) + (float64(b)+0.5)*float64(h.high-h.low)/bins
}

// outside returns the share of values below low or above high, to the resolution of a bin.
func (h *histogram) outside(low, high float32) float64 {
	if h.total == 0 {
		return 0
	}
	slack := float64(h.high-h.low) / bins
	var n uint64
	for b, c := range h.counts {
		if v := h.center(b); v < float64(low)-slack || v > float64(high)+slack {
			n += c
		}
	}
	return float64(n) / float64(h.total)
}

// clip returns the range, cut symmetrically in steps, that int8 renders with the least mean squared error: the
// rounding error of all values inside against the distance of those outside. Values of zero are exact whatever the
// range and do not count as rounded.
func (h *histogram) clip() (low, high float32) {
	low, high = min(h.low, 0), max(h.high, 0)
	if h.total == 0 || high-low <= 0 {
		return low, high
	}
	best, bestLow, bestHigh := math.Inf(1), low, high
	for step := range 80 {
		keep := 1 - 0.01*float32(step)
		l, r := low*keep, high*keep
		if e := h.squaredError(float64(l), float64(r)); e < best {
			best, bestLow, bestHigh = e, l, r
		}
	}
	return bestLow, bestHigh
}

// squaredError is the sum of the squared errors of values rounded to 256 steps between low and high.
func (h *histogram) squaredError(low, high float64) float64 {
	step := (high - low) / 255
	rounding := step * step / 12
	sum := 0.0
	for b, c := range h.counts {
		if c == 0 {
			continue
		}
		v := h.center(b)
		distance := max(low-v, v-high, 0)
		if distance > 0 {
			sum += float64(c) * distance * distance
		} else {
			sum += float64(c) * rounding
		}
	}
	return sum
}
