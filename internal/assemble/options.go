package assemble

import (
	"fmt"

	"xbmedge/internal/nn"
)

// Options says how a network made elsewhere is read.
type Options struct {
	// Size is the width and height of the picture, in pixels, where the file leaves them open; 0: as the file says.
	Size int
	// Mean and Std are what the network wants subtracted from pixels of 0 … 1 and divided by, for red, green and blue:
	// (pixel/255 − mean)/std. Both zero: it takes pixel/127.5−1, as the networks of xbm-train do.
	Mean, Std [3]float32
	// Output names the value that is the embedding, where it is not the file's only output.
	Output string
}

// maxPicture bounds the picture's width and height, in pixels.
const maxPicture = 2048

// Check refuses options that make no sense.
func (o *Options) Check() error {
	if o.Size < 0 || o.Size > maxPicture {
		return fmt.Errorf("a size of %d: take 1 to %d", o.Size, maxPicture)
	}
	if o.Mean == [3]float32{} && o.Std == [3]float32{} {
		return nil
	}
	for c := range 3 {
		if !(o.Std[c] > 1e-6 && o.Std[c] < 1e6) || !(o.Mean[c] > -1e6 && o.Mean[c] < 1e6) {
			return fmt.Errorf("mean %g and standard deviation %g: give three of each, in units of 0 … 1, as 0.485,0.456,0.406 and 0.229,0.224,0.225",
				o.Mean, o.Std)
		}
	}
	return nil
}

// CheckInput refuses a picture that is none.
func CheckInput(s nn.Shape) error {
	if s.C != 3 || s.H <= 0 || s.W <= 0 || s.H > maxPicture || s.W > maxPicture {
		return fmt.Errorf("its input is %v, not a picture of at most %d×%d×3", s, maxPicture, maxPicture)
	}
	return nil
}

// Picture is the picture as the network wants it, by the options' mean and deviation. It is a layer of its own, so that
// it is exact at the borders too, where the first convolution's padding stands for the mean.
func (b *Builder) Picture(o *Options) (Value, error) {
	if o.Mean == [3]float32{} && o.Std == [3]float32{} {
		return b.Input(), nil
	}
	scale, shift := make([]float32, 3), make([]float32, 3)
	for c := range 3 {
		mean, std := float64(o.Mean[c]), float64(o.Std[c])
		scale[c], shift[c] = float32(0.5/std), float32((0.5-mean)/std)
	}
	return b.Affine("picture", b.Input(), scale, shift)
}
