package retrieval

// The two inner loops of every measure, as any processor runs them. kernel_simd.go has them in vector instructions.

const (
	panelWidth = 16 // gallery vectors whose values of one dimension lie side by side
	rowGroup   = 4  // queries whose values of one dimension lie side by side
)

// dotPlain fills dst[r*stride+l] with the dot product of row r (of rowGroup) and gallery vector l (of panelWidth). rows
// is [Dim][rowGroup], panel is [Dim][panelWidth]. Four sums at a time stay in registers.
func dotPlain(dst []float32, stride int, rows, panel []float32) {
	for r := range rowGroup {
		for l := 0; l < panelWidth; l += 4 {
			var s0, s1, s2, s3 float32
			at := l
			for i := r; i < len(rows); i += rowGroup {
				x, y := rows[i], (*[4]float32)(panel[at:])
				s0 += x * y[0]
				s1 += x * y[1]
				s2 += x * y[2]
				s3 += x * y[3]
				at += panelWidth
			}
			sums := dst[r*stride+l:]
			sums[0], sums[1], sums[2], sums[3] = s0, s1, s2, s3
		}
	}
}

// fewThresholds is how many countVector takes for less time than one search of each score among them.
const fewThresholds = 96

// countPlain sets counts[i] to the number of scores that are at least thresholds[i]. The thresholds descend.
func countPlain(counts []int, scores, thresholds []float32) {
	clear(counts)
	for _, s := range scores {
		// The first threshold that s reaches, found without a branch to mispredict.
		first, n := 0, len(thresholds)
		for n > 0 {
			half := (n + 1) / 2
			if thresholds[first+half-1] > s {
				first += half
			}
			n -= half
		}
		if first < len(counts) {
			counts[first]++
		}
	}
	for i := 1; i < len(counts); i++ {
		counts[i] += counts[i-1]
	}
}

// CodeProducts fills dst with the inner products of a query's code and those of vectors that lie one after another. A code
// has len(query) values, a multiple of 16; the sums must stay within 32 bits.
func CodeProducts(dst []int32, query []int16, codes []int8) {
	if vectorUnit() {
		codesVector(dst, query, codes)
	} else {
		codesPlain(dst, query, codes)
	}
}

// codesPlain fills dst with the inner products of a query's code and those of vectors that lie one after another. A code
// has len(query) values.
func codesPlain(dst []int32, query []int16, codes []int8) {
	for i := range dst {
		row := codes[i*len(query) : (i+1)*len(query)]
		var s0, s1, s2, s3 int32
		for j := 0; j+4 <= len(query); j += 4 {
			q, c := (*[4]int16)(query[j:]), (*[4]int8)(row[j:])
			s0 += int32(q[0]) * int32(c[0])
			s1 += int32(q[1]) * int32(c[1])
			s2 += int32(q[2]) * int32(c[2])
			s3 += int32(q[3]) * int32(c[3])
		}
		dst[i] = s0 + s1 + s2 + s3
	}
}
