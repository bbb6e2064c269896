//go:build goexperiment.simd && amd64

package retrieval

import "simd/archsimd"

// The kernels clear the upper halves of the registers when they are done: left as they are, every scalar operation on
// floating point that follows waits for the one before it.

// vectorUnit says whether this processor has what the kernels here need.
func vectorUnit() bool { return archsimd.X86.AVX2() && archsimd.X86.FMA() }

// dotVector is dotPlain with AVX2 and fused multiply-adds. Every sum is taken in one lane, from the first dimension to
// the last, so that it is the same wherever its vectors stand.
func dotVector(dst []float32, stride int, rows, panel []float32) {
	var c00, c01, c10, c11, c20, c21, c30, c31 archsimd.Float32x8
	for len(rows) >= rowGroup && len(panel) >= panelWidth {
		b0 := archsimd.LoadFloat32x8((*[8]float32)(panel))
		b1 := archsimd.LoadFloat32x8((*[8]float32)(panel[8:]))
		a := archsimd.BroadcastFloat32x8(rows[0])
		c00, c01 = a.MulAdd(b0, c00), a.MulAdd(b1, c01)
		a = archsimd.BroadcastFloat32x8(rows[1])
		c10, c11 = a.MulAdd(b0, c10), a.MulAdd(b1, c11)
		a = archsimd.BroadcastFloat32x8(rows[2])
		c20, c21 = a.MulAdd(b0, c20), a.MulAdd(b1, c21)
		a = archsimd.BroadcastFloat32x8(rows[3])
		c30, c31 = a.MulAdd(b0, c30), a.MulAdd(b1, c31)
		rows, panel = rows[rowGroup:], panel[panelWidth:]
	}
	c00.StoreSlice(dst)
	c01.StoreSlice(dst[8:])
	c10.StoreSlice(dst[stride:])
	c11.StoreSlice(dst[stride+8:])
	c20.StoreSlice(dst[2*stride:])
	c21.StoreSlice(dst[2*stride+8:])
	c30.StoreSlice(dst[3*stride:])
	c31.StoreSlice(dst[3*stride+8:])
	archsimd.ClearAVXUpperBits()
}

// countVector is countPlain with AVX2: it compares every score with every threshold, four thresholds at a time.
func countVector(counts []int, scores, thresholds []float32) {
	whole := len(scores) &^ 7
	for i := 0; i < len(thresholds); i += 4 {
		// The last group takes the last threshold over again where there are fewer than four.
		at := func(j int) archsimd.Float32x8 {
			return archsimd.BroadcastFloat32x8(thresholds[min(i+j, len(thresholds)-1)])
		}
		t0, t1, t2, t3 := at(0), at(1), at(2), at(3)
		var n0, n1, n2, n3 archsimd.Int32x8
		for s := scores[:whole]; len(s) >= 8; s = s[8:] {
			v := archsimd.LoadFloat32x8((*[8]float32)(s))
			// A lane that holds has all bits set, which is −1.
			n0 = n0.Sub(v.GreaterEqual(t0).ToInt32x8())
			n1 = n1.Sub(v.GreaterEqual(t1).ToInt32x8())
			n2 = n2.Sub(v.GreaterEqual(t2).ToInt32x8())
			n3 = n3.Sub(v.GreaterEqual(t3).ToInt32x8())
		}
		for j, n := range [...]archsimd.Int32x8{n0, n1, n2, n3} {
			if i+j == len(thresholds) {
				break
			}
			var lanes [8]int32
			n.Store(&lanes)
			counts[i+j] = 0
			for _, lane := range lanes {
				counts[i+j] += int(lane)
			}
			for _, s := range scores[whole:] {
				if s >= thresholds[i+j] {
					counts[i+j]++
				}
			}
		}
	}
	archsimd.ClearAVXUpperBits()
}

// codesVector is codesPlain with AVX2: sixteen products at a time, added in pairs, of four vectors in turn. It gives the
// same sums.
func codesVector(dst []int32, query []int16, codes []int8) {
	n := len(query)
	for len(dst) >= 4 && len(codes) >= 4*n {
		q, c0, c1, c2, c3 := query, codes[:n], codes[n:2*n], codes[2*n:3*n], codes[3*n:4*n]
		var s0, s1, s2, s3 archsimd.Int32x8
		for len(q) >= codeWidth && len(c0) >= codeWidth && len(c1) >= codeWidth && len(c2) >= codeWidth && len(c3) >= codeWidth {
			v := archsimd.LoadInt16x16((*[codeWidth]int16)(q))
			s0 = s0.Add(codeProducts(v, c0))
			s1 = s1.Add(codeProducts(v, c1))
			s2 = s2.Add(codeProducts(v, c2))
			s3 = s3.Add(codeProducts(v, c3))
			q, c0, c1, c2, c3 = q[codeWidth:], c0[codeWidth:], c1[codeWidth:], c2[codeWidth:], c3[codeWidth:]
		}
		// Each half of the register has half of all four sums then.
		s := s0.AddPairsGrouped(s1).AddPairsGrouped(s2.AddPairsGrouped(s3))
		s.GetLo().Add(s.GetHi()).Store((*[4]int32)(dst))
		dst, codes = dst[4:], codes[4*n:]
	}
	archsimd.ClearAVXUpperBits()
	codesPlain(dst, query, codes)
}

func codeProducts(query archsimd.Int16x16, code []int8) archsimd.Int32x8 {
	return archsimd.LoadInt8x16((*[codeWidth]int8)(code)).ExtendToInt16().DotProductPairs(query)
}
