package report

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"xbmedge/internal/photos"
	"xbmedge/internal/retrieval"
)

// Result is what Measure found. A nil figure could not be measured: recall needs two photos of a class, the int8
// figures an int8 model.
type Result struct {
	Queries        int      `json:"queries"`
	Gallery        int      `json:"gallery"`
	Skipped        int      `json:"skipped"` // photos that could not be read
	LeaveOneOut    bool     `json:"leave_one_out"`
	RecallAt1Float *float64 `json:"recall_at_1_float"`
	RecallAt1Int8  *float64 `json:"recall_at_1_int8"`
	RecallAt5Float *float64 `json:"recall_at_5_float"`
	RecallAt5Int8  *float64 `json:"recall_at_5_int8"`
	MAPFloat       *float64 `json:"map_float"`
	MAPInt8        *float64 `json:"map_int8"`

	CosineMean *float64  `json:"cosine_mean"` // between the two models' embeddings of a query
	CosineP1   *float64  `json:"cosine_p1"`   // exceeded by 99 of 100 queries
	CosineMin  *float64  `json:"cosine_min"`
	Cosines    *Spread   `json:"cosine_histogram,omitempty"`
	Neighbours *Shift    `json:"neighbours,omitempty"`
	Pairs      *PairsAt  `json:"pairs,omitempty"`
	Worst      []Drifted `json:"worst,omitempty"` // the queries of the lowest cosines, the lowest first

	SkippedMessages []string `json:"-"` // one for each skipped photo, naming it
}

// Spread counts values in bins of equal width; the last bin holds To as well.
type Spread struct {
	From   float64 `json:"from"`
	To     float64 `json:"to"`
	Counts []int   `json:"counts"`
}

// Measure embeds the photos with both models and compares them. With queries they are searched in the gallery; without
// any, each photo of the gallery is searched among the others. int8Model may be nil.
func Measure(ctx context.Context, floatModel, int8Model []byte, gallery, queries []photos.Photo) (*Result, error) {
	models := [][]byte{floatModel}
	if int8Model != nil {
		models = append(models, int8Model)
	}
	all := slices.Concat(gallery, queries)
	vectors, skipped, err := embedAll(ctx, models, all)
	if err != nil {
		return nil, fmt.Errorf("measure: %w", err)
	}
	r := &Result{Skipped: len(skipped), SkippedMessages: skipped, LeaveOneOut: len(queries) == 0}
	sets := make([]split, len(models))
	for m := range models {
		sets[m] = divide(vectors[m], all, len(gallery))
	}
	r.Gallery, r.Queries = len(sets[0].galleryLabels), len(sets[0].queryLabels)
	switch {
	case len(gallery) > 0 && r.Gallery == 0:
		return nil, fmt.Errorf("measure: none of the %d photos to search in can be read", len(gallery))
	case len(queries) > 0 && r.Queries == 0:
		return nil, fmt.Errorf("measure: none of the %d photos to search for can be read", len(queries))
	case len(queries) == 0:
		r.Queries = r.Gallery
	}
	if err := r.compare(ctx, sets); err != nil {
		return nil, fmt.Errorf("measure: %w", err)
	}
	return r, nil
}

// compare takes the embeddings of the float model and, where there is one, of the int8 model.
func (r *Result) compare(ctx context.Context, sets []split) error {
	found, err := sets[0].evaluate(ctx)
	if err != nil {
		return err
	}
	if found != nil {
		r.RecallAt1Float, r.RecallAt5Float, r.MAPFloat = &found.PrecisionAt1, &found.Recall[1], &found.MAP
	}
	if len(sets) == 1 || r.Queries == 0 {
		return nil
	}
	if found, err = sets[1].evaluate(ctx); err != nil {
		return err
	}
	if found != nil {
		r.RecallAt1Int8, r.RecallAt5Int8, r.MAPInt8 = &found.PrecisionAt1, &found.Recall[1], &found.MAP
	}
	cosines := r.cosines(sets[0].compared(), sets[1].compared())
	if r.Pairs, err = pairsAt(ctx, &sets[0], &sets[1]); err != nil {
		return err
	}
	return r.drift(&sets[0], &sets[1], cosines) //nolint:contextcheck // the search for neighbours takes none
}

// cosines compares the embeddings of the same photos by two models, and returns what it compared.
func (r *Result) cosines(a, b retrieval.Embeddings) []float64 {
	cosines := make([]float64, a.Len())
	mean := 0.0
	for i := range cosines {
		for k, v := range a.Row(i) {
			cosines[i] += float64(v) * float64(b.Row(i)[k])
		}
		mean += cosines[i] / float64(len(cosines))
	}
	sorted := slices.Sorted(slices.Values(cosines))
	p1, low := sorted[len(sorted)/100], sorted[0]
	r.CosineMean, r.CosineP1, r.CosineMin = &mean, &p1, &low
	r.Cosines = spread(sorted, 40)
	return cosines
}

// spread counts sorted cosines in that many bins, from the lowest to 1.
func spread(sorted []float64, bins int) *Spread {
	s := &Spread{From: min(sorted[0], 1-1e-4), To: 1, Counts: make([]int, bins)}
	for _, v := range sorted {
		k := int((v - s.From) / (s.To - s.From) * float64(bins))
		s.Counts[min(max(k, 0), bins-1)]++
	}
	return s
}

// split is one model's embeddings of the photos that could be read.
type split struct {
	gallery, queries             retrieval.Embeddings
	galleryLabels, queryLabels   []int
	galleryPhotos, queriesPhotos []photos.Photo
}

// divide separates the gallery, which comes first, from the queries and leaves out photos without a vector.
func divide(vectors [][]float32, all []photos.Photo, gallery int) split {
	var s split
	classes := map[string]int{}
	for i, v := range vectors {
		if v == nil {
			continue
		}
		label, ok := classes[all[i].Class]
		if !ok {
			label = len(classes)
			classes[all[i].Class] = label
		}
		if i < gallery {
			s.gallery.Dim = len(v)
			s.gallery.Data = append(s.gallery.Data, v...)
			s.galleryLabels = append(s.galleryLabels, label)
			s.galleryPhotos = append(s.galleryPhotos, all[i])
		} else {
			s.queries.Dim = len(v)
			s.queries.Data = append(s.queries.Data, v...)
			s.queryLabels = append(s.queryLabels, label)
			s.queriesPhotos = append(s.queriesPhotos, all[i])
		}
	}
	return s
}

func (s *split) leaveOneOut() bool { return s.queries.Len() == 0 }

// compared are the embeddings that both models are compared on: those that are searched for.
func (s *split) compared() retrieval.Embeddings {
	if s.leaveOneOut() {
		return s.gallery
	}
	return s.queries
}

func (s *split) labels() []int {
	if s.leaveOneOut() {
		return s.galleryLabels
	}
	return s.queryLabels
}

func (s *split) photos() []photos.Photo {
	if s.leaveOneOut() {
		return s.galleryPhotos
	}
	return s.queriesPhotos
}

// evaluate measures recall@1 and @5 and mAP, or returns nil where no query has a photo of its class to find.
func (s *split) evaluate(ctx context.Context) (*retrieval.Evaluation, error) {
	opt := retrieval.Options{Ks: []int{1, 5}}
	var found *retrieval.Evaluation
	var err error
	switch {
	case s.gallery.Len() == 0:
		return nil, nil //nolint:nilnil // nil is "not measured"
	case s.leaveOneOut():
		found, err = retrieval.EvaluateLeaveOneOut(ctx, s.gallery, s.galleryLabels, opt)
	default:
		found, err = retrieval.Evaluate(ctx, s.queries, s.queryLabels, s.gallery, s.galleryLabels, opt)
	}
	if errors.Is(err, retrieval.ErrNoQuery) {
		return nil, nil //nolint:nilnil // nil is "not measured"
	}
	return found, err
}
