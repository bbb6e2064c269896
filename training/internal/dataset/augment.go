package dataset

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"

	"xbmedge/internal/vision"
)

// Augment says how photos are varied. Probabilities are 0…1; the zero value only scales the photo and crops its
// centre, exactly as the board does. The keys are those of the trainer's configuration.
type Augment struct {
	CropScaleMin  float64 `yaml:"crop_scale_min" json:"crop_scale_min"`   // share of the photo's area that a random crop keeps, at least
	CropScaleMax  float64 `yaml:"crop_scale_max" json:"crop_scale_max"`   // and at most; 0: the centre instead of a random crop
	CropAspect    float64 `yaml:"crop_aspect" json:"crop_aspect"`         // crops are up to this much wider or taller than the output; 1 or 0: same shape
	Flip          float64 `yaml:"flip" json:"flip"`                       // probability of mirroring left and right
	Warp          float64 `yaml:"warp" json:"warp"`                       // probability of turning and tilting
	WarpDegrees   float64 `yaml:"warp_degrees" json:"warp_degrees"`       // largest turn
	WarpTilt      float64 `yaml:"warp_tilt" json:"warp_tilt"`             // largest shift of a corner, as a share of the side
	Jitter        float64 `yaml:"jitter" json:"jitter"`                   // probability of the four changes of colour that follow
	Brightness    float64 `yaml:"brightness" json:"brightness"`           // factor 1 ± this
	Contrast      float64 `yaml:"contrast" json:"contrast"`               // factor 1 ± this
	Saturation    float64 `yaml:"saturation" json:"saturation"`           // factor 1 ± this
	Hue           float64 `yaml:"hue" json:"hue"`                         // turn of the colour circle by ± this many degrees
	Gray          float64 `yaml:"gray" json:"gray"`                       // probability of taking the colour away
	Blur          float64 `yaml:"blur" json:"blur"`                       // probability of a light blur
	Noise         float64 `yaml:"noise" json:"noise"`                     // probability of sensor noise
	NoiseSigma    float64 `yaml:"noise_sigma" json:"noise_sigma"`         // largest standard deviation of the noise, in steps of 0…255
	Erase         float64 `yaml:"erase" json:"erase"`                     // probability of covering a rectangle
	EraseScaleMin float64 `yaml:"erase_scale_min" json:"erase_scale_min"` // smallest share of the area that is covered
	EraseScaleMax float64 `yaml:"erase_scale_max" json:"erase_scale_max"` // largest share of the area that is covered
}

// Validate reports all settings that make no sense, by their keys.
func (a Augment) Validate() error {
	var faults []error
	within := func(key string, value, low, high float64) {
		if !(value >= low && value <= high) { // refuses NaN too
			faults = append(faults, fmt.Errorf("%s is %v, must be %v to %v", key, value, low, high))
		}
	}
	within("crop_scale_max", a.CropScaleMax, 0, 1)
	if a.CropScaleMax > 0 {
		within("crop_scale_min", a.CropScaleMin, 0.01, a.CropScaleMax)
	} else {
		within("crop_scale_min", a.CropScaleMin, 0, 1) // not used
	}
	if a.CropAspect != 0 {
		within("crop_aspect", a.CropAspect, 1, 4)
	}
	for _, share := range []struct {
		key   string
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
		{"erase_scale_max", a.EraseScaleMax},
	} {
		within(share.key, share.value, 0, 1)
	}
	within("erase_scale_min", a.EraseScaleMin, 0, a.EraseScaleMax)
	within("warp_degrees", a.WarpDegrees, 0, 180)
	within("warp_tilt", a.WarpTilt, 0, 0.4)
	within("hue", a.Hue, 0, 180)
	within("noise_sigma", a.NoiseSigma, 0, 128)
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
		return nil, fmt.Errorf("augmentation: %w", err)
	}
	if width <= 0 || height <= 0 {
		return nil, fmt.Errorf("augmentation: a size of %d×%d is not positive", width, height)
	}
	return (&Augmenter{augment: a, width: width, height: height}).another(), nil
}

// another returns an Augmenter that does the same, with memory of its own.
func (g *Augmenter) another() *Augmenter {
	return &Augmenter{
		augment: g.augment, width: g.width, height: g.height,
		resize: vision.NewPreprocessor(g.width, g.height), scratch: vision.NewFrame(g.width, g.height),
	}
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
		erase(rng, *dst, a.EraseScaleMin, a.EraseScaleMax)
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
