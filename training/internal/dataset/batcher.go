package dataset

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"

	"xbmedge/internal/vision"
)

// Batcher turns indices of photos into network inputs, each photo varied anew. The result depends on the seed, the
// step and the place in the batch, never on the number of goroutines. A Batcher is not safe for concurrent use.
type Batcher struct {
	frames     []vision.Frame
	seed       uint64
	size       int // values of one input
	augmenters []*Augmenter
	results    []vision.Frame // one for each augmenter
	vary       func(step uint64, place, photo int) *rand.Rand
}

// NewBatcher makes a Batcher over these frames, which it reads but never changes, for inputs of width×height pixels, on
// that many goroutines (at least one).
func NewBatcher(frames []vision.Frame, augment Augment, width, height, workers int, seed uint64) (*Batcher, error) {
	b := &Batcher{frames: frames, seed: seed, size: 3 * width * height, results: make([]vision.Frame, max(1, workers))}
	for range b.results {
		g, err := NewAugmenter(augment, width, height)
		if err != nil {
			return nil, err
		}
		b.augmenters = append(b.augmenters, g)
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
		if i < 0 || i >= len(b.frames) {
			return fmt.Errorf("photo %d is not in 0…%d", i, len(b.frames)-1)
		}
	}
	faults := make([]error, len(b.augmenters))
	var group sync.WaitGroup
	for w, augmenter := range b.augmenters {
		group.Go(func() {
			for place := w; place < len(indices); place += len(b.augmenters) {
				rng := b.random(step, place, indices[place])
				out := &b.results[w]
				err := augmenter.Apply(rng, b.frames[indices[place]], out)
				if err == nil {
					err = vision.Float32(dst[place*b.size:(place+1)*b.size], *out)
				}
				if err != nil {
					faults[w] = fmt.Errorf("augment photo %d: %w", indices[place], err)
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

// Rand returns the random numbers of one place in one step, independent of all others.
func Rand(seed, step, place uint64) *rand.Rand {
	// One draw spreads seed and step over all bits; nearby seeds would otherwise give nearby states.
	mixed := rand.NewPCG(seed, step).Uint64()
	return rand.New(rand.NewPCG(mixed, place))
}
