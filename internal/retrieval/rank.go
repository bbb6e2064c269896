package retrieval

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
)

// search is one measurement. With leaveOneOut queries and gallery are the same set and no vector finds itself.
type search struct {
	queries, gallery           Embeddings
	queryLabels, galleryLabels []int
	leaveOneOut                bool
}

// result is what one query found.
type result struct {
	relevant         int // vectors of the query's class in the gallery, R below
	firstRank        int // of the first of them, from 1
	hits             int // of them among the first R
	averagePrecision float64
	precisionAtR     float64 // average precision at R
}

func (s search) check() error {
	if err := checkPair(s.queries, s.gallery); err != nil {
		return err
	}
	if len(s.queryLabels) != s.queries.Len() || len(s.galleryLabels) != s.gallery.Len() {
		return fmt.Errorf("%d labels for %d queries, %d labels for a gallery of %d",
			len(s.queryLabels), s.queries.Len(), len(s.galleryLabels), s.gallery.Len())
	}
	return nil
}

// run ranks the gallery for every query. rescore, where given, changes a query's scores before they are ranked; each
// worker makes one of its own.
func (s search) run(ctx context.Context, progress func(int), rescore scorer) ([]result, error) {
	if err := s.check(); err != nil {
		return nil, err
	}
	members := map[int][]int{}
	for g, label := range s.galleryLabels {
		members[label] = append(members[label], g)
	}
	results := make([]result, s.queries.Len())
	err := forEachQuery(ctx, s.queries, newPanels(s.gallery), progress, func() func(int, []float32) {
		change := func(int, []float32) {}
		if rescore != nil {
			change = rescore()
		}
		var r ranker
		return func(q int, scores []float32) {
			change(q, scores)
			if s.leaveOneOut {
				scores[q] = float32(math.Inf(-1)) // behind all others, where it pushes nothing down
			}
			results[q] = r.rank(scores, members[s.queryLabels[q]], q, s.leaveOneOut)
		}
	})
	return results, err
}

// ranker keeps the room that a worker needs from query to query.
type ranker struct {
	right []float32 // scores of the query's own class, descending
	count []int     // of all scores that are not lower, for each of them
}

// rank needs no sorting of the gallery: a right vector's rank is the number of wrong ones that score at least as much,
// and of right ones up to and including it.
func (r *ranker) rank(scores []float32, members []int, self int, leaveOneOut bool) result {
	r.right = r.right[:0]
	for _, g := range members {
		if !leaveOneOut || g != self {
			r.right = append(r.right, scores[g])
		}
	}
	n := len(r.right)
	if n == 0 {
		return result{}
	}
	slices.SortFunc(r.right, func(a, b float32) int { return cmp.Compare(b, a) })
	r.count = slices.Grow(r.count[:0], n)[:n]
	if vectorUnit() && n <= fewThresholds {
		countVector(r.count, scores, r.right)
	} else {
		countPlain(r.count, scores, r.right)
	}
	res := result{relevant: n}
	rightNotLower := 0 // right scores that are at least r.right[i]
	for i, score := range r.right {
		for rightNotLower < n && r.right[rightNotLower] >= score {
			rightNotLower++
		}
		rank := r.count[i] - rightNotLower + i + 1
		if i == 0 {
			res.firstRank = rank
		}
		precision := float64(i+1) / float64(rank)
		res.averagePrecision += precision
		if rank <= n {
			res.hits++
			res.precisionAtR += precision
		}
	}
	res.averagePrecision /= float64(n)
	res.precisionAtR /= float64(n)
	return res
}
