package retrieval

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
)

// queryBlock queries are compared with a panel of the gallery while it is in the first-level cache.
const queryBlock = 32

// panels is a gallery, laid out for dotPlain and dotVector: panel p is [dim][panelWidth], filled up with zeros.
type panels struct {
	dim, n int
	data   []float32
}

func newPanels(gallery Embeddings) panels {
	p := panels{dim: gallery.Dim, n: gallery.Len()}
	count := (p.n + panelWidth - 1) / panelWidth
	p.data = make([]float32, count*panelWidth*p.dim)
	for i := range p.n {
		panel := p.data[i/panelWidth*panelWidth*p.dim:]
		for d, v := range gallery.Row(i) {
			panel[d*panelWidth+i%panelWidth] = v
		}
	}
	return p
}

// scorer makes a worker's function: it is handed a query's number and its scores against the whole gallery, which it
// may change and which are valid during the call.
type scorer func() func(q int, scores []float32)

// forEachQuery computes the scores of every query against the whole gallery on all processors. It holds queryBlock
// queries' scores for each of them. progress, where given, hears how many queries are done, one call at a time. The
// error is ctx's.
func forEachQuery(ctx context.Context, queries Embeddings, gallery panels, progress func(done int), newWorker scorer) error {
	n := queries.Len()
	blocks := (n + queryBlock - 1) / queryBlock
	dot := dotPlain
	if vectorUnit() {
		dot = dotVector
	}
	stride := (gallery.n + panelWidth - 1) / panelWidth * panelWidth
	var taken atomic.Int64
	var reporting sync.Mutex
	done := 0
	var group sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), blocks) {
		group.Go(func() {
			use := newWorker()
			scores := make([]float32, queryBlock*stride)
			rows := make([]float32, queryBlock*queries.Dim)
			for ctx.Err() == nil {
				first := int(taken.Add(1)-1) * queryBlock
				if first >= n {
					return
				}
				last := min(first+queryBlock, n)
				interleave(rows, queries, first, last)
				for g := 0; g < gallery.n; g += panelWidth {
					panel := gallery.data[g*gallery.dim : (g+panelWidth)*gallery.dim]
					for r := 0; r < last-first; r += rowGroup {
						dot(scores[r*stride+g:], stride, rows[r*queries.Dim:(r+rowGroup)*queries.Dim], panel)
					}
				}
				for q := first; q < last; q++ {
					use(q, scores[(q-first)*stride:(q-first)*stride+gallery.n])
				}
				if progress != nil {
					reporting.Lock()
					done += last - first
					progress(done)
					reporting.Unlock()
				}
			}
		})
	}
	group.Wait()
	return ctx.Err()
}

// interleave lays out queries first…last-1 in groups of [dim][rowGroup]. What is left over of the last group stays as
// it was: the scores that come of it are not looked at.
func interleave(rows []float32, queries Embeddings, first, last int) {
	for q := first; q < last; q++ {
		r := q - first
		group := rows[r/rowGroup*rowGroup*queries.Dim:]
		for d, v := range queries.Row(q) {
			group[d*rowGroup+r%rowGroup] = v
		}
	}
}
