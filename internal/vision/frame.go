// Package vision holds pictures and everything that happens to one between a file or camera and the network's input:
// decode, crop, resize, normalise. Training, calibration and the board all take this one path, so that a network sees
// the same numbers everywhere.
package vision

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
