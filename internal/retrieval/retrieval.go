// Package retrieval searches embeddings and measures how well they find their like: recall@k, mean average precision
// and top-k search by cosine.
//
// Embeddings are L2-normalised by whoever makes them, so that a dot product is the cosine. In the two measures a query
// whose class does not occur in the gallery (in leave-one-out: the only one of its class) has no right answer and is
// left out of the mean, as in pytorch-metric-learning's AccuracyCalculator. Among equal scores the wrong ones rank
// first: embeddings that have collapsed to one point score worst, not by luck of their order.
//
// All functions use every processor, keep nothing, change nothing and may be called concurrently. Results do not
// depend on the number of processors.
package retrieval

import (
	"context"
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

// RecallAtK returns, for each k, the share of queries that have at least one vector of their own class among the k
// nearest in the gallery. (This is the recall@k of the metric learning literature, Stanford Online Products among it.)
func RecallAtK(queries Embeddings, queryLabels []int, gallery Embeddings, galleryLabels []int, ks ...int) ([]float64, error) {
	return recall(search{queries, gallery, queryLabels, galleryLabels, false}, ks)
}

// RecallAtKLeaveOneOut is RecallAtK with each vector of the set as a query and all the others as its gallery.
func RecallAtKLeaveOneOut(set Embeddings, labels []int, ks ...int) ([]float64, error) {
	return recall(search{set, set, labels, labels, true}, ks)
}

// MeanAveragePrecision returns the mean over the queries of the average precision of the full ranking of the gallery:
// with R vectors of the query's class at ranks r₁ < r₂ < …, AP = 1/R · Σᵢ i/rᵢ. (Not mAP@R, which looks only at the
// first R ranks.)
func MeanAveragePrecision(queries Embeddings, queryLabels []int, gallery Embeddings, galleryLabels []int) (float64, error) {
	return precision(search{queries, gallery, queryLabels, galleryLabels, false})
}

// MeanAveragePrecisionLeaveOneOut is MeanAveragePrecision with each vector of the set as a query and all the others as
// its gallery.
func MeanAveragePrecisionLeaveOneOut(set Embeddings, labels []int) (float64, error) {
	return precision(search{set, set, labels, labels, true})
}

func recall(s search, ks []int) ([]float64, error) {
	if err := checkKs(ks); err != nil {
		return nil, err
	}
	e, err := s.evaluate(context.Background(), Options{Ks: ks})
	if err != nil {
		return nil, err
	}
	return e.Recall, nil
}

func precision(s search) (float64, error) {
	e, err := s.evaluate(context.Background(), Options{})
	if err != nil {
		return 0, err
	}
	return e.MAP, nil
}

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
