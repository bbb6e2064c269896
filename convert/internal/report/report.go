// Package report measures what quantising costs: embeddings of the float and the int8 model side by side, and how well
// each finds photos of the same class.
package report

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"xbmedge/internal/embed"
	"xbmedge/internal/photos"
	"xbmedge/internal/retrieval"
	"xbmedge/internal/vision"
)

// Result is what Measure found. A nil figure could not be measured: recall needs two photos of a class, the int8
// figures an int8 model.
type Result struct {
	Queries         int      `json:"queries"`
	Gallery         int      `json:"gallery"`
	Skipped         int      `json:"skipped"` // photos that could not be read
	RecallAt1Float  *float64 `json:"recall_at_1_float"`
	RecallAt1Int8   *float64 `json:"recall_at_1_int8"`
	CosineMean      *float64 `json:"cosine_mean"` // between the two models' embeddings of a query
	CosineP1        *float64 `json:"cosine_p1"`   // exceeded by 99 of 100 queries
	SkippedMessages []string `json:"-"`           // one for each skipped photo, naming it
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
	r := &Result{Skipped: len(skipped), SkippedMessages: skipped}
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
	if r.RecallAt1Float, err = sets[0].recall(ctx); err != nil {
		return nil, fmt.Errorf("measure: %w", err)
	}
	if int8Model == nil {
		return r, nil
	}
	if r.RecallAt1Int8, err = sets[1].recall(ctx); err != nil {
		return nil, fmt.Errorf("measure: %w", err)
	}
	r.cosines(sets[0].compared(), sets[1].compared())
	return r, nil
}

// cosines compares the embeddings of the same photos by two models.
func (r *Result) cosines(a, b retrieval.Embeddings) {
	n := a.Len()
	if n == 0 {
		return
	}
	cos := make([]float64, n)
	mean := 0.0
	for i := range cos {
		for k, v := range a.Row(i) {
			cos[i] += float64(v) * float64(b.Row(i)[k])
		}
		mean += cos[i] / float64(n)
	}
	slices.Sort(cos)
	p1 := cos[n/100]
	r.CosineMean, r.CosineP1 = &mean, &p1
}

// split is one model's embeddings of the photos that could be read.
type split struct {
	gallery, queries           retrieval.Embeddings
	galleryLabels, queryLabels []int
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
		} else {
			s.queries.Dim = len(v)
			s.queries.Data = append(s.queries.Data, v...)
			s.queryLabels = append(s.queryLabels, label)
		}
	}
	return s
}

// compared are the embeddings that both models are compared on.
func (s *split) compared() retrieval.Embeddings {
	if s.queries.Len() > 0 {
		return s.queries
	}
	return s.gallery
}

// recall returns recall@1, or nil where no query has a photo of its class to find.
func (s *split) recall(ctx context.Context) (*float64, error) {
	var found *retrieval.Evaluation
	var err error
	switch {
	case s.gallery.Len() == 0:
		return nil, nil //nolint:nilnil // nil is "not measured"
	case s.queries.Len() > 0:
		found, err = retrieval.Evaluate(ctx, s.queries, s.queryLabels, s.gallery, s.galleryLabels, retrieval.Options{})
	default:
		found, err = retrieval.EvaluateLeaveOneOut(ctx, s.gallery, s.galleryLabels, retrieval.Options{})
	}
	if errors.Is(err, retrieval.ErrNoQuery) {
		return nil, nil //nolint:nilnil // nil is "not measured"
	}
	if err != nil {
		return nil, err
	}
	return &found.PrecisionAt1, nil
}

// embedAll returns, for each model, the embedding of every photo, nil for photos that cannot be read. One thread a
// model and one worker a processor: threads inside a model wait for one another wherever a processor is busy.
func embedAll(ctx context.Context, models [][]byte, all []photos.Photo) (vectors [][][]float32, skipped []string, err error) {
	vectors = make([][][]float32, len(models))
	for m := range vectors {
		vectors[m] = make([][]float32, len(all))
	}
	unreadable := make([]error, len(all))
	workers := min(runtime.GOMAXPROCS(0), len(all))
	errs := make([]error, workers)
	var next atomic.Int64
	var group sync.WaitGroup
	for w := range workers {
		group.Go(func() {
			errs[w] = worker(ctx, models, func() int { return int(next.Add(1)) - 1 }, all, vectors, unreadable)
		})
	}
	group.Wait()
	if err := errors.Join(errs...); err != nil {
		return nil, nil, err
	}
	for _, err := range unreadable {
		if err != nil {
			skipped = append(skipped, err.Error())
		}
	}
	if len(all) > 0 && len(skipped) == len(all) {
		return nil, nil, fmt.Errorf("none of the %d photos can be read, the first because: %w", len(all), unreadable[0])
	}
	return vectors, skipped, nil
}

func worker(ctx context.Context, models [][]byte, next func() int, all []photos.Photo, vectors [][][]float32, unreadable []error) (err error) {
	var embedders []*embed.Embedder
	defer func() {
		for _, e := range embedders {
			err = errors.Join(err, e.Close())
		}
	}()
	for _, model := range models {
		e, err := embed.New(model, embed.Options{})
		if err != nil {
			return err
		}
		embedders = append(embedders, e)
	}
	for i := next(); i < len(all); i = next() {
		if err := ctx.Err(); err != nil {
			return err
		}
		frame, err := vision.DecodeFile(all[i].Path)
		if err != nil {
			unreadable[i] = err
			continue
		}
		for m, e := range embedders {
			v := make([]float32, e.Dim())
			if err := e.Embed(v, frame); err != nil {
				return fmt.Errorf("%s: %w", all[i].Path, err)
			}
			vectors[m][i] = v
		}
	}
	return nil
}
