package report

// histogram counts cosines in bins of binWidth from -1 to 1.
type histogram struct {
	bins  [binCount]int
	total int
}

const (
	binCount = 4000
	binWidth = 2.0 / binCount
)

func bin(cosine float32) int {
	return min(max(int((float64(cosine)+1)/binWidth), 0), binCount-1)
}

// binStart is the lowest cosine of a bin.
func binStart(i int) float64 { return float64(i)*binWidth - 1 }

func (h *histogram) count(cosine float32) {
	h.bins[bin(cosine)]++
	h.total++
}

func (h *histogram) add(other *histogram) {
	for i, n := range other.bins {
		h.bins[i] += n
	}
	h.total += other.total
}

// bounds returns the first and the last bin that hold anything in either histogram.
func bounds(a, b *histogram) (first, last int) {
	first, last = binCount-1, 0
	for i := range binCount {
		if a.bins[i]+b.bins[i] > 0 {
			first, last = min(first, i), max(last, i)
		}
	}
	return first, last
}

// above returns the share that lies in that bin or above.
func (h *histogram) above(i int) float64 {
	n := 0
	for _, c := range h.bins[min(i, binCount):] {
		n += c
	}
	return share(n, h.total)
}

// threshold is a cosine at which few pairs of different classes are taken for the same.
type threshold struct {
	falseAccepts float64 // share of different-class pairs that may lie at the cosine or above
	cosine       float64 // the lowest such cosine, a multiple of binWidth
	accepted     float64 // share of same-class pairs there
}

// threshold finds the lowest cosine at which at most that share of other lies at or above it, and how much of same
// does. With fewer pairs than the share can tell apart it returns false.
func thresholdAt(same, other *histogram, falseAccepts float64) (threshold, bool) {
	if float64(other.total)*falseAccepts < 1 {
		return threshold{}, false
	}
	allowed := int(falseAccepts * float64(other.total))
	at, n := binCount, 0
	for at > 0 && n+other.bins[at-1] <= allowed {
		at--
		n += other.bins[at]
	}
	return threshold{falseAccepts: falseAccepts, cosine: binStart(at), accepted: same.above(at)}, true
}

func share(n, of int) float64 {
	if of == 0 {
		return 0
	}
	return float64(n) / float64(of)
}
