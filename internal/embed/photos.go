package embed

import (
	"context"
	"fmt"

	"xbmedge/internal/photos"
	"xbmedge/internal/retrieval"
)

// Set is the embeddings of some photos.
type Set struct {
	retrieval.Embeddings
	Photos []photos.Photo // one for each embedding
}

// Photos embeds the photos of a list as Each does. Photos that cannot be read are left out and reported, in the list's
// order; none left is an error. Progress, where the options have it, hears of every photo.
func Photos(ctx context.Context, model []byte, opt Options, list []photos.Photo) (Set, []photos.Skipped, error) {
	c := collector{list: list, progress: opt.Progress}
	err := Each(ctx, model, opt, list, c.add)
	return c.end(err)
}

// Photos is the function Photos on this embedder alone.
func (e *Embedder) Photos(ctx context.Context, list []photos.Photo) (Set, []photos.Skipped, error) {
	c := collector{list: list}
	err := each(ctx, []*Embedder{e}, list, c.add)
	return c.end(err)
}

// collector gathers what each hands on.
type collector struct {
	list     []photos.Photo
	progress func(done, total int)
	set      Set
	skipped  []photos.Skipped
}

func (c *collector) add(i int, v []float32, unreadable error) error {
	if c.progress != nil {
		c.progress(i+1, len(c.list))
	}
	if unreadable == nil {
		c.set.Dim = len(v)
		c.set.Photos = append(c.set.Photos, c.list[i])
		c.set.Data = append(c.set.Data, v...)
	} else {
		c.skipped = append(c.skipped, photos.Skipped{Path: c.list[i].Path, Err: unreadable})
	}
	return nil
}

func (c *collector) end(err error) (Set, []photos.Skipped, error) {
	if err == nil && len(c.skipped) > 0 && len(c.set.Photos) == 0 {
		err = fmt.Errorf("embed photos: none of %d could be read, the first because: %w", len(c.skipped), c.skipped[0].Err)
	}
	if err != nil {
		return Set{}, c.skipped, err
	}
	return c.set, c.skipped, nil
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
