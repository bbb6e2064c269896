package trainer

import (
	"context"
	"math/rand/v2"
	"sync"

	"xbmedge/internal/vision"
	"xbmedge/training/internal/dataset"
)

// viewSet is a number of fixed variations of each photo, numbered from 1; 0 is the plain photo. A frozen trunk or a
// teacher is run on each of them once, instead of at every step. A view is the same cut and colours at any size of
// input, so that a student may see in small what its teacher saw in large.
type viewSet struct {
	frames  []vision.Frame
	augment dataset.Augment
	varied  int    // variations of each photo, besides the plain one
	seed    uint64 // of the variations
	choice  uint64 // of which view a step takes
}

func newViewSet(frames []vision.Frame, cfg *Config) *viewSet {
	return &viewSet{
		frames: frames, augment: cfg.Data.augment(), varied: cfg.Network.Views,
		seed: cfg.Seed ^ seedViews, choice: cfg.Seed ^ seedBatch,
	}
}

// round is the view that a step takes of the photo at that place of the batch.
func (v *viewSet) round(step uint64, place int) int {
	if v.varied == 0 {
		return 0
	}
	return 1 + dataset.Rand(v.choice, step, uint64(place)).IntN(v.varied)
}

// at is where, among all views, the one is that a step takes of photo i.
func (v *viewSet) at(step uint64, place, i int) int { return v.round(step, place)*len(v.frames) + i }

// random is what the view that a step takes of photo i is drawn from.
func (v *viewSet) random(step uint64, place, i int) *rand.Rand {
	return dataset.Rand(v.seed, uint64(v.round(step, place)), uint64(i))
}

// run runs a float model on all views, brought to size×size pixels, and returns its outputs, [1+varied][photos][dim].
func (v *viewSet) run(ctx context.Context, file []byte, size, dim, workers int, done func(share float64)) ([]float32, error) {
	n := len(v.frames)
	values := make([]float32, (1+v.varied)*n*dim)
	for round := range 1 + v.varied {
		augment := v.augment
		if round == 0 {
			augment = dataset.Augment{}
		}
		augmenters := sync.Pool{New: func() any {
			a, err := dataset.NewAugmenter(augment, size, size)
			if err != nil {
				return err
			}
			return a
		}}
		fill := func(i int, dst []float32) error {
			augmenter, ok := augmenters.Get().(*dataset.Augmenter)
			if !ok {
				return augment.Validate()
			}
			defer augmenters.Put(augmenter)
			var out vision.Frame
			if err := augmenter.Apply(dataset.Rand(v.seed, uint64(round), uint64(i)), v.frames[i], &out); err != nil {
				return err
			}
			return vision.Float32(dst, out)
		}
		offset := round * n
		keep := func(i int, y []float32) { copy(values[(offset+i)*dim:(offset+i+1)*dim], y) }
		progress := func(k int) { done(float64(offset+k) / float64((1+v.varied)*n)) }
		if err := runAll(ctx, file, n, workers, fill, keep, progress); err != nil {
			return nil, err
		}
	}
	return values, nil
}
