package vision

import (
	"fmt"
	"math"
	"slices"
	"sort"
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
	if p.horizontal.prepare(f.Width, p.width, box.X0, box.X1) && vectorUnit() {
		p.horizontal.pack()
	}
	p.vertical.prepare(f.Height, p.height, box.Y0, box.Y1)

	row, column := rowPlain, columnPlain
	if vectorUnit() {
		row, column = rowVector, columnVector
	}
	// Only the rows that the vertical pass will read go through the horizontal one.
	first, last := p.vertical.reach()
	p.between = resized(p.between, 3*p.width*(last-first))
	for y := first; y < last; y++ {
		at := 3 * p.width * (y - first)
		row(&p.horizontal, p.between[at:at+3*p.width], f.row(y))
	}
	p.verticalPass(first, column)
	return p.out, nil
}

// verticalPass computes every output row from the rows of between, whose first is row number first of the picture.
func (p *Preprocessor) verticalPass(first int, column func(out, rows []byte, weights, sums []int32)) {
	stride := 3 * p.width
	p.sums = resized(p.sums, stride)
	for y := range p.height {
		from, weights := p.vertical.taps(y)
		column(p.out.row(y), p.between[(from-first)*stride:(from-first+len(weights))*stride], weights, p.sums)
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
	first, count  []int   // of the source positions of each output position
	packed        []int16 // the weights once more, for rowVector; see pack
	groups        int     // of them for one output position
}

// prepare computes the tables for the part from…to of size source positions, and reports whether they are new.
func (k *filter) prepare(size, outSize int, from, to float64) bool {
	if k.size == size && k.outSize == outSize && k.from == from && k.to == to {
		return false
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
	return true
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

// The vector instructions take four source positions at a time, and the weights in halves of lowBits and the rest, each
// in vectorWeights values: two neighbouring weights for red, for green and for blue, and a pair of nought; twice.
const (
	lowBits       = precision / 2
	vectorGroup   = 4
	vectorWeights = 16
)

// pack lays out the weights for rowVector. Positions beyond an output's own have weights of nought.
func (k *filter) pack() {
	k.groups = (slices.Max(k.count) + vectorGroup - 1) / vectorGroup
	k.packed = resized(k.packed, k.outSize*k.groups*2*vectorWeights)
	clear(k.packed)
	at := 0
	for i := range k.outSize {
		_, weights := k.taps(i)
		for g := range k.groups {
			for j, w := range weights[min(g*vectorGroup, len(weights)):min((g+1)*vectorGroup, len(weights))] {
				for channel := range 3 {
					lane := at + j/2*8 + 2*channel + j%2
					k.packed[lane], k.packed[lane+vectorWeights] = int16(w>>lowBits), int16(w&(1<<lowBits-1))
				}
			}
			at += 2 * vectorWeights
		}
	}
}

// safe returns how many output positions of a row of n bytes rowVector computes: those whose loads of 16 bytes, of which
// 12 count, stay within the row.
func (k *filter) safe(n int) int {
	reach := 12*(k.groups-1) + 16
	return sort.Search(k.outSize, func(i int) bool { return 3*k.first[i]+reach > n })
}

// resized returns a slice of n elements, s itself where it is large enough. The content is undefined.
func resized[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n)
	}
	return s[:n]
}
