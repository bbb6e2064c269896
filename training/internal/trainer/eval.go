package trainer

import (
	"context"
	"fmt"
	"log/slog"

	"xbmedge/internal/embed"
	"xbmedge/internal/nn"
	"xbmedge/internal/photos"
	"xbmedge/internal/retrieval"
)

// EvalOptions says how a run is evaluated.
type EvalOptions struct {
	retrieval.Options
	// Embedding hears how many photos of the gallery, and then of the queries, are embedded; nil is not told.
	Embedding func(done, total int)
	// GalleryModel is an older model (a .tflite file or the folder of a run) that the gallery was embedded with; empty: the
	// run's own network.
	GalleryModel string
	Log          *slog.Logger // names the photos that cannot be read
}

// Evaluation is how well a run's network finds its like.
type Evaluation struct {
	retrieval.Evaluation
	Names   []string // of the classes, by label
	Skipped int      // photos that could not be read
}

// Evaluate lets each query look for its class in the gallery, in float32. Without queries (nil) each photo of the gallery
// looks among all others.
func Evaluate(ctx context.Context, run string, gallery, queries []photos.Photo, opt EvalOptions) (*Evaluation, error) {
	file, err := ReadModel(run)
	if err != nil {
		return nil, err
	}
	galleryFile := file
	if opt.GalleryModel != "" {
		if galleryFile, _, err = readOldModel(opt.GalleryModel); err != nil {
			return nil, fmt.Errorf("the gallery's model: %w", err)
		}
	}
	e := &Evaluation{}
	embedded := func(file []byte, list []photos.Photo) (embed.Set, error) {
		set, skipped, err := embed.Photos(ctx, file, embed.Options{Log: opt.Log, Progress: opt.Embedding}, list)
		for _, s := range skipped {
			opt.Log.Warn("photo skipped", "path", s.Path, "err", s.Err)
		}
		e.Skipped += len(skipped)
		return set, err
	}
	g, err := embedded(galleryFile, gallery)
	if err != nil {
		return nil, err
	}
	var q embed.Set
	if queries != nil {
		if q, err = embedded(file, queries); err != nil {
			return nil, err
		}
	}
	if queries != nil && g.Dim != q.Dim {
		return nil, fmt.Errorf("%s gives embeddings of %d values, the run of %d: they cannot be compared", opt.GalleryModel, g.Dim, q.Dim)
	}
	labels, queryLabels := embed.Labels(g, q)
	e.Names = classNames(g, q, labels, queryLabels)
	var found *retrieval.Evaluation
	if queries == nil {
		found, err = retrieval.EvaluateLeaveOneOut(ctx, g.Embeddings, labels, opt.Options)
	} else {
		found, err = retrieval.Evaluate(ctx, q.Embeddings, queryLabels, g.Embeddings, labels, opt.Options)
	}
	if err != nil {
		return nil, err
	}
	e.Evaluation = *found
	return e, nil
}

// classNames returns the names of two sets' classes by label.
func classNames(g, q embed.Set, galleryLabels, queryLabels []int) []string {
	var names []string
	add := func(set embed.Set, labels []int) {
		for i, label := range labels {
			if label == len(names) { // labels are given in order of appearance
				names = append(names, set.Photos[i].Class)
			}
		}
	}
	add(g, galleryLabels)
	add(q, queryLabels)
	return names
}

// ReadModel returns the network of a run as the bytes of a TensorFlow Lite model, in float32.
func ReadModel(run string) ([]byte, error) {
	net, w, err := nn.ReadNetwork(run)
	if err != nil {
		return nil, err
	}
	return floatModel(net, w)
}
