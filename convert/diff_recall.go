package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"xbmedge/internal/embed"
	"xbmedge/internal/photos"
	"xbmedge/internal/retrieval"
)

// recalls is how two models find photos of the same class, each alone and the new one in the old one's gallery.
type recalls struct {
	Gallery    int      `json:"gallery"` // photos
	Queries    int      `json:"queries"`
	OldOld     float64  `json:"recall_at_1_old_gallery_old_query"`
	NewNew     float64  `json:"recall_at_1_new_gallery_new_query"`
	OldNew     *float64 `json:"recall_at_1_old_gallery_new_query"` // nil: the embeddings have other lengths
	CosineMean *float64 `json:"cosine_mean"`                       // between the two models' embeddings of a query
	CosineP1   *float64 `json:"cosine_p1"`                         // exceeded by 99 of 100 queries
}

func crossRecall(ctx context.Context, old, now []byte, gallery, queries []photos.Photo, stderr io.Writer) (*recalls, error) {
	var sets [2][2]embed.Set // by model: gallery, queries
	for m, model := range [][]byte{old, now} {
		for k, list := range [][]photos.Photo{gallery, queries} {
			set, skipped, err := embed.Photos(ctx, model, embed.Options{}, list)
			if err != nil {
				return nil, err
			}
			if sets[m][k] = set; m == 0 {
				for _, s := range skipped { // the same of both models
					fmt.Fprintf(stderr, "skipped: %v\n", s.Err)
				}
			}
		}
	}
	galleryLabels, queryLabels := embed.Labels(sets[0][0], sets[0][1])
	recall := func(g, q embed.Set) (float64, error) {
		e, err := retrieval.Evaluate(ctx, q.Embeddings, queryLabels, g.Embeddings, galleryLabels, retrieval.Options{})
		if err != nil {
			return 0, err
		}
		return e.PrecisionAt1, nil
	}
	r := &recalls{Gallery: len(galleryLabels), Queries: len(queryLabels)}
	oldOld, err1 := recall(sets[0][0], sets[0][1])
	newNew, err2 := recall(sets[1][0], sets[1][1])
	if err := errors.Join(err1, err2); err != nil {
		return nil, err
	}
	r.OldOld, r.NewNew = oldOld, newNew
	if sets[0][0].Dim != sets[1][0].Dim {
		return r, nil
	}
	oldNew, err := recall(sets[0][0], sets[1][1])
	if err != nil {
		return nil, err
	}
	r.OldNew = &oldNew
	r.cosines(sets[0][1], sets[1][1])
	return r, nil
}

func (r *recalls) cosines(a, b embed.Set) {
	cos := make([]float64, len(a.Photos))
	mean := 0.0
	for i := range cos {
		cos[i] = float64(retrieval.Dot(a.Row(i), b.Row(i)))
		mean += cos[i] / float64(len(cos))
	}
	slices.Sort(cos)
	r.CosineMean, r.CosineP1 = &mean, &cos[len(cos)/100]
}

func (r *recalls) write(w io.Writer) error {
	fmt.Fprintf(w, "recall@1     old gallery, old query  %.4f\n             new gallery, new query  %.4f\n", r.OldOld, r.NewNew)
	if r.OldNew == nil {
		fmt.Fprintln(w, "             old gallery, new query  not comparable: the embeddings have other lengths")
	} else {
		fmt.Fprintf(w, "             old gallery, new query  %.4f\nold·new      cosine mean %.4f, 1st percentile %.4f\n", *r.OldNew, *r.CosineMean, *r.CosineP1)
	}
	_, err := fmt.Fprintf(w, "photos       %d queries against %d\n", r.Queries, r.Gallery)
	return err
}
