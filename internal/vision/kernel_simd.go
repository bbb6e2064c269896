//go:build goexperiment.simd && amd64

package vision

import "simd/archsimd"

// The kernels clear the upper halves of the registers when they are done: left as they are, every scalar operation on
// floating point that follows waits for the one before it.

// vectorUnit says whether this processor has what the kernels here need.
func vectorUnit() bool { return archsimd.X86.AVX2() }

// lanes says where the bytes of four neighbouring RGB pixels go: pixels 0 and 1 to the lower half, 2 and 3 to the upper,
// as pairs of 16 bits, red with red, green with green, blue with blue. Negative: a zero.
func lanes() archsimd.Int8x32 {
	return archsimd.LoadInt8x32(&[32]int8{
		0, -1, 3, -1, 1, -1, 4, -1, 2, -1, 5, -1, -1, -1, -1, -1,
		6, -1, 9, -1, 7, -1, 10, -1, 8, -1, 11, -1, -1, -1, -1, -1,
	})
}

// rowVector is rowPlain with AVX2, four source pixels at a time. A weight of 22 bits does not fit the 16-bit multiplier:
// its upper and lower eleven bits are summed apart and put together at the end, without loss.
func rowVector(k *filter, dst, src []byte) {
	spread := lanes()
	rounding := archsimd.BroadcastInt32x4(half)
	full := archsimd.BroadcastInt32x4(255)
	packed := k.packed
	safe := k.safe(len(src))
	for i, first := range k.first[:safe] {
		px := src[3*first:]
		var high, low archsimd.Int32x8
		for range k.groups {
			four := archsimd.LoadUint8x16((*[16]byte)(px))
			var both archsimd.Uint8x32
			pairs := both.SetLo(four).SetHi(four).PermuteOrZeroGrouped(spread).AsInt16x16()
			high = high.Add(pairs.DotProductPairs(archsimd.LoadInt16x16((*[16]int16)(packed))))
			low = low.Add(pairs.DotProductPairs(archsimd.LoadInt16x16((*[16]int16)(packed[16:]))))
			px, packed = px[12:], packed[32:]
		}
		sum := high.ShiftAllLeft(lowBits).Add(low)
		rgb := sum.GetLo().Add(sum.GetHi()).Add(rounding).ShiftAllRight(precision).Min(full)
		d := dst[3*i : 3*i+3 : 3*i+3]
		d[0], d[1], d[2] = byte(rgb.GetElem(0)), byte(rgb.GetElem(1)), byte(rgb.GetElem(2))
	}
	archsimd.ClearAVXUpperBits()
	rowFrom(k, dst, src, safe)
}

// columnVector is columnPlain with AVX2, sixteen bytes at a time.
func columnVector(out, rows []byte, weights, sums []int32) {
	const step = 16
	n := len(out)
	if n < step {
		columnPlain(out, rows, weights, sums)
		return
	}
	for i := 0; i < n; i += step {
		i = min(i, n-step) // the last step overlaps the one before
		a, b := archsimd.BroadcastInt32x8(half), archsimd.BroadcastInt32x8(half)
		at := i
		for _, w := range weights {
			weight := archsimd.BroadcastInt32x8(w)
			bytes := archsimd.LoadUint8x16((*[step]byte)(rows[at:]))
			a = a.Add(bytes.ExtendLo8ToUint32().AsInt32x8().Mul(weight))
			b = b.Add(bytes.ConcatShiftBytesRight(8, bytes).ExtendLo8ToUint32().AsInt32x8().Mul(weight))
			at += n
		}
		full := archsimd.BroadcastInt32x8(255)
		a, b = a.ShiftAllRight(precision).Min(full), b.ShiftAllRight(precision).Min(full)
		// Sixteen bits each: [a0…3 b0…3 | a4…7 b4…7]; then bytes, the same pairs of halves twice.
		words := a.SaturateToUint16ConcatGrouped(b)
		narrow := archsimd.LoadInt8x16(&[16]int8{0, 2, 4, 6, 8, 10, 12, 14, -1, -1, -1, -1, -1, -1, -1, -1})
		lo := words.GetLo().AsUint8x16().PermuteOrZero(narrow).AsUint32x4() // a0…3 b0…3
		hi := words.GetHi().AsUint8x16().PermuteOrZero(narrow).AsUint32x4() // a4…7 b4…7
		lo.InterleaveLo(hi).AsUint8x16().Store((*[step]byte)(out[i:]))      // a0…3 a4…7 b0…3 b4…7
	}
	archsimd.ClearAVXUpperBits()
}
