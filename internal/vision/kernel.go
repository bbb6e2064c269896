package vision

// The two inner loops of Preprocessor as any processor runs them. kernel_simd.go has them in vector instructions, and
// gives the same bytes.

// rowPlain filters one row of RGB pixels along its length.
func rowPlain(k *filter, dst, src []byte) { rowFrom(k, dst, src, 0) }

// rowFrom does what rowPlain does, for the output positions from first on.
func rowFrom(k *filter, dst, src []byte, first int) {
	for i := first; i < k.outSize; i++ {
		at, weights := k.taps(i)
		px := src[3*at : 3*(at+len(weights))]
		r, g, b := int32(half), int32(half), int32(half)
		for _, w := range weights {
			p := px[:3:3]
			r += w * int32(p[0])
			g += w * int32(p[1])
			b += w * int32(p[2])
			px = px[3:]
		}
		d := dst[3*i : 3*i+3 : 3*i+3]
		d[0], d[1], d[2] = pixel(r), pixel(g), pixel(b)
	}
}

// columnPlain makes one output row: the sum of len(weights) rows, which lie one after another in rows, each of len(out)
// bytes. sums is scratch of the same length.
func columnPlain(out, rows []byte, weights, sums []int32) {
	n := len(out)
	row := func(i int) []byte { return rows[i*n : (i+1)*n : (i+1)*n] }
	if len(weights) <= 4 {
		// Up to a reduction of 1.5 or so; fewer rows are filled up with weights of nought.
		var k [4]int32
		copy(k[:], weights)
		last := len(weights) - 1
		combine4(out, row(0), row(min(1, last)), row(min(2, last)), row(min(3, last)), k)
		return
	}
	for i := range sums {
		sums[i] = half
	}
	i := 0
	for ; i+2 <= len(weights); i += 2 {
		add2(sums, row(i), row(i+1), weights[i], weights[i+1])
	}
	if i < len(weights) {
		add2(sums, row(i), row(i), weights[i], 0)
	}
	for i, s := range sums {
		out[i] = pixel(s)
	}
}

func combine4(out, a, b, c, d []byte, k [4]int32) {
	n := len(out)
	a, b, c, d = a[:n], b[:n], c[:n], d[:n]
	k0, k1, k2, k3 := k[0], k[1], k[2], k[3]
	for i := range out {
		out[i] = pixel(half + k0*int32(a[i]) + k1*int32(b[i]) + k2*int32(c[i]) + k3*int32(d[i]))
	}
}

func add2(sums []int32, a, b []byte, k0, k1 int32) {
	n := len(sums)
	a, b = a[:n], b[:n]
	for i := range sums {
		sums[i] += k0*int32(a[i]) + k1*int32(b[i])
	}
}
