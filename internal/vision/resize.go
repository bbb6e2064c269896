package vision

import (
	"fmt"
	"math"
	"slices"
)

// Preprocessor turns pictures of any size into pictures of one size, the network's input. Its memory is reused: from
// the second frame of a size on, no call allocates. A Preprocessor is not safe for concurrent use.
//
// The filter is a triangle, widened by the factor of reduction so that no source pixel is skipped (antialiasing), in
// fixed point, horizontally and then vertically: byte for byte what Pillow's Image.resize with BILINEAR gives
// (src/libImaging/Resample.c), and the same on every processor.
type Preprocessor struct {
	width, height int
	out           Frame
	between       []byte // rows of width pixels, after the horizontal pass
	sums          []int32
	horizontal    filter
	vertical      filter
}

// NewPreprocessor returns a Preprocessor for pictures of width×height pixels. Both must be positive; Resize returns an
// error otherwise.
func NewPreprocessor(width, height int) *Preprocessor {
	return &Preprocessor{width: width, height: height}
}

// Size returns the width and height of what Resize returns, in pixels.
func (p *Preprocessor) Size() (width, height int) { return p.width, p.height }

// Resize scales the frame until it just covers the output and cuts off what sticks out evenly on both sides. The
// result lies in the Preprocessor's memory and is valid until the next call.
func (p *Preprocessor) Resize(f Frame) (Frame, error) {
	if p.width <= 0 || p.height <= 0 {
		return Frame{}, fmt.Errorf("resize to %d×%d: the size must be positive", p.width, p.height)
	}
	w, h := float64(f.Width), float64(f.Height)
	scale := min(w/float64(p.width), h/float64(p.height)) // source pixels per output pixel
	bw, bh := scale*float64(p.width), scale*float64(p.height)
	x, y := max(0, (w-bw)/2), max(0, (h-bh)/2) // rounding must not push the box out of the picture
	return p.ResizeBox(f, Box{x, y, min(w, x+bw), min(h, y+bh)})
}

// Box is a part of a picture in pixels from its upper left corner; edges may lie between pixels.
type Box struct {
	X0, Y0, X1, Y1 float64
}

// ResizeBox scales that part of the frame to the output's size, whatever its shape. The box must not be empty and must
// lie within the frame. The result is valid until the next call.
func (p *Preprocessor) ResizeBox(f Frame, box Box) (Frame, error) {
	if err := f.Validate(); err != nil {
		return Frame{}, err
	}
	if p.width <= 0 || p.height <= 0 {
		return Frame{}, fmt.Errorf("resize to %d×%d: the size must be positive", p.width, p.height)
	}
	// Written so that a NaN is refused too.
	if !(box.X0 >= 0 && box.X0 < box.X1 && box.X1 <= float64(f.Width) &&
		box.Y0 >= 0 && box.Y0 < box.Y1 && box.Y1 <= float64(f.Height)) {
		return Frame{}, fmt.Errorf("resize: box %v is empty or reaches out of the %d×%d picture", box, f.Width, f.Height)
	}
	p.out.Width, p.out.Height = p.width, p.height
	p.out.Pix = resized(p.out.Pix, 3*p.width*p.height)
	if f.Width == p.width && f.Height == p.height && box == (Box{0, 0, float64(f.Width), float64(f.Height)}) {
		copy(p.out.Pix, f.Pix)
		return p.out, nil
	}
	p.horizontal.prepare(f.Width, p.width, box.X0, box.X1)
	p.vertical.prepare(f.Height, p.height, box.Y0, box.Y1)

	// Only the rows that the vertical pass will read go through the horizontal one.
	first, last := p.vertical.reach()
	p.between = resized(p.between, 3*p.width*(last-first))
	for y := first; y < last; y++ {
		at := 3 * p.width * (y - first)
		p.horizontal.row(p.between[at:at+3*p.width], f.row(y))
	}
	p.verticalPass(first)
	return p.out, nil
}

// verticalPass computes every output row from the rows of between, whose first is row number first of the picture.
func (p *Preprocessor) verticalPass(first int) {
	stride := 3 * p.width
	p.sums = resized(p.sums, stride)
	for y := range p.height {
		from, weights := p.vertical.taps(y)
		row := func(i int) []byte {
			at := (from - first + i) * stride
			return p.between[at : at+stride : at+stride]
		}
		out := p.out.row(y)
		if len(weights) <= 4 {
			// Up to a reduction of 1.5 or so; fewer rows are filled up with weights of nought.
			var k [4]int32
			copy(k[:], weights)
			n := len(weights) - 1
			combine4(out, row(0), row(min(1, n)), row(min(2, n)), row(min(3, n)), k)
			continue
		}
		for i := range p.sums {
			p.sums[i] = half
		}
		i := 0
		for ; i+2 <= len(weights); i += 2 {
			add2(p.sums, row(i), row(i+1), weights[i], weights[i+1])
		}
		if i < len(weights) {
			add2(p.sums, row(i), row(i), weights[i], 0)
		}
		for i, s := range p.sums {
			out[i] = pixel(s)
		}
	}
}

func combine4(out, a, b, c, d []byte, k [4]int32) {
	n := len(out)
	a, b, c, d = a[:n], b[:n], c[:n], d[:n]
	k0, k1, k2, k3 := k[0], k[1], k[2], k[3]
	for i := range out {
		out[i] = pixel(half + k0*int32(a[i]) + k1*int32(b[i]) + k2*int32(c[i]) + k3*int32(d[i]))
	}
}

func add2(sums []int32, a, b []byte, k0, k1 int32) {
	n := len(sums)
	a, b = a[:n], b[:n]
	for i := range sums {
		sums[i] += k0*int32(a[i]) + k1*int32(b[i])
	}
}

// Fixed point as in Pillow: 8 bits of pixel and 22 of weight fit an int32 with room for the rounding of many weights.
const (
	precision = 32 - 8 - 2
	half      = 1 << (precision - 1)
)

// pixel rounds a sum to a byte. Weights are not negative, so only the upper end needs a limit: rounded weights may add
// up to a little more than one.
func pixel(sum int32) byte { return byte(min(sum>>precision, 255)) }

// filter holds the weights that make each output position out of a run of source positions, along one axis.
type filter struct {
	size, outSize int // what the tables below are for
	from, to      float64
	stride        int     // weights set aside for one output position
	weights       []int32 // fixed point, outSize × stride
	exact         []float64
	first, count  []int // of the source positions of each output position
}

// prepare computes the tables for the part from…to of size source positions, unless they are there already.
func (k *filter) prepare(size, outSize int, from, to float64) {
	if k.size == size && k.outSize == outSize && k.from == from && k.to == to {
		return
	}
	k.size, k.outSize, k.from, k.to = size, outSize, from, to
	scale := (to - from) / float64(outSize)
	support := max(scale, 1)
	k.stride = int(math.Ceil(support))*2 + 1
	k.weights = resized(k.weights, outSize*k.stride)
	k.exact = resized(k.exact, k.stride)
	k.first, k.count = resized(k.first, outSize), resized(k.count, outSize)
	for i := range outSize {
		// The conversions keep the compiler from fusing multiply and add, which would round differently on ARM.
		center := from + float64((float64(i)+0.5)*scale)
		first := max(0, int(center-support+0.5))
		last := min(size, int(center+support+0.5))
		exact, sum := k.exact[:last-first], 0.0
		for j := range exact {
			exact[j] = max(0, 1-math.Abs((float64(first+j)-center+0.5)/support))
			sum += exact[j]
		}
		weights := k.weights[i*k.stride:]
		for j, w := range exact {
			weights[j] = int32(0.5 + float64(w/sum*(1<<precision)))
		}
		// A weight of nought at an end costs time and changes nothing.
		count := len(exact)
		for count > 1 && weights[count-1] == 0 {
			count--
		}
		skip := 0
		for count > 1 && weights[skip] == 0 {
			skip++
			count--
		}
		copy(weights, weights[skip:skip+count])
		k.first[i], k.count[i] = first+skip, count
	}
}

// taps returns the first source position of output position i and the weights from there on.
func (k *filter) taps(i int) (first int, weights []int32) {
	at := i * k.stride
	return k.first[i], k.weights[at : at+k.count[i]]
}

// reach returns the range of source positions that any output position reads.
func (k *filter) reach() (first, last int) {
	first = slices.Min(k.first)
	for i, f := range k.first {
		last = max(last, f+k.count[i])
	}
	return first, last
}

// row filters one row of RGB pixels.
func (k *filter) row(dst, src []byte) {
	for i := range k.outSize {
		first, weights := k.taps(i)
		px := src[3*first : 3*(first+len(weights))]
		r, g, b := int32(half), int32(half), int32(half)
		for _, w := range weights {
			p := px[:3:3]
			r += w * int32(p[0])
			g += w * int32(p[1])
			b += w * int32(p[2])
			px = px[3:]
		}
		d := dst[3*i : 3*i+3 : 3*i+3]
		d[0], d[1], d[2] = pixel(r), pixel(g), pixel(b)
	}
}

// resized returns a slice of n elements, s itself where it is large enough. The content is undefined.
func resized[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n)
	}
	return s[:n]
}
