package retrieval

import (
	"context"
	"fmt"
	"slices"
)

// Match is one vector found, by its index in the gallery. Score is the cosine, 1 for the same direction.
type Match struct {
	Index int
	Score float32
}

// TopK returns for each query its k nearest vectors of the gallery, nearest first; among equals the one with the lower
// index comes first. With fewer than k vectors in the gallery all are returned.
func TopK(queries, gallery Embeddings, k int) ([][]Match, error) {
	if k <= 0 {
		return nil, fmt.Errorf("top-k search: k is %d, must be at least 1", k)
	}
	if err := checkPair(queries, gallery); err != nil {
		return nil, fmt.Errorf("top-k search: %w", err)
	}
	found := make([][]Match, queries.Len())
	err := forEachQuery(context.Background(), queries, newPanels(gallery), nil, func() func(int, []float32) {
		return func(q int, scores []float32) { found[q] = best(scores, k) }
	})
	return found, err
}

// best inserts into a short sorted list, which beats a heap for the k in use (1 to 100).
func best(scores []float32, k int) []Match {
	list := make([]Match, 0, min(k, len(scores)))
	for i, score := range scores {
		if len(list) == cap(list) {
			if len(list) == 0 || score <= list[len(list)-1].Score {
				continue
			}
			list = list[:len(list)-1]
		}
		at := len(list)
		for at > 0 && list[at-1].Score < score {
			at--
		}
		list = slices.Insert(list, at, Match{Index: i, Score: score})
	}
	return list
}
