package retrieval

import (
	"cmp"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
)

// search is one measurement. With leaveOneOut queries and gallery are the same set and no vector finds itself.
type search struct {
	queries, gallery           Embeddings
	queryLabels, galleryLabels []int
	leaveOneOut                bool
}

// result is what one query found.
type result struct {
	relevant         int // vectors of the query's class in the gallery
	firstRank        int // of the first of them, from 1
	averagePrecision float64
}

func (s search) run() ([]result, error) {
	if err := checkPair(s.queries, s.gallery); err != nil {
		return nil, err
	}
	if len(s.queryLabels) != s.queries.Len() || len(s.galleryLabels) != s.gallery.Len() {
		return nil, fmt.Errorf("%d labels for %d queries, %d labels for a gallery of %d",
			len(s.queryLabels), s.queries.Len(), len(s.galleryLabels), s.gallery.Len())
	}
	results := make([]result, s.queries.Len())
	forEachQuery(s.queries, s.gallery, func() func(int, []float32) {
		var right []float32 // scores of the query's own class; each worker has its own
		var before []int
		return func(q int, scores []float32) {
			results[q], right, before = s.rank(q, scores, right[:0], before[:0])
		}
	})
	return results, nil
}

// rank needs no sorting of the whole gallery: with the right scores in descending order, a wrong one pushes down
// exactly those that are not greater.
func (s search) rank(q int, scores, right []float32, before []int) (result, []float32, []int) {
	label := s.queryLabels[q]
	for g, score := range scores {
		if s.galleryLabels[g] == label && (!s.leaveOneOut || g != q) {
			right = append(right, score)
		}
	}
	if len(right) == 0 {
		return result{}, right, before
	}
	slices.SortFunc(right, func(a, b float32) int { return cmp.Compare(b, a) })
	// before[i] counts the wrong scores that push down right[i] and all after it, but not right[i-1].
	before = append(before, make([]int, len(right)+1)...)
	for g, score := range scores {
		if s.galleryLabels[g] == label {
			continue
		}
		i, _ := slices.BinarySearchFunc(right, score, func(r, target float32) int {
			if r > target {
				return -1
			}
			return 1
		})
		before[i]++
	}
	r := result{relevant: len(right), firstRank: before[0] + 1}
	wrong := 0
	for i := range right {
		wrong += before[i]
		r.averagePrecision += float64(i+1) / float64(i+1+wrong)
	}
	r.averagePrecision /= float64(len(right))
	return r, right, before
}

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
	forEachQuery(queries, gallery, func() func(int, []float32) {
		return func(q int, scores []float32) { found[q] = best(scores, k) }
	})
	return found, nil
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

// queryBlock × galleryBlock vectors of 128 dimensions are 48 KiB: both blocks stay in the first-level or second-level cache.
const (
	queryBlock   = 32
	galleryBlock = 64
)

// forEachQuery computes the scores of every query against the whole gallery, block by block on all processors, and
// hands them to a function that newWorker makes for each goroutine. The scores are valid during the call.
func forEachQuery(queries, gallery Embeddings, newWorker func() func(q int, scores []float32)) {
	n, m := queries.Len(), gallery.Len()
	blocks := (n + queryBlock - 1) / queryBlock
	var taken atomic.Int64
	var group sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), blocks) {
		group.Go(func() {
			use := newWorker()
			scores := make([]float32, queryBlock*m)
			for {
				first := int(taken.Add(1)-1) * queryBlock
				if first >= n {
					return
				}
				last := min(first+queryBlock, n)
				for from := 0; from < m; from += galleryBlock {
					to := min(from+galleryBlock, m)
					for q := first; q < last; q++ {
						dots(scores[(q-first)*m+from:(q-first)*m+to], queries.Row(q), gallery, from)
					}
				}
				for q := first; q < last; q++ {
					use(q, scores[(q-first)*m:(q-first+1)*m])
				}
			}
		})
	}
	group.Wait()
}

// dots fills dst with the dot products of v and the gallery's vectors from number first on. Four at a time keep the
// adders busy; each sum is taken in the same order wherever its vector stands, so that equal vectors score equal.
func dots(dst, v []float32, gallery Embeddings, first int) {
	i := 0
	for ; i+4 <= len(dst); i += 4 {
		a, b := gallery.Row(first + i)[:len(v)], gallery.Row(first + i + 1)[:len(v)]
		c, d := gallery.Row(first + i + 2)[:len(v)], gallery.Row(first + i + 3)[:len(v)]
		var sa, sb, sc, sd float32
		for j, x := range v {
			sa += x * a[j]
			sb += x * b[j]
			sc += x * c[j]
			sd += x * d[j]
		}
		dst[i], dst[i+1], dst[i+2], dst[i+3] = sa, sb, sc, sd
	}
	for ; i < len(dst); i++ {
		a := gallery.Row(first + i)[:len(v)]
		var s float32
		for j, x := range v {
			s += x * a[j]
		}
		dst[i] = s
	}
}
