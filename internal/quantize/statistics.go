package quantize

import (
	"errors"
	"fmt"
	"math"
	"slices"
)

// sampledPixels is about how many pixels of a large map enter the histogram and the means: a stride that moves with
// the frames takes them from everywhere. The least and the largest values are of all pixels.
const sampledPixels = 32

// statistics describes one value: the output of a layer, or one inside it.
type statistics struct {
	min, max    float32
	means       []float64 // of each channel
	powers      []float64 // mean square of each channel
	lows, highs []float32 // least and largest value of each channel
	tuneMeans   []float64 // as means, of the tuning frames alone
	samples     float64   // pixels in means and powers
	tuneSample  float64
	histogram   histogram
	vectors     [][]float32 // of an embedding: one of each frame
}

func newStatistics(channels int) *statistics {
	return &statistics{
		min: float32(math.Inf(1)), max: float32(math.Inf(-1)),
		lows: slices.Repeat([]float32{float32(math.Inf(1))}, channels), highs: slices.Repeat([]float32{float32(math.Inf(-1))}, channels),
		means: make([]float64, channels), powers: make([]float64, channels),
		tuneMeans: make([]float64, channels),
	}
}

// add counts a map, [pixels, channels], of frame number frame. It fails for values that are no finite numbers.
func (s *statistics) add(values []float32, frame int, tune bool) error {
	s.extremes(values)
	reach := max(-s.min, s.max)
	if reach > math.MaxFloat32 {
		return fmt.Errorf("gives values from %g to %g: the weights are broken or far too large", s.min, s.max)
	}
	channels := len(s.means)
	pixels := len(values) / channels
	first, stride := sampleOf(frame, pixels)
	for p := first; p < pixels; p += stride {
		pixel := values[p*channels : (p+1)*channels]
		s.histogram.add(pixel, reach)
		s.addChannels(pixel)
		if tune {
			for c, v := range pixel {
				s.tuneMeans[c] += float64(v)
			}
			s.tuneSample++
		}
	}
	for _, m := range s.means {
		if math.IsNaN(m) {
			return errors.New("gives values that are no numbers: the weights are broken")
		}
	}
	return nil
}

// extremes finds the least and the largest value that is a number, of each channel and of all.
func (s *statistics) extremes(values []float32) {
	extremes(s.lows, s.highs, values)
	s.min, s.max = slices.Min(s.lows), slices.Max(s.highs)
}

func (s *statistics) addChannels(pixel []float32) {
	means, powers := s.means[:len(pixel)], s.powers[:len(pixel)]
	for c, v := range pixel {
		f := float64(v)
		means[c] += f
		powers[c] += f * f
	}
	s.samples++
}

// sampleOf says which pixels of a map of frame number frame are looked at.
func sampleOf(frame, pixels int) (first, stride int) {
	stride = max(pixels/sampledPixels, 1)
	if stride > 1 {
		stride |= 1 // an odd stride does not stay in the columns of an even width
	}
	return frame % stride, stride
}

// merge adds what another shard has counted; the other is changed.
func (s *statistics) merge(o *statistics) {
	s.min, s.max = min(s.min, o.min), max(s.max, o.max)
	for c := range s.means {
		s.means[c] += o.means[c]
		s.powers[c] += o.powers[c]
		s.tuneMeans[c] += o.tuneMeans[c]
		s.lows[c], s.highs[c] = min(s.lows[c], o.lows[c]), max(s.highs[c], o.highs[c])
	}
	s.samples += o.samples
	s.tuneSample += o.tuneSample
	s.histogram.merge(&o.histogram)
}

// finish turns the sums into means.
func (s *statistics) finish() {
	for c := range s.means {
		s.means[c] /= max(s.samples, 1)
		s.powers[c] /= max(s.samples, 1)
		s.tuneMeans[c] /= max(s.tuneSample, 1)
	}
}

// peak returns the largest magnitude of channel c.
func (s *statistics) peak(c int) float32 { return max(-s.lows[c], s.highs[c]) }
