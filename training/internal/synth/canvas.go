package synth

import (
	"math"

	"xbmedge/internal/vision"
)

// colour is red, green and blue in 0…255, not limited while light is still being worked out.
type colour [3]float32

func rgb(hex uint32) colour {
	return colour{float32(hex >> 16), float32(hex >> 8 & 0xff), float32(hex & 0xff)}
}

func (c colour) times(f float32) colour { return colour{c[0] * f, c[1] * f, c[2] * f} }

// mix goes from c at 0 to d at 1.
func (c colour) mix(d colour, t float32) colour {
	return colour{c[0] + t*(d[0]-c[0]), c[1] + t*(d[1]-c[1]), c[2] + t*(d[2]-c[2])}
}

func (c colour) luma() float32 { return 0.299*c[0] + 0.587*c[1] + 0.114*c[2] }

// canvas is a picture in floating point.
type canvas struct {
	w, h int
	pix  []colour
}

func newCanvas(w, h int) *canvas { return &canvas{w: w, h: h, pix: make([]colour, w*h)} }

// at returns the colour between pixels, bilinearly; x and y are in pixels with the first pixel's centre at 0.5. What is
// outside repeats the edge.
func (c *canvas) at(x, y float32) colour {
	x, y = min(max(x-0.5, 0), float32(c.w-1)), min(max(y-0.5, 0), float32(c.h-1))
	x0, y0 := int(x), int(y)
	tx, ty := x-float32(x0), y-float32(y0)
	x1, y1 := min(x0+1, c.w-1), min(y0+1, c.h-1)
	a, b := &c.pix[y0*c.w+x0], &c.pix[y0*c.w+x1]
	d, e := &c.pix[y1*c.w+x0], &c.pix[y1*c.w+x1]
	wa, wb, wd, we := (1-tx)*(1-ty), tx*(1-ty), (1-tx)*ty, tx*ty
	return colour{
		wa*a[0] + wb*b[0] + wd*d[0] + we*e[0],
		wa*a[1] + wb*b[1] + wd*d[1] + we*e[1],
		wa*a[2] + wb*b[2] + wd*d[2] + we*e[2],
	}
}

// half returns the canvas reduced to half its size, the next level for a picture seen from farther away.
func (c *canvas) half() *canvas {
	out := newCanvas(max(1, c.w/2), max(1, c.h/2))
	for y := range out.h {
		for x := range out.w {
			sx, sy := min(2*x, c.w-1), min(2*y, c.h-1)
			tx, ty := min(sx+1, c.w-1), min(sy+1, c.h-1)
			a, b := c.pix[sy*c.w+sx].mix(c.pix[sy*c.w+tx], 0.5), c.pix[ty*c.w+sx].mix(c.pix[ty*c.w+tx], 0.5)
			out.pix[y*out.w+x] = a.mix(b, 0.5)
		}
	}
	return out
}

// smooth weighs each pixel with its neighbours 1−2s : s : s, along x and then along y. s is 0…0.33. The other canvas is
// scratch of the same size.
func (c *canvas) smooth(s float32, scratch *canvas) {
	for y := range c.h {
		row, out := c.pix[y*c.w:(y+1)*c.w], scratch.pix[y*c.w:(y+1)*c.w]
		for x := range row {
			l, r := row[max(x-1, 0)], row[min(x+1, c.w-1)]
			for i := range 3 {
				out[x][i] = (1-2*s)*row[x][i] + s*(l[i]+r[i])
			}
		}
	}
	for y := range c.h {
		above, below := scratch.pix[max(y-1, 0)*c.w:], scratch.pix[min(y+1, c.h-1)*c.w:]
		here, out := scratch.pix[y*c.w:], c.pix[y*c.w:(y+1)*c.w]
		for x := range out {
			for i := range 3 {
				out[x][i] = (1-2*s)*here[x][i] + s*(above[x][i]+below[x][i])
			}
		}
	}
}

// frame rounds the canvas to bytes.
func (c *canvas) frame() vision.Frame {
	f := vision.NewFrame(c.w, c.h)
	out := f.Pix
	for i := range c.pix {
		p := &c.pix[i]
		out[0] = byte(min(max(p[0]+0.5, 0), 255))
		out[1] = byte(min(max(p[1]+0.5, 0), 255))
		out[2] = byte(min(max(p[2]+0.5, 0), 255))
		out = out[3:]
	}
	return f
}

// valueNoise is smooth random noise in −1…1 with one random value at each whole x, y.
func valueNoise(x, y float64, seed uint64) float64 {
	fx, fy := math.Floor(x), math.Floor(y)
	tx, ty := smoothstep(x-fx), smoothstep(y-fy)
	ix, iy := int64(fx), int64(fy)
	top := hash(ix, iy, seed) + tx*(hash(ix+1, iy, seed)-hash(ix, iy, seed))
	bottom := hash(ix, iy+1, seed) + tx*(hash(ix+1, iy+1, seed)-hash(ix, iy+1, seed))
	return top + ty*(bottom-top)
}

func smoothstep(t float64) float64 { return t * t * (3 - 2*t) }

// hash maps a lattice point to −1…1 (the finaliser of SplitMix64).
func hash(x, y int64, seed uint64) float64 {
	h := seed ^ uint64(x)*0x9e3779b97f4a7c15 ^ uint64(y)*0xc2b2ae3d27d4eb4f
	h = (h ^ h>>30) * 0xbf58476d1ce4e5b9
	h = (h ^ h>>27) * 0x94d049bb133111eb
	h ^= h >> 31
	return float64(h>>11)/(1<<52) - 1
}
