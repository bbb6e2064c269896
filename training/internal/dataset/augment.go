package dataset

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"

	"xbmedge/internal/vision"
)

// Augment says how photos are varied. Probabilities are 0…1; the zero value only scales the photo and crops its
// centre, exactly as the board does.
type Augment struct {
	CropScaleMin, CropScaleMax float64 // share of the photo's area that a random crop keeps; 0, 0: centre crop instead
	CropAspect                 float64 // crops are up to this much wider or taller than the output; 1 or 0: same shape
	Flip                       float64 // probability of mirroring left and right
	Warp                       float64 // probability of turning and tilting
	WarpDegrees                float64 // largest turn
	WarpTilt                   float64 // largest shift of a corner, as a share of the side
	Jitter                     float64 // probability of the four changes of colour that follow
	Brightness                 float64 // factor 1 ± this
	Contrast                   float64 // factor 1 ± this
	Saturation                 float64 // factor 1 ± this
	Hue                        float64 // turn of the colour circle by ± this many degrees
	Gray                       float64 // probability of taking the colour away
	Blur                       float64 // probability of a light blur
	Noise                      float64 // probability of sensor noise
	NoiseSigma                 float64 // largest standard deviation of the noise, in steps of 0…255
	Erase                      float64 // probability of covering a rectangle
	EraseScaleMax              float64 // largest share of the area that is covered
}

// Validate reports all settings that make no sense, by name.
func (a Augment) Validate() error {
	var faults []error
	within := func(name string, value, low, high float64) {
		if !(value >= low && value <= high) { // refuses NaN too
			faults = append(faults, fmt.Errorf("augmentation: %s is %v, must be %v to %v", name, value, low, high))
		}
	}
	within("crop scale max", a.CropScaleMax, 0, 1)
	within("crop scale min", a.CropScaleMin, 0, a.CropScaleMax)
	if a.CropScaleMax > 0 {
		within("crop scale min", a.CropScaleMin, 0.01, a.CropScaleMax)
	}
	if a.CropAspect != 0 {
		within("crop aspect", a.CropAspect, 1, 4)
	}
	for _, share := range []struct {
		name  string
		value float64
	}{
		{"flip", a.Flip},
		{"warp", a.Warp},
		{"jitter", a.Jitter},
		{"gray", a.Gray},
		{"blur", a.Blur},
		{"noise", a.Noise},
		{"erase", a.Erase},
		{"brightness", a.Brightness},
		{"contrast", a.Contrast},
		{"saturation", a.Saturation},
		{"erase scale max", a.EraseScaleMax},
	} {
		within(share.name, share.value, 0, 1)
	}
	within("warp degrees", a.WarpDegrees, 0, 180)
	within("warp tilt", a.WarpTilt, 0, 0.4)
	within("hue", a.Hue, 0, 180)
	within("noise sigma", a.NoiseSigma, 0, 128)
	return errors.Join(faults...)
}

// Augmenter applies an Augment. It reuses its memory and is not safe for concurrent use: one for each goroutine.
type Augmenter struct {
	augment       Augment
	width, height int
	resize        *vision.Preprocessor
	scratch       vision.Frame
}

// NewAugmenter makes an Augmenter whose results are width×height pixels.
func NewAugmenter(a Augment, width, height int) (*Augmenter, error) {
	if err := a.Validate(); err != nil {
		return nil, err
	}
	if width <= 0 || height <= 0 {
		return nil, fmt.Errorf("augmentation: a size of %d×%d is not positive", width, height)
	}
	return &Augmenter{
		augment: a, width: width, height: height,
		resize: vision.NewPreprocessor(width, height), scratch: vision.NewFrame(width, height),
	}, nil
}

// Apply writes a variation of src into dst, which is given the output's size and, when it is too small, memory. The
// result depends on src and the random numbers alone.
func (g *Augmenter) Apply(rng *rand.Rand, src vision.Frame, dst *vision.Frame) error {
	small, err := g.crop(rng, src)
	if err != nil {
		return err
	}
	if cap(dst.Pix) < len(small.Pix) {
		dst.Pix = make([]byte, len(small.Pix))
	}
	dst.Width, dst.Height, dst.Pix = g.width, g.height, dst.Pix[:len(small.Pix)]
	copy(dst.Pix, small.Pix)

	a := &g.augment
	if chance(rng, a.Flip) {
		mirror(*dst)
	}
	if chance(rng, a.Warp) {
		g.warp(rng, dst)
	}
	if chance(rng, a.Jitter) {
		jitter(rng, *dst, a)
	}
	if chance(rng, a.Gray) {
		recolour(*dst, saturation(0), 0)
	}
	if chance(rng, a.Blur) {
		g.blur(dst)
	}
	if chance(rng, a.Noise) {
		// Of its own generator: it draws for each pixel, and what follows must not depend on the size.
		noise(rand.New(rand.NewPCG(rng.Uint64(), 0)), *dst, rng.Float64()*a.NoiseSigma)
	}
	if chance(rng, a.Erase) {
		erase(rng, *dst, a.EraseScaleMax)
	}
	return nil
}

func chance(rng *rand.Rand, probability float64) bool {
	return probability > 0 && rng.Float64() < probability
}

// between returns a random number from low to high.
func between(rng *rand.Rand, low, high float64) float64 { return low + (high-low)*rng.Float64() }

// crop scales a random part of src to the output's size, or its centre.
func (g *Augmenter) crop(rng *rand.Rand, src vision.Frame) (vision.Frame, error) {
	a := &g.augment
	if a.CropScaleMax <= 0 {
		return g.resize.Resize(src)
	}
	w, h := float64(src.Width), float64(src.Height)
	aspect := float64(g.width) / float64(g.height)
	if a.CropAspect > 1 {
		aspect *= math.Exp(between(rng, -1, 1) * math.Log(a.CropAspect))
	}
	area := between(rng, a.CropScaleMin, a.CropScaleMax) * w * h
	bw := min(w, math.Sqrt(area*aspect))
	bh := min(h, math.Sqrt(area/aspect))
	bw, bh = max(bw, min(w, 1)), max(bh, min(h, 1))
	x, y := rng.Float64()*(w-bw), rng.Float64()*(h-bh)
	return g.resize.ResizeBox(src, vision.Box{X0: x, Y0: y, X1: min(w, x+bw), Y1: min(h, y+bh)})
}
