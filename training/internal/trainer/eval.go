package trainer

import (
	"context"
	"log/slog"

	"xbmedge/internal/embed"
	"xbmedge/internal/nn"
	"xbmedge/internal/photos"
	"xbmedge/internal/retrieval"
)

// Evaluation is how well a run's network finds its like.
type Evaluation struct {
	RecallAt1 float64 `json:"recall_at_1"`
	RecallAt5 float64 `json:"recall_at_5"`
	MAP       float64 `json:"map"`
	Queries   int     `json:"queries"`
	Gallery   int     `json:"gallery"`
	Skipped   int     `json:"skipped"`
}

// Evaluate lets each query look for its class in the gallery, in float32.
func Evaluate(ctx context.Context, run string, gallery, queries []photos.Photo, log *slog.Logger) (*Evaluation, error) {
	net, w, err := nn.ReadNetwork(run)
	if err != nil {
		return nil, err
	}
	file, err := floatModel(net, w)
	if err != nil {
		return nil, err
	}
	opt := embed.Options{Log: log}
	g, skippedGallery, err := embed.Photos(ctx, file, opt, gallery)
	if err != nil {
		return nil, err
	}
	q, skippedQueries, err := embed.Photos(ctx, file, opt, queries)
	if err != nil {
		return nil, err
	}
	for _, s := range append(skippedGallery, skippedQueries...) {
		log.Warn("photo skipped", "path", s.Path, "err", s.Err)
	}
	e := &Evaluation{Queries: q.Len(), Gallery: g.Len(), Skipped: len(skippedGallery) + len(skippedQueries)}
	lq, lg := embed.Labels(q, g)
	recall, err := retrieval.RecallAtK(q.Embeddings, lq, g.Embeddings, lg, 1, 5)
	if err != nil {
		return nil, err
	}
	e.RecallAt1, e.RecallAt5 = recall[0], recall[1]
	e.MAP, err = retrieval.MeanAveragePrecision(q.Embeddings, lq, g.Embeddings, lg)
	return e, err
}
