package dataset

import (
	"fmt"
	"sync"

	"xbmedge/internal/vision"
)

// Viewer turns photos into network inputs without any variation, as they are measured on. It is safe for concurrent
// use.
type Viewer struct {
	photos        Source
	width, height int
	resize        float64
	free          sync.Pool // of *view
}

type view struct {
	preprocessor *vision.Preprocessor
	read         []byte // a photo from disk
}

// NewViewer makes a Viewer for inputs of width×height pixels. A photo is scaled to cover resize times that size, and
// its centre is cut out: 1 is what the board does, 256/224 what most published figures were measured with.
func NewViewer(photos Source, resize float64, width, height int) (*Viewer, error) {
	if !(resize >= 1) { // refuses NaN too
		return nil, fmt.Errorf("view of photos: resize is %v, must be at least 1", resize)
	}
	v := &Viewer{photos: photos, width: width, height: height, resize: resize}
	v.free.New = func() any { return &view{preprocessor: vision.NewPreprocessor(width, height)} }
	return v, nil
}

// Fill writes the input of photo i into dst, [height][width][3], pixel/127.5 − 1.
func (v *Viewer) Fill(i int, dst []float32) error {
	w := v.free.Get().(*view) // the pool holds nothing else
	defer v.free.Put(w)
	frame, err := v.photos.Frame(i, &w.read)
	if err != nil {
		return err
	}
	small, err := w.preprocessor.ResizeBox(frame, v.box(frame))
	if err != nil {
		return err
	}
	return vision.Float32(dst, small)
}

// box is the part of a photo that is seen.
func (v *Viewer) box(f vision.Frame) vision.Box {
	w, h := float64(f.Width), float64(f.Height)
	scale := min(w/float64(v.width), h/float64(v.height)) / v.resize // photo's pixels per input pixel
	bw, bh := scale*float64(v.width), scale*float64(v.height)
	x, y := max(0, (w-bw)/2), max(0, (h-bh)/2) // rounding must not push the box out of the picture
	return vision.Box{X0: x, Y0: y, X1: min(w, x+bw), Y1: min(h, y+bh)}
}

// Variations turns photos into network inputs, varied, one at a time. The result depends on the seed, the round and
// the photo alone. It is safe for concurrent use.
type Variations struct {
	photos Source
	seed   uint64
	free   sync.Pool // of *worker
}

// NewVariations makes Variations for inputs of width×height pixels.
func NewVariations(photos Source, augment Augment, width, height int, seed uint64) (*Variations, error) {
	first, err := NewAugmenter(augment, width, height)
	if err != nil {
		return nil, err
	}
	v := &Variations{photos: photos, seed: seed}
	v.free.New = func() any { return &worker{augmenter: first.another()} }
	return v, nil
}

// Fill writes the input of photo i in that round into dst, [height][width][3], pixel/127.5 − 1.
func (v *Variations) Fill(round uint64, i int, dst []float32) error {
	w := v.free.Get().(*worker) // the pool holds nothing else
	defer v.free.Put(w)
	return w.fill(v.photos, i, Rand(v.seed, round, uint64(i)), dst)
}
