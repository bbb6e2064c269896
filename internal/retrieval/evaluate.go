package retrieval

import (
	"context"
	"fmt"
	"slices"
)

// Options says what is measured, and how. The zero value is recall@1 and the means, ranked by cosine.
type Options struct {
	Ks       []int                 // of recall@k, each at least 1; none means 1
	Rerank   *Rerank               // nil: the cosine alone ranks
	Progress func(done, total int) // hears how much of the work is done, one call at a time; may be nil
}

// Figures are means over some queries, each from 0 to 1. R is the number of vectors in the gallery that are of a query's
// class, itself not counted.
type Figures struct {
	Queries      int       // that have something to find
	Recall       []float64 // for each k: the share of queries with a vector of their class among the k nearest
	PrecisionAt1 float64   // the share of queries whose nearest vector is of their class
	RPrecision   float64   // the share of the R nearest that are of the query's class
	MAP          float64   // average precision over the whole ranking: 1/R · Σᵢ i/rᵢ, the right ones being at ranks r₁ < r₂ < …
	MAPAtR       float64   // the same sum over those with rᵢ ≤ R
}

// ClassFigures are the figures of one class's queries.
type ClassFigures struct {
	Label int
	Figures
}

// Evaluation is how well queries find their like in a gallery.
type Evaluation struct {
	Figures
	Ks      []int          // of the Recalls
	Lone    int            // queries left out, as the gallery has nothing of their class
	Gallery int            // vectors that were searched
	Classes []ClassFigures // of the classes that have queries with something to find, by ascending label
}

// Evaluate lets each query rank the gallery, and measures all figures in one pass that holds no matrix of scores.
// ErrNoQuery is returned when there is nothing to find, ctx's error when it is done before the end.
func Evaluate(ctx context.Context, queries Embeddings, queryLabels []int, gallery Embeddings, galleryLabels []int, opt Options) (*Evaluation, error) {
	return search{queries, gallery, queryLabels, galleryLabels, false}.evaluate(ctx, opt)
}

// EvaluateLeaveOneOut is Evaluate with each vector of the set as a query and all the others as its gallery, which is how
// Stanford Online Products is measured.
func EvaluateLeaveOneOut(ctx context.Context, set Embeddings, labels []int, opt Options) (*Evaluation, error) {
	return search{set, set, labels, labels, true}.evaluate(ctx, opt)
}

func (s search) evaluate(ctx context.Context, opt Options) (*Evaluation, error) {
	ks := opt.Ks
	if len(ks) == 0 {
		ks = []int{1}
	}
	if err := checkKs(ks); err != nil {
		return nil, fmt.Errorf("evaluate: %w", err)
	}
	if err := s.check(); err != nil {
		return nil, fmt.Errorf("evaluate: %w", err)
	}
	results, err := s.rankAll(ctx, opt)
	if err != nil {
		return nil, fmt.Errorf("evaluate: %w", err)
	}
	e := &Evaluation{Ks: ks, Gallery: s.gallery.Len(), Figures: Figures{Recall: make([]float64, len(ks))}}
	classes := map[int]*Figures{}
	for q, r := range results {
		if r.relevant == 0 {
			e.Lone++
			continue
		}
		class := classes[s.queryLabels[q]]
		if class == nil {
			class = &Figures{Recall: make([]float64, len(ks))}
			classes[s.queryLabels[q]] = class
		}
		e.add(r, ks)
		class.add(r, ks)
	}
	if e.Queries == 0 {
		return nil, fmt.Errorf("evaluate: %w", ErrNoQuery)
	}
	e.mean()
	for label, f := range classes {
		f.mean()
		e.Classes = append(e.Classes, ClassFigures{label, *f})
	}
	slices.SortFunc(e.Classes, func(a, b ClassFigures) int { return a.Label - b.Label })
	return e, nil
}

// rankAll runs the search, re-ranked where that is asked for. The work is counted in queries ranked.
func (s search) rankAll(ctx context.Context, opt Options) ([]result, error) {
	report := func(before, total int) func(int) {
		if opt.Progress == nil {
			return nil
		}
		return func(done int) { opt.Progress(before+done, total) }
	}
	if opt.Rerank == nil {
		return s.run(ctx, report(0, s.queries.Len()), nil)
	}
	union := s.queries.Len()
	if !s.leaveOneOut {
		union += s.gallery.Len()
	}
	total := union + s.queries.Len()
	r, err := newReranker(ctx, *opt.Rerank, s, report(0, total))
	if err != nil {
		return nil, err
	}
	return s.run(ctx, report(union, total), r.scorer)
}

// add counts one query. mean turns the sums into means.
func (f *Figures) add(r result, ks []int) {
	f.Queries++
	for i, k := range ks {
		if r.firstRank <= k {
			f.Recall[i]++
		}
	}
	if r.firstRank == 1 {
		f.PrecisionAt1++
	}
	f.RPrecision += float64(r.hits) / float64(r.relevant)
	f.MAP += r.averagePrecision
	f.MAPAtR += r.precisionAtR
}

func (f *Figures) mean() {
	n := float64(f.Queries)
	for i := range f.Recall {
		f.Recall[i] /= n
	}
	f.PrecisionAt1 /= n
	f.RPrecision /= n
	f.MAP /= n
	f.MAPAtR /= n
}

func checkKs(ks []int) error {
	for _, k := range ks {
		if k <= 0 {
			return fmt.Errorf("recall@k: k is %d, must be at least 1", k)
		}
	}
	return nil
}
