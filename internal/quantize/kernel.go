package quantize

// The inner loops of a conversion, as any processor runs them. kernel_simd.go has them in vector instructions, with the
// same results to the last bit. The conversions of products keep compilers from fusing them with the sums, which would
// give other models on other processors.

// lanes is how many outputs of a layer are rounded side by side.
const lanes = 16

// weigh, subtract and extremes take the fastest that this processor has.

func weigh(row, errs []float64) [lanes]float64 {
	if vectorUnit() {
		return weighVector(row, errs)
	}
	return weighPlain(row, errs)
}

func subtract(to, from []float64, f float64) {
	if vectorUnit() {
		subtractVector(to, from, f)
	} else {
		subtractPlain(to, from, f)
	}
}

func extremes(lows, highs, values []float32) {
	if vectorUnit() {
		extremesVector(lows, highs, values)
	} else {
		extremesPlain(lows, highs, values)
	}
}

// weighPlain returns the sum of the products of row's values with those of errs, [len(row)][lanes].
func weighPlain(row, errs []float64) (sums [lanes]float64) {
	for i, f := range row {
		for l, e := range (*[lanes]float64)(errs[i*lanes:]) {
			sums[l] += float64(f * e)
		}
	}
	return sums
}

// subtractPlain takes f times each value of from from the one of to.
func subtractPlain(to, from []float64, f float64) {
	from = from[:len(to)]
	for i, v := range from {
		to[i] -= float64(f * v)
	}
}

// extremesPlain lowers lows and raises highs to the least and the largest value that is a number of each channel; values
// are pixels of len(lows) channels. Plain comparisons take a third of the time of the built-in functions, which look for
// NaN and −0.
func extremesPlain(lows, highs, values []float32) {
	extremesFrom(0, lows, highs, values)
}

// extremesFrom is extremesPlain of the channels from first on.
func extremesFrom(first int, lows, highs, values []float32) {
	channels := len(lows)
	lows, highs = lows[first:], highs[first:]
	for ; len(values) >= channels; values = values[channels:] {
		pixel := values[first:channels]
		lows, highs := lows[:len(pixel)], highs[:len(pixel)]
		for c, v := range pixel {
			if v < lows[c] {
				lows[c] = v
			}
			if v > highs[c] {
				highs[c] = v
			}
		}
	}
}
