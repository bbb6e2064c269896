// Package retrieval searches embeddings and measures how well they find their like: recall@k, mean average precision,
// mAP@R, R-precision, k-reciprocal re-ranking, and top-k search by cosine.
//
// Embeddings are L2-normalised by whoever makes them, so that a dot product is the cosine. In the measures a query
// whose class does not occur in the gallery (in leave-one-out: the only one of its class) has no right answer and is
// left out of the means. Among equal scores the wrong ones rank first: embeddings that have collapsed to one point
// score worst, not by luck of their order. But for such ties the measures are those of pytorch-metric-learning's
// AccuracyCalculator with its k=None, where mean_average_precision, too, takes the whole ranking (with a k it divides
// what it finds among the k nearest by all there is to find).
//
// All functions use every processor, keep nothing, change nothing and may be called concurrently. Results do not
// depend on the number of processors. They do, in the last bits of a score, on whether the program was built with
// GOEXPERIMENT=simd and the processor has AVX2 and FMA.
package retrieval

import (
	"errors"
	"fmt"
	"math"
)

// Embeddings are vectors of one length, one after another: Data is [n][Dim] in row-major order.
type Embeddings struct {
	Dim  int
	Data []float32
}

// Len returns the number of vectors.
func (e Embeddings) Len() int {
	if e.Dim <= 0 {
		return 0
	}
	return len(e.Data) / e.Dim
}

// Row returns vector i, which is part of Data.
func (e Embeddings) Row(i int) []float32 { return e.Data[i*e.Dim : (i+1)*e.Dim : (i+1)*e.Dim] }

// ErrNoQuery is returned when not one query has a vector of its class to find.
var ErrNoQuery = errors.New("no query has another vector of its class to find")

// check reports embeddings that cannot be compared. A NaN would make every comparison false and so pass unseen.
func check(name string, e Embeddings) error {
	if e.Dim <= 0 || len(e.Data)%e.Dim != 0 {
		return fmt.Errorf("%s: %d values do not make vectors of %d", name, len(e.Data), e.Dim)
	}
	for i, v := range e.Data {
		if math.IsNaN(float64(v)) || math.IsInf(float64(v), 0) {
			return fmt.Errorf("%s: vector %d holds %v; the network that made it is broken", name, i/e.Dim, v)
		}
	}
	return nil
}

func checkPair(queries, gallery Embeddings) error {
	if err := check("queries", queries); err != nil {
		return err
	}
	if err := check("gallery", gallery); err != nil {
		return err
	}
	if queries.Dim != gallery.Dim {
		return fmt.Errorf("queries have %d dimensions, the gallery has %d: they come from different models", queries.Dim, gallery.Dim)
	}
	return nil
}

// Normalize scales v to length 1 in place. A vector of zeros stays as it is.
func Normalize(v []float32) {
	sum := 0.0
	for _, x := range v {
		sum += float64(x) * float64(x)
	}
	if sum == 0 {
		return
	}
	scale := 1 / math.Sqrt(sum)
	for i, x := range v {
		v[i] = float32(float64(x) * scale)
	}
}

// Dot returns the inner product of two slices of the same length. Four sums let the processor overlap the additions.
func Dot[T float32 | float64](a, b []T) T {
	b = b[:len(a)]
	var s0, s1, s2, s3 T
	i := 0
	for ; i+4 <= len(a); i += 4 {
		s0 += a[i] * b[i]
		s1 += a[i+1] * b[i+1]
		s2 += a[i+2] * b[i+2]
		s3 += a[i+3] * b[i+3]
	}
	for ; i < len(a); i++ {
		s0 += a[i] * b[i]
	}
	return s0 + s1 + s2 + s3
}
