package embed

import (
	"context"
	"fmt"

	"xbmedge/internal/photos"
	"xbmedge/internal/retrieval"
	"xbmedge/internal/vision"
)

// Set is the embeddings of some photos.
type Set struct {
	retrieval.Embeddings
	Photos []photos.Photo // one for each embedding
}

// Photos embeds the photos of a list, in its order. Those that cannot be decoded are left out and reported; none left
// is an error. Photos are decoded on all processors; the embedder runs on its own threads.
func (e *Embedder) Photos(ctx context.Context, list []photos.Photo) (Set, []photos.Skipped, error) {
	all := make([]float32, len(list)*e.Dim())
	done := make([]bool, len(list))
	var fault error
	skipped, err := photos.Load(ctx, list, 0, func(i int, f vision.Frame) {
		if err := e.Embed(all[i*e.Dim():(i+1)*e.Dim()], f); err != nil && fault == nil {
			fault = fmt.Errorf("embed %s: %w", list[i].Path, err)
		}
		done[i] = true
	})
	if err != nil {
		return Set{}, skipped, err
	}
	if fault != nil {
		return Set{}, skipped, fault
	}
	set := Set{Embeddings: retrieval.Embeddings{Dim: e.Dim()}}
	for i, p := range list {
		if done[i] {
			set.Photos = append(set.Photos, p)
			set.Data = append(set.Data, all[i*e.Dim():(i+1)*e.Dim()]...)
		}
	}
	return set, skipped, nil
}

// Labels numbers the classes of two sets' photos alike, for retrieval's measures.
func Labels(a, b Set) (la, lb []int) {
	number := map[string]int{}
	of := func(s Set) []int {
		labels := make([]int, len(s.Photos))
		for i, p := range s.Photos {
			label, known := number[p.Class]
			if !known {
				label = len(number)
				number[p.Class] = label
			}
			labels[i] = label
		}
		return labels
	}
	return of(a), of(b)
}
