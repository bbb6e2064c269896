package quantize

import "math"

// halfBins is the resolution of a histogram on each side of zero: eight bins to each of int8's integers, or four after
// the range has just grown.
const halfBins = 2048

// histogram counts values in bins of one width on both sides of zero. It grows with what it is given: the width
// doubles and neighbours are merged, so one pass over the data is enough. Zeros are counted apart, because int8 holds
// zero exactly whatever the range.
type histogram struct {
	low, high float32 // the least and the largest value counted
	width     float32 // of a bin; 0 before the first value that is not zero
	counts    []uint64
	zeros     uint64
	total     uint64 // without the zeros
}

// add counts every value. None may be NaN or infinite; reach is no less than the largest magnitude among them.
func (h *histogram) add(values []float32, reach float32) {
	h.fit(reach)
	if h.width == 0 {
		h.zeros += uint64(len(values))
		return
	}
	factor, low, high := 1/h.width, h.low, h.high
	zeros := uint64(0)
	for _, v := range values {
		if v == 0 {
			zeros++
			continue
		}
		b := int(v*factor + halfBins) // truncating is rounding down, as the sum is not negative
		h.counts[min(max(b, 0), 2*halfBins-1)]++
		if v < low {
			low = v
		}
		if v > high {
			high = v
		}
	}
	h.low, h.high = low, high
	h.zeros += zeros
	h.total += uint64(len(values)) - zeros
}

// fit widens the bins until a value of that magnitude has one.
func (h *histogram) fit(reach float32) {
	if reach == 0 {
		return
	}
	if h.width == 0 {
		h.counts = make([]uint64, 2*halfBins)
		h.width = reach / (halfBins - 1)
	}
	for reach >= h.width*halfBins {
		h.widen()
	}
}

func (h *histogram) widen() {
	h.width *= 2
	merged := make([]uint64, 2*halfBins)
	for b := range halfBins {
		merged[halfBins/2+b] = h.counts[2*b] + h.counts[2*b+1]
	}
	h.counts = merged
}

// merge adds what another histogram has counted; the other is changed.
func (h *histogram) merge(o *histogram) {
	h.zeros += o.zeros
	if o.width == 0 {
		return
	}
	if h.width == 0 {
		zeros := h.zeros
		*h = *o
		h.zeros = zeros
		return
	}
	// The widths need not be a power of two apart, so bins go where their centres are.
	h.fit(o.width * (halfBins - 1))
	for b, c := range o.counts {
		if c > 0 {
			to := int(o.center(b)/float64(h.width) + halfBins)
			h.counts[min(max(to, 0), 2*halfBins-1)] += c
		}
	}
	h.total += o.total
	h.low, h.high = min(h.low, o.low), max(h.high, o.high)
}

// center returns the value in the middle of bin b.
func (h *histogram) center(b int) float64 {
	return (float64(b-halfBins) + 0.5) * float64(h.width)
}

// outside returns the share of values, zeros among them, below low or above high, to the resolution of a bin.
func (h *histogram) outside(low, high float32) float64 {
	if h.total+h.zeros == 0 {
		return 0
	}
	slack := float64(h.width)
	var n uint64
	for b, c := range h.counts {
		if v := h.center(b); v < float64(low)-slack || v > float64(high)+slack {
			n += c
		}
	}
	return float64(n) / float64(h.total+h.zeros)
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

// divergence is the Kullback-Leibler divergence of the values from what int8 makes of them between low and high: the
// distribution with what lies outside moved to the ends, against the same evened out within each of the 255 steps.
func (h *histogram) divergence(low, high float64) float64 {
	step := (high - low) / 255
	var mass, used [256]float64
	clipped := make([]float64, len(h.counts))
	index := func(v float64) int { return min(max(int(math.Round((v-low)/step)), 0), 255) }
	first, last := -1, -1
	for b, c := range h.counts {
		if v := h.center(b); v < low-float64(h.width)/2 || v > high+float64(h.width)/2 {
			continue
		}
		if first < 0 {
			first = b
		}
		last = b
		clipped[b] = float64(c)
		if c > 0 {
			mass[index(h.center(b))] += float64(c) // the outliers do not count here, as Migacz has it
			used[index(h.center(b))]++
		}
	}
	if first < 0 {
		return math.Inf(1)
	}
	kept := 0.0
	for _, m := range mass {
		kept += m
	}
	for b, c := range h.counts {
		switch {
		case b < first:
			clipped[first] += float64(c)
		case b > last:
			clipped[last] += float64(c)
		}
	}
	sum := 0.0
	for b := first; b <= last; b++ {
		if clipped[b] == 0 {
			continue
		}
		p := clipped[b] / float64(h.total)
		q := 1e-9 // of a bin that only outliers were moved to
		if k := index(h.center(b)); used[k] > 0 && h.counts[b] > 0 {
			q = mass[k] / used[k] / kept
		}
		sum += p * math.Log(p/q)
	}
	return sum
}
