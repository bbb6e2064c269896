package dataset

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"

	"xbmedge/internal/vision"
	"xbmedge/training/internal/frames"
)

// Source yields photos, in memory or from disk. It may be used by several goroutines.
type Source interface {
	Len() int
	// Frame returns photo i, which must not be changed. It is valid until buf is used again: memory that is needed for
	// it is taken from there.
	Frame(i int, buf *[]byte) (vision.Frame, error)
}

var _ Source = (*frames.Store)(nil)

// Batcher turns indices of photos into network inputs, each photo varied anew. The result depends on the seed, the
// step and the place in the batch, never on the number of goroutines. A Batcher is not safe for concurrent use.
type Batcher struct {
	photos  Source
	seed    uint64
	size    int // values of one input
	workers []worker
	vary    func(step uint64, place, photo int) *rand.Rand
}

// worker is what one goroutine needs.
type worker struct {
	augmenter *Augmenter
	read      []byte // a photo from disk
	result    vision.Frame
}

// NewBatcher makes a Batcher over these photos, for inputs of width×height pixels, on that many goroutines (at least
// one).
func NewBatcher(photos Source, augment Augment, width, height, workers int, seed uint64) (*Batcher, error) {
	b := &Batcher{photos: photos, seed: seed, size: 3 * width * height, workers: make([]worker, max(1, workers))}
	for i := range b.workers {
		var err error
		if b.workers[i].augmenter, err = NewAugmenter(augment, width, height); err != nil {
			return nil, err
		}
	}
	return b, nil
}

// Vary replaces what variations are drawn from: by default Rand of the seed, the step and the place in the batch. It
// must not depend on anything else than its arguments, and is called from several goroutines.
func (b *Batcher) Vary(from func(step uint64, place, photo int) *rand.Rand) { b.vary = from }

// Fill writes the inputs of the photos with these indices into dst, [len(indices)][height][width][3], pixel/127.5 − 1.
// Equal steps give equal variations: number them through the whole training.
func (b *Batcher) Fill(step uint64, indices []int, dst []float32) error {
	if len(dst) != len(indices)*b.size {
		return fmt.Errorf("batch of %d photos of %d values does not fit %d values", len(indices), b.size, len(dst))
	}
	for _, i := range indices {
		if i < 0 || i >= b.photos.Len() {
			return fmt.Errorf("photo %d is not in 0…%d", i, b.photos.Len()-1)
		}
	}
	faults := make([]error, len(b.workers))
	var group sync.WaitGroup
	for k := range b.workers {
		group.Go(func() {
			for place := k; place < len(indices); place += len(b.workers) {
				rng := b.random(step, place, indices[place])
				if err := b.workers[k].fill(b.photos, indices[place], rng, dst[place*b.size:(place+1)*b.size]); err != nil {
					faults[k] = fmt.Errorf("augment photo %d: %w", indices[place], err)
					return
				}
			}
		})
	}
	group.Wait()
	return errors.Join(faults...)
}

func (b *Batcher) random(step uint64, place, photo int) *rand.Rand {
	if b.vary != nil {
		return b.vary(step, place, photo)
	}
	return Rand(b.seed, step, uint64(place))
}

// fill writes a variation of photo i.
func (w *worker) fill(photos Source, i int, rng *rand.Rand, dst []float32) error {
	frame, err := photos.Frame(i, &w.read)
	if err != nil {
		return err
	}
	if err := w.augmenter.Apply(rng, frame, &w.result); err != nil {
		return err
	}
	return vision.Float32(dst, w.result)
}

// Rand returns the random numbers of one place in one step, independent of all others.
func Rand(seed, step, place uint64) *rand.Rand {
	// One draw spreads seed and step over all bits; nearby seeds would otherwise give nearby states.
	mixed := rand.NewPCG(seed, step).Uint64()
	return rand.New(rand.NewPCG(mixed, place))
}
