//go:build goexperiment.simd && amd64

package quantize

import "simd/archsimd"

// The kernels clear the upper halves of the registers when they are done: left as they are, every scalar operation on
// floating point that follows waits for the one before it.

// vectorUnit says whether this processor has what the kernels here need.
func vectorUnit() bool { return archsimd.X86.AVX2() }

// weighVector is weighPlain with AVX. A product is rounded before it is added, as it is there.
func weighVector(row, errs []float64) (sums [lanes]float64) {
	var s0, s1, s2, s3 archsimd.Float64x4
	for ; len(row) > 0 && len(errs) >= lanes; row, errs = row[1:], errs[lanes:] {
		f := archsimd.BroadcastFloat64x4(row[0])
		s0 = s0.Add(f.Mul(doubles(errs)))
		s1 = s1.Add(f.Mul(doubles(errs[4:])))
		s2 = s2.Add(f.Mul(doubles(errs[8:])))
		s3 = s3.Add(f.Mul(doubles(errs[12:])))
	}
	s0.StoreSlice(sums[:])
	s1.StoreSlice(sums[4:])
	s2.StoreSlice(sums[8:])
	s3.StoreSlice(sums[12:])
	archsimd.ClearAVXUpperBits()
	return sums
}

// subtractVector is subtractPlain with AVX.
func subtractVector(to, from []float64, f float64) {
	factor := archsimd.BroadcastFloat64x4(f)
	for ; len(to) >= 8 && len(from) >= 8; to, from = to[8:], from[8:] {
		a, b := doubles(to).Sub(factor.Mul(doubles(from))), doubles(to[4:]).Sub(factor.Mul(doubles(from[4:])))
		a.StoreSlice(to)
		b.StoreSlice(to[4:])
	}
	archsimd.ClearAVXUpperBits()
	subtractPlain(to, from, f)
}

// extremesVector is extremesPlain with AVX, eight channels at a time.
func extremesVector(lows, highs, values []float32) {
	channels := len(lows)
	whole := channels &^ 7
	for p := values; len(p) >= channels; p = p[channels:] {
		v, l, h := p[:whole], lows[:whole], highs[:whole]
		for ; len(v) >= 8 && len(l) >= 8 && len(h) >= 8; v, l, h = v[8:], l[8:], h[8:] {
			x, low, high := singles(v), singles(l), singles(h)
			// Not the instructions for the least and the largest: with what is no number they depend on the order of the
			// operands, which Go's compiler takes to be free.
			x.Merge(low, x.Less(low)).StoreSlice(l)
			x.Merge(high, x.Greater(high)).StoreSlice(h)
		}
	}
	archsimd.ClearAVXUpperBits()
	if whole < channels {
		extremesFrom(whole, lows, highs, values)
	}
}

func singles(v []float32) archsimd.Float32x8 { return archsimd.LoadFloat32x8((*[8]float32)(v)) }

func doubles(v []float64) archsimd.Float64x4 { return archsimd.LoadFloat64x4((*[4]float64)(v)) }
