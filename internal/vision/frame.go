// Package vision holds pictures and everything that happens to one between a file or camera and the network's input:
// decode, crop, resize, normalise. Training, calibration and the board all take this one path, so that a network sees
// the same numbers everywhere.
package vision

import (
	"encoding/binary"
	"fmt"
	"image"
	"unsafe"
)

// Frame is one picture: 8-bit RGB, rows from top to bottom, three interleaved bytes a pixel, no padding between rows.
// len(Pix) is 3*Width*Height.
type Frame struct {
	Width, Height int
	Pix           []byte
}

// NewFrame returns a black frame.
func NewFrame(width, height int) Frame {
	return Frame{Width: width, Height: height, Pix: make([]byte, 3*width*height)}
}

// Validate reports a frame that has no pixels or whose Pix does not fit its size. Every function of this package that
// returns an error checks its frames with it.
func (f Frame) Validate() error {
	if f.Width <= 0 || f.Height <= 0 || len(f.Pix) != 3*f.Width*f.Height {
		return fmt.Errorf("a frame of %d×%d pixels with %d bytes is not a picture", f.Width, f.Height, len(f.Pix))
	}
	return nil
}

// Crop returns a copy of the part of the frame inside r, which must not be empty and must lie within the frame.
func (f Frame) Crop(r image.Rectangle) (Frame, error) {
	var out Frame
	err := f.CropInto(&out, r)
	return out, err
}

// CropInto is Crop into dst, whose memory is used where it is large enough. dst must not be f's own memory.
func (f Frame) CropInto(dst *Frame, r image.Rectangle) error {
	if err := f.Validate(); err != nil {
		return err
	}
	if r.Empty() || !r.In(image.Rect(0, 0, f.Width, f.Height)) {
		return fmt.Errorf("crop %v is empty or reaches out of the %d×%d picture", r, f.Width, f.Height)
	}
	dst.Width, dst.Height = r.Dx(), r.Dy()
	dst.Pix = resized(dst.Pix, 3*dst.Width*dst.Height)
	for y := range dst.Height {
		from := 3 * ((r.Min.Y+y)*f.Width + r.Min.X)
		copy(dst.row(y), f.Pix[from:])
	}
	return nil
}

// row returns the bytes of row y.
func (f Frame) row(y int) []byte { return f.Pix[3*f.Width*y : 3*f.Width*(y+1)] }

// Int8 fills dst with pixel − 128, which is the int8 input of a network that takes x/127.5−1. It returns an error when
// dst does not have one element for each byte of f.
func Int8(dst []int8, f Frame) error {
	if err := sameLength(len(dst), f); err != nil {
		return err
	}
	// Eight at a time: seen as bytes, the difference is the uppermost bit.
	out, in := unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(dst))), len(dst)), f.Pix //nolint:gosec // same size
	for ; len(in) >= 8; in, out = in[8:], out[8:] {
		binary.NativeEndian.PutUint64(out, binary.NativeEndian.Uint64(in)^0x8080808080808080)
	}
	for i, p := range in {
		out[i] = p ^ 0x80
	}
	return nil
}

// Float32 fills dst with pixel/127.5 − 1, the input in −1…1 that all networks here take. It returns an error when dst
// does not have one element for each byte of f. The result is the same on every processor: a division cannot be fused
// with the subtraction.
func Float32(dst []float32, f Frame) error {
	if err := sameLength(len(dst), f); err != nil {
		return err
	}
	for i, p := range f.Pix {
		dst[i] = inputs[p]
	}
	return nil
}

// inputs is what Float32 makes of each value of a pixel.
var inputs = func() (values [256]float32) {
	for p := range values {
		values[p] = float32(p)/127.5 - 1
	}
	return values
}()

// Uint8 copies the pixels. It returns an error when dst does not have one element for each byte of f.
func Uint8(dst []uint8, f Frame) error {
	if err := sameLength(len(dst), f); err != nil {
		return err
	}
	copy(dst, f.Pix)
	return nil
}

func sameLength(n int, f Frame) error {
	if n != len(f.Pix) {
		return fmt.Errorf("network input of %d values does not fit a picture of %d×%d×3", n, f.Width, f.Height)
	}
	return nil
}
