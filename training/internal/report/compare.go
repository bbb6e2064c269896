package report

import (
	"cmp"
	"context"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"xbmedge/internal/retrieval"
)

// comparison is what one pass of queries over the gallery finds.
type comparison struct {
	in      *Input
	found   []finding
	same    *histogram // cosines of queries and gallery of one class
	other   *histogram // and of different classes
	skipped int        // queries without a photo of their class to find, which are not among the found
}

// finding is what one query finds.
type finding struct {
	query            int // index into the queries
	firstRank        int // of the first photo of its class, from 1
	averagePrecision float64
	bestRight        float32 // cosine of the nearest photo of its class
	bestWrong        float32 // and of the nearest of another; -1 where there is none
	nearest          []near  // neighbours, nearest first
}

// near is a photo of the gallery and its cosine with the query.
type near struct {
	index  int
	right  bool // of the query's class
	cosine float32
}

// margin is how much nearer the nearest wrong photo is than the nearest right one: above 0 where the answer is wrong.
func (f *finding) margin() float32 { return f.bestWrong - f.bestRight }

// together queries share each pass over the gallery, which is too large for the processor's cache.
const together = 4

// compare searches for these queries in the gallery, on all processors. It holds the cosines of a few queries at once,
// never a matrix of all. Among equal cosines the wrong ones rank first, as package retrieval has it. Once ctx is done it
// stops, and what it returns is of no use.
func compare(ctx context.Context, in *Input, queries []int) *comparison {
	results := make([]*finding, len(queries))
	same, other := &histogram{}, &histogram{}
	var taken atomic.Int64
	var mu sync.Mutex
	var group sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), (len(queries)+together-1)/together) {
		group.Go(func() {
			s := &searcher{in: in}
			for {
				first := int(taken.Add(1)-1) * together
				if first >= len(queries) || ctx.Err() != nil {
					break
				}
				last := min(first+together, len(queries))
				copy(results[first:last], s.search(queries[first:last]))
			}
			mu.Lock()
			defer mu.Unlock()
			same.add(&s.same)
			other.add(&s.other)
		})
	}
	group.Wait()
	c := &comparison{in: in, same: same, other: other}
	for _, f := range results {
		if f == nil {
			c.skipped++
			continue
		}
		c.found = append(c.found, *f)
	}
	return c
}

// searcher is one goroutine's part of compare, with memory that is used again.
type searcher struct {
	in          *Input
	same, other histogram
	cosines     [together][]float32
	right       []float32
	before      []int
}

// search returns what each query finds, nil for one without a right answer.
func (s *searcher) search(queries []int) []*finding {
	g := &s.in.Gallery
	for k := range queries {
		s.cosines[k] = slices.Grow(s.cosines[k][:0], g.Len())[:g.Len()]
	}
	for i := range g.Len() {
		row := g.Row(i)
		for k, q := range queries {
			s.cosines[k][i] = retrieval.Dot(s.in.Queries.Row(q), row)
		}
	}
	found := make([]*finding, len(queries))
	for k, q := range queries {
		found[k] = s.rank(q, s.cosines[k])
	}
	return found
}

// rank needs no sorting of the whole gallery: with the cosines of the query's own class in descending order, a wrong
// one pushes down exactly those that are not greater.
func (s *searcher) rank(q int, cosines []float32) *finding {
	label := s.in.Queries.Labels[q]
	s.right = s.right[:0]
	f := &finding{query: q, bestWrong: -1}
	for i, c := range cosines {
		n := near{index: i, right: s.in.Gallery.Labels[i] == label, cosine: c}
		switch {
		case s.in.LeaveOneOut && i == q:
			continue
		case n.right:
			s.right = append(s.right, c)
			s.same.count(c)
		default:
			f.bestWrong = max(f.bestWrong, c)
			s.other.count(c)
		}
		f.keep(n)
	}
	if len(s.right) == 0 {
		return nil
	}
	slices.SortFunc(s.right, func(a, b float32) int { return cmp.Compare(b, a) })
	// before[i] counts the wrong ones that push down right[i] and all after it, but not right[i-1].
	s.before = append(s.before[:0], make([]int, len(s.right))...)
	lowest := s.right[len(s.right)-1]
	for i, c := range cosines {
		if c < lowest || s.in.Gallery.Labels[i] == label {
			continue
		}
		at, _ := slices.BinarySearchFunc(s.right, c, func(r, c float32) int {
			if r > c {
				return -1
			}
			return 1
		})
		s.before[at]++
	}
	wrong := 0
	for i, n := range s.before {
		wrong += n
		f.averagePrecision += float64(i+1) / float64(i+1+wrong)
	}
	f.averagePrecision /= float64(len(s.right))
	f.firstRank, f.bestRight = s.before[0]+1, s.right[0]
	return f
}

// keep puts n into its place among the nearest, if it has one.
func (f *finding) keep(n near) {
	if len(f.nearest) == neighbours {
		if !n.before(f.nearest[neighbours-1]) {
			return
		}
		f.nearest = f.nearest[:neighbours-1]
	}
	at := len(f.nearest)
	for at > 0 && n.before(f.nearest[at-1]) {
		at--
	}
	f.nearest = slices.Insert(f.nearest, at, n)
}

func (n near) before(m near) bool {
	return n.cosine > m.cosine || n.cosine == m.cosine && !n.right && m.right
}
