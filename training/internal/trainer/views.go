package trainer

import (
	"context"
	"fmt"
	"math/rand/v2"

	"xbmedge/training/internal/dataset"
	"xbmedge/training/internal/engine"
)

// viewSet is a number of fixed variations of each photo, numbered from 1; 0 is the plain photo. A frozen trunk or a
// teacher is run on each of them once, instead of at every step. A view is the same cut and colours at any size of
// input, so that a student may see in small what its teacher saw in large.
type viewSet struct {
	photos  dataset.Source
	augment dataset.Augment
	resize  float64
	varied  int    // variations of each photo, besides the plain one
	seed    uint64 // of the variations
	choice  uint64 // of which view a step takes
}

func newViewSet(photos dataset.Source, cfg *Config) *viewSet {
	return &viewSet{
		photos: photos, augment: cfg.Data.Augment, resize: cfg.Data.Resize, varied: cfg.Network.Views,
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
func (v *viewSet) at(step uint64, place, i int) int { return v.round(step, place)*v.photos.Len() + i }

// random is what the view that a step takes of photo i is drawn from.
func (v *viewSet) random(step uint64, place, i int) *rand.Rand {
	return dataset.Rand(v.seed, uint64(v.round(step, place)), uint64(i))
}

// floats runs a float model on all views, brought to size×size pixels, and returns its outputs, [1+varied][photos][dim].
func (v *viewSet) floats(ctx context.Context, file []byte, size, dim, workers int, done func(share float64)) ([]float32, error) {
	var values []float32
	begin := func(n int) { values = make([]float32, n*dim) }
	err := v.run(ctx, file, size, 4*dim, workers, begin, func(offset int, fill func(i int, dst []float32) error) work {
		return inFloat(fill, func(i int, y []float32) { copy(values[(offset+i)*dim:(offset+i+1)*dim], y) })
	}, done)
	return values, err
}

// int8s is floats for an int8 model.
func (v *viewSet) int8s(ctx context.Context, file []byte, size, dim, workers int, done func(share float64)) ([]int8, error) {
	var values []int8
	begin := func(n int) { values = make([]int8, n*dim) }
	err := v.run(ctx, file, size, dim, workers, begin, func(offset int, fill func(i int, dst []float32) error) work {
		return inInt8(fill, func(i int, y []int8) { copy(values[(offset+i)*dim:(offset+i+1)*dim], y) })
	}, done)
	return values, err
}

// run runs a model on all views, brought to size×size pixels. It calls begin with their number once there is room for
// that many outputs of so many bytes. Each makes the work for photos whose views begin at an offset.
func (v *viewSet) run(ctx context.Context, file []byte, size, bytes, workers int, begin func(n int),
	each func(offset int, fill func(i int, dst []float32) error) work, done func(share float64),
) error {
	plain, err := dataset.NewViewer(v.photos, v.resize, size, size)
	if err != nil {
		return err
	}
	variations, err := dataset.NewVariations(v.photos, v.augment, size, size, v.seed)
	if err != nil {
		return err
	}
	n := v.photos.Len()
	need := (1 + int64(v.varied)) * int64(n) * int64(bytes)
	if free, known := engine.HostMemory(); known && need > free {
		return fmt.Errorf("network.views is %d: what is kept of each view of %d photos needs %.1f GB, and %.1f GB are free; "+
			"lower network.views, or freeze up to a later layer", v.varied, n, float64(need)/1e9, float64(free)/1e9)
	}
	begin((1 + v.varied) * n)
	for round := range 1 + v.varied {
		fill := plain.Fill
		if round > 0 {
			fill = func(i int, dst []float32) error { return variations.Fill(uint64(round), i, dst) }
		}
		offset := round * n
		progress := func(k int) { done(float64(offset+k) / float64((1+v.varied)*n)) }
		if err := runAll(ctx, file, n, workers, each(offset, fill), progress); err != nil {
			return err
		}
	}
	return nil
}
