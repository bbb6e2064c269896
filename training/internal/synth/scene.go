package synth

import (
	"math"
	"math/rand/v2"
)

// backdrop is what lies behind the thing: a small picture that is enlarged, and so out of focus.
type backdrop struct {
	canvas *canvas
	zoom   float64 // pixels of the picture for one of the backdrop
}

// newBackdrop makes a cluttered one that covers w×h pixels and some more, so that the camera can move.
func newBackdrop(rng *rand.Rand, w, h int, zoom float64) *backdrop {
	b := &backdrop{newCanvas(int(1.4*float64(w)/zoom)+2, int(1.4*float64(h)/zoom)+2), zoom}
	c := b.canvas
	seed := rng.Uint64()
	one, two := muted(rng), muted(rng)
	table := muted(rng)
	horizon := float64(c.h) * (0.35 + 0.8*rng.Float64()) // often below the picture: no table at all
	unit := float64(c.h) / 6
	stretch := 1 + 5*rng.Float64()*rng.Float64() // the grain of wood
	for y := range c.h {
		for x := range c.w {
			fx, fy := float64(x)/unit, float64(y)/unit
			n := 0.6*valueNoise(fx/stretch, fy, seed) + 0.3*valueNoise(3*fx/stretch, 3*fy, seed+1) + 0.2*valueNoise(8*fx/stretch, 8*fy, seed+2)
			p := one.mix(two, float32(0.5+0.5*n))
			if float64(y) > horizon {
				p = table.times(float32(1 + 0.25*n))
			}
			c.pix[y*c.w+x] = p
		}
	}
	for range 3 + rng.IntN(10) {
		clutter(rng, c, unit)
	}
	c.smooth(0.25, newCanvas(c.w, c.h)) // no stairs at the edges
	return b
}

// muted is a colour as walls and tables have it, now and then a lively one.
func muted(rng *rand.Rand) colour {
	gray := 40 + 180*rng.Float64()
	spread := 25.0
	if rng.Float64() < 0.25 {
		spread = 70
	}
	var c colour
	for i := range c {
		c[i] = float32(min(max(gray+spread*(2*rng.Float64()-1), 5), 250))
	}
	return c
}

// lively is the colour of some package or toy.
func lively(rng *rand.Rand) colour {
	var c colour
	for i := range c {
		c[i] = float32(20 + 225*rng.Float64())
	}
	return c
}

// clutter draws one thing that nobody asks about: a box, a ball or a striped something.
func clutter(rng *rand.Rand, c *canvas, unit float64) {
	cx, cy := rng.Float64()*float64(c.w), rng.Float64()*float64(c.h)
	rx, ry := unit*(0.15+1.1*rng.Float64()), unit*(0.15+1.1*rng.Float64())
	sin, cos := math.Sincos((rng.Float64() - 0.5) * 1.5)
	round, striped := rng.Float64() < 0.4, rng.Float64() < 0.4
	one, two := lively(rng), lively(rng)
	if rng.Float64() < 0.5 {
		one = muted(rng)
	}
	reach := int(math.Hypot(rx, ry)) + 1
	for y := max(0, int(cy)-reach); y < min(c.h, int(cy)+reach); y++ {
		for x := max(0, int(cx)-reach); x < min(c.w, int(cx)+reach); x++ {
			dx, dy := float64(x)-cx, float64(y)-cy
			u, v := (cos*dx+sin*dy)/rx, (cos*dy-sin*dx)/ry
			if round && u*u+v*v > 1 || math.Abs(u) > 1 || math.Abs(v) > 1 {
				continue
			}
			p := one
			if striped && fraction(2.5*v) < 0.5 {
				p = two
			}
			c.pix[y*c.w+x] = p.times(float32(1 - 0.25*u))
		}
	}
}

// draw fills the picture. dx and dy, 0…1, move over the part that is too much.
func (b *backdrop) draw(out *canvas, dx, dy float64) {
	step := 1 / b.zoom
	left := dx * (float64(b.canvas.w) - float64(out.w)*step)
	top := dy * (float64(b.canvas.h) - float64(out.h)*step)
	line := make([]colour, b.canvas.w) // two rows of the backdrop mixed, so that pixels mix only two colours
	for y := range out.h {
		sy := top + (float64(y)+0.5)*step - 0.5
		y0 := min(max(int(sy), 0), b.canvas.h-2)
		above, below := b.canvas.pix[y0*b.canvas.w:], b.canvas.pix[(y0+1)*b.canvas.w:]
		t := float32(min(max(sy-float64(y0), 0), 1))
		for x := range line {
			line[x] = above[x].mix(below[x], t)
		}
		row := out.pix[y*out.w : (y+1)*out.w]
		for x := range row {
			sx := float32(left + (float64(x)+0.5)*step - 0.5)
			x0 := min(max(int(sx), 0), len(line)-2)
			row[x] = line[x0].mix(line[x0+1], min(max(sx-float32(x0), 0), 1))
		}
	}
}

// light is how a scene is lit and how the camera takes it.
type light struct {
	gain, gamma    float64
	cast           colour // factor of each channel, about 1
	vignette       float64
	shade, shadeAt float64 // a shadow over part of the picture: how dark, and from which direction (radians)
	blur           float32 // as canvas.smooth takes it
	noise          float64 // standard deviation in steps of 0…255
	quality        int     // of the JPEG
	gloss          gloss
}

func newLight(rng *rand.Rand) light {
	l := light{
		gain:     0.68 + 0.55*rng.Float64(),
		gamma:    0.8 + 0.45*rng.Float64(),
		vignette: 0.35 * rng.Float64(),
		shadeAt:  2 * math.Pi * rng.Float64(),
		noise:    1 + 5.5*rng.Float64()*rng.Float64(),
		quality:  60 + rng.IntN(36),
	}
	warm := 0.13 * (2*rng.Float64() - 1)
	l.cast = colour{float32(1 + warm), float32(1 + 0.05*(2*rng.Float64()-1)), float32(1 - warm)}
	if rng.Float64() < 0.5 {
		l.shade = 0.4 * rng.Float64()
	}
	if rng.Float64() < 0.5 {
		l.blur = float32(0.28 * rng.Float64())
	}
	if rng.Float64() < 0.3 {
		l.gloss = gloss{1.6*rng.Float64() - 0.8, 1.6*rng.Float64() - 0.8, 0.2 + 0.25*rng.Float64(), 0.3 + 0.45*rng.Float64()}
	}
	return l
}

// expose turns what is there into what the sensor gives.
func (l *light) expose(c, scratch *canvas, rng *rand.Rand) {
	if l.blur > 0 {
		c.smooth(l.blur, scratch)
	}
	const steps = 1024 // of the curve over 0…256
	var curve [steps]float32
	for i := range curve {
		curve[i] = float32(255 * math.Pow(float64(i)/(steps-1)*256/255, l.gamma))
	}
	const deviation, mean = 147.8, 4 * 127.5 // of the sum of four random bytes
	grain := float32(l.noise / deviation)
	falloff := make([]float32, c.w)
	var bits uint64
	left := 0
	for y := range c.h {
		if y%tile == 0 {
			l.falloff(falloff, c.w, c.h, y)
		}
		row := c.pix[y*c.w : (y+1)*c.w]
		for x := range row {
			for i := range 3 {
				v := min(max(row[x][i]*l.cast[i]*falloff[x], 0), 255)
				if left == 0 {
					bits, left = rng.Uint64(), 2
				}
				sum := bits&0xff + bits>>8&0xff + bits>>16&0xff + bits>>24&0xff
				bits >>= 32
				left--
				row[x][i] = curve[int(v*((steps-1)/256.0))] + grain*(float32(sum)-mean)
			}
		}
	}
}

// tile is how many rows share one line of light: it changes slowly.
const tile = 2

// falloff computes how much light row y gets, gain included, interpolating between every eighth pixel.
func (l *light) falloff(out []float32, w, h, y int) {
	const stride = 8
	sin, cos := math.Sincos(l.shadeAt)
	fy := 2*float64(y)/float64(h) - 1
	at := func(x int) float32 {
		fx := 2*float64(x)/float64(w) - 1
		f := l.gain * (1 - l.vignette*0.5*(fx*fx+fy*fy))
		return float32(f * (1 - l.shade*smoothstep(min(max(0.5+0.8*(cos*fx+sin*fy), 0), 1))))
	}
	from := at(0)
	for x := 0; x < w; x += stride {
		to := at(x + stride)
		for i := range min(stride, w-x) {
			out[x+i] = from + (to-from)*float32(i)/stride
		}
		from = to
	}
}
