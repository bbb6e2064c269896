package dataset

import (
	"math"
	"math/rand/v2"

	"xbmedge/internal/vision"
)

// mirror swaps left and right.
func mirror(f vision.Frame) {
	for y := range f.Height {
		row := f.Pix[3*f.Width*y : 3*f.Width*(y+1)]
		for i, j := 0, len(row)-3; i < j; i, j = i+3, j-3 {
			for c := range 3 {
				row[i+c], row[j+c] = row[j+c], row[i+c]
			}
		}
	}
}

// warp turns the picture about its centre and tilts it: each pixel of the result is fetched through a projective map.
// What comes from outside repeats the edge.
func (g *Augmenter) warp(rng *rand.Rand, f *vision.Frame) {
	sin, cos := math.Sincos(between(rng, -1, 1) * g.augment.WarpDegrees * math.Pi / 180)
	// Tilting by t makes the far side 1/(1−t) and the near side 1/(1+t) as large.
	tx := between(rng, -1, 1) * 2 * g.augment.WarpTilt / float64(f.Width)
	ty := between(rng, -1, 1) * 2 * g.augment.WarpTilt / float64(f.Height)
	cx, cy := float64(f.Width-1)/2, float64(f.Height-1)/2
	copy(g.scratch.Pix, f.Pix)
	for y := range f.Height {
		for x := range f.Width {
			dx, dy := float64(x)-cx, float64(y)-cy
			z := 1 + tx*dx + ty*dy
			fetch(f.Pix[3*(y*f.Width+x):], g.scratch, cx+(cos*dx-sin*dy)/z, cy+(sin*dx+cos*dy)/z)
		}
	}
}

// fetch writes the colour between pixels at x, y of f into out, bilinearly.
func fetch(out []byte, f vision.Frame, x, y float64) {
	x, y = min(max(x, 0), float64(f.Width-1)), min(max(y, 0), float64(f.Height-1))
	x0, y0 := int(x), int(y)
	wx, wy := int(256*(x-float64(x0))), int(256*(y-float64(y0)))
	right, down := 3, 3*f.Width
	if x0 == f.Width-1 {
		right = 0
	}
	if y0 == f.Height-1 {
		down = 0
	}
	at := 3 * (y0*f.Width + x0)
	for c := range 3 {
		p := at + c
		top := int(f.Pix[p])*(256-wx) + int(f.Pix[p+right])*wx
		bottom := int(f.Pix[p+down])*(256-wx) + int(f.Pix[p+down+right])*wx
		out[c] = byte((top*(256-wy) + bottom*wy + 1<<15) >> 16)
	}
}

// matrix maps one RGB colour to another, row by row.
type matrix [3][3]float32

func (m matrix) times(n matrix) matrix {
	var out matrix
	for i := range out {
		for j := range out[i] {
			for k := range n {
				out[i][j] += m[i][k] * n[k][j]
			}
		}
	}
	return out
}

// Weights of red, green and blue in brightness (ITU-R BT.601).
const lumaR, lumaG, lumaB = 0.299, 0.587, 0.114

// saturation mixes each colour with its own gray; 0 is gray, 1 leaves it.
func saturation(s float32) matrix {
	r, g, b := (1-s)*lumaR, (1-s)*lumaG, (1-s)*lumaB
	return matrix{{r + s, g, b}, {r, g + s, b}, {r, g, b + s}}
}

// hue turns the colour circle in the plane of equal brightness of YIQ.
func hue(degrees float64) matrix {
	sin64, cos64 := math.Sincos(degrees * math.Pi / 180)
	sin, cos := float32(sin64), float32(cos64)
	toYIQ := matrix{{lumaR, lumaG, lumaB}, {0.596, -0.274, -0.322}, {0.211, -0.523, 0.312}}
	toRGB := matrix{{1, 0.956, 0.621}, {1, -0.272, -0.647}, {1, -1.106, 1.703}}
	return toRGB.times(matrix{{1, 0, 0}, {0, cos, -sin}, {0, sin, cos}}).times(toYIQ)
}

// jitter changes brightness, contrast, saturation and hue in one pass.
func jitter(rng *rand.Rand, f vision.Frame, a *Augment) {
	brightness := float32(1 + between(rng, -1, 1)*a.Brightness)
	contrast := float32(1 + between(rng, -1, 1)*a.Contrast)
	m := saturation(float32(1 + between(rng, -1, 1)*a.Saturation))
	if turn := between(rng, -1, 1) * a.Hue; turn != 0 {
		m = hue(turn).times(m)
	}
	for i := range m {
		for j := range m[i] {
			m[i][j] *= brightness * contrast
		}
	}
	recolour(f, m, (1-contrast)*brightness*meanLuma(f))
}

// meanLuma is the point that a change of contrast leaves where it is.
func meanLuma(f vision.Frame) float32 {
	var sums [3]int
	for i := 0; i+3 <= len(f.Pix); i += 3 {
		sums[0] += int(f.Pix[i])
		sums[1] += int(f.Pix[i+1])
		sums[2] += int(f.Pix[i+2])
	}
	n := float32(len(f.Pix) / 3)
	return (lumaR*float32(sums[0]) + lumaG*float32(sums[1]) + lumaB*float32(sums[2])) / n
}

// recolour maps each pixel through m and adds offset.
func recolour(f vision.Frame, m matrix, offset float32) {
	for i := 0; i+3 <= len(f.Pix); i += 3 {
		p := f.Pix[i : i+3 : i+3]
		r, g, b := float32(p[0]), float32(p[1]), float32(p[2])
		for c := range m {
			p[c] = clamp(m[c][0]*r + m[c][1]*g + m[c][2]*b + offset)
		}
	}
}

func clamp(v float32) byte { return byte(min(max(v+0.5, 0), 255)) }

// blur weighs each pixel with its eight neighbours, 1 2 1 in both directions; edges repeat.
func (g *Augmenter) blur(f *vision.Frame) {
	stride := 3 * f.Width
	for y := range f.Height {
		row, out := f.Pix[y*stride:(y+1)*stride], g.scratch.Pix[y*stride:(y+1)*stride]
		for i := range row {
			left, right := max(i-3, i%3), min(i+3, stride-3+i%3)
			out[i] = byte((int(row[left]) + 2*int(row[i]) + int(row[right]) + 2) / 4)
		}
	}
	last := f.Height - 1
	for y := range f.Height {
		above := g.scratch.Pix[max(y-1, 0)*stride:]
		here := g.scratch.Pix[y*stride:]
		below := g.scratch.Pix[min(y+1, last)*stride:]
		out := f.Pix[y*stride : (y+1)*stride]
		for i := range out {
			out[i] = byte((int(above[i]) + 2*int(here[i]) + int(below[i]) + 2) / 4)
		}
	}
}

// noise adds about normal noise: the sum of four bytes has a standard deviation of 147.8 and nobody sees the difference.
func noise(rng *rand.Rand, f vision.Frame, sigma float64) {
	const mean, deviation = 4 * 127.5, 147.8
	scale := float32(sigma / deviation)
	for i := 0; i < len(f.Pix); i += 2 {
		bits := rng.Uint64()
		for j := i; j < min(i+2, len(f.Pix)); j++ {
			sum := bits&0xff + bits>>8&0xff + bits>>16&0xff + bits>>24&0xff
			f.Pix[j] = clamp(float32(f.Pix[j]) + scale*(float32(sum)-mean))
			bits >>= 32
		}
	}
}

// erase covers a rectangle with one colour (Zhong et al., Random Erasing, arXiv 1708.04896).
func erase(rng *rand.Rand, f vision.Frame, scaleMin, scaleMax float64) {
	area := between(rng, scaleMin, scaleMax) * float64(f.Width*f.Height)
	aspect := math.Exp(between(rng, -1, 1) * math.Log(3))
	w := min(f.Width, int(math.Sqrt(area*aspect)))
	h := min(f.Height, int(math.Sqrt(area/aspect)))
	x0, y0 := rng.IntN(f.Width-w+1), rng.IntN(f.Height-h+1)
	bits := rng.Uint32()
	for y := y0; y < y0+h; y++ {
		for x := x0; x < x0+w; x++ {
			p := f.Pix[3*(y*f.Width+x):]
			p[0], p[1], p[2] = byte(bits), byte(bits>>8), byte(bits>>16)
		}
	}
}
