package synth

import (
	"io"
	"math"
	"math/rand/v2"

	"xbmedge/internal/vision"
)

// camera takes pictures of one size. Its memory is reused; one for each goroutine.
type camera struct {
	picture, scratch *canvas
	samples          []vector // of a pixel, x and y from its corner
}

// newCamera makes a camera; a fine one looks at each pixel in four places, the other in two.
func newCamera(w, h int, fine bool) *camera {
	c := &camera{picture: newCanvas(w, h), scratch: newCanvas(w, h)}
	c.samples = []vector{{0.25, 0.3}, {0.75, 0.7}}
	if fine {
		c.samples = []vector{{0.125, 0.375}, {0.375, 0.875}, {0.625, 0.125}, {0.875, 0.625}}
	}
	return c
}

// shot is one picture to be taken.
type shot struct {
	model        *model // nil: nothing but the backdrop
	pose         pose
	backdrop     *backdrop
	backX, backY float64 // 0…1, where on the backdrop
	light        light
	fingers      []finger
}

// finger is a capsule that holds the thing, in shares of the picture's height from its centre.
type finger struct {
	x0, y0, x1, y1, radius float64
	skin                   colour
}

// take renders the shot and writes it as a JPEG.
func (c *camera) take(w io.Writer, s *shot, rng *rand.Rand) error {
	s.backdrop.draw(c.picture, s.backX, s.backY)
	if s.model != nil {
		c.shadow(s)
		for _, f := range s.model.faces(s.pose, c.picture.w, c.picture.h, s.light.gloss) {
			c.draw(&f)
		}
		for _, f := range s.fingers {
			c.finger(f)
		}
	}
	s.light.expose(c.picture, c.scratch, rng)
	return vision.EncodeJPEG(w, c.picture.frame(), s.light.quality)
}

// draw lays a face over the picture.
func (c *camera) draw(f *face) {
	m := &f.inverse
	share := 1 / float32(len(c.samples))
	for y := f.y0; y < f.y1; y++ {
		row := c.picture.pix[y*c.picture.w : (y+1)*c.picture.w]
		for x := f.x0; x < f.x1; x++ {
			var sum colour
			covered := float32(0)
			for _, s := range c.samples {
				lx, ly := project(m, float64(x)+s[0], float64(y)+s[1])
				if p, on := f.look(lx, ly); on {
					for i := range sum {
						sum[i] += p[i]
					}
					covered += share
				}
			}
			if covered > 0 {
				for i := range sum {
					row[x][i] = row[x][i]*(1-covered) + sum[i]*share
				}
			}
		}
	}
}

// shadow darkens the backdrop around the thing, more below than above.
func (c *camera) shadow(s *shot) {
	w, h := float64(c.picture.w), float64(c.picture.h)
	cx, cy := w/2+s.pose.x*h, h/2+(s.pose.y+0.06)*h
	rx, ry := s.model.width/2*s.pose.size*h*1.25, s.pose.size/2*h*1.12
	for y := max(0, int(cy-ry)); y < min(c.picture.h, int(cy+ry)); y++ {
		for x := max(0, int(cx-rx)); x < min(c.picture.w, int(cx+rx)); x++ {
			dx, dy := (float64(x)-cx)/rx, (float64(y)-cy)/ry
			if d := dx*dx*dx*dx + dy*dy*dy*dy; d < 1 {
				p := &c.picture.pix[y*c.picture.w+x]
				*p = p.times(float32(1 - 0.45*(1-d)))
			}
		}
	}
}

func (c *camera) finger(f finger) {
	w, h := float64(c.picture.w), float64(c.picture.h)
	x0, y0, x1, y1, r := w/2+f.x0*h, h/2+f.y0*h, w/2+f.x1*h, h/2+f.y1*h, f.radius*h
	dx, dy := x1-x0, y1-y0
	length := max(dx*dx+dy*dy, 1e-9)
	for y := max(0, int(min(y0, y1)-r-1)); y < min(c.picture.h, int(max(y0, y1)+r+2)); y++ {
		for x := max(0, int(min(x0, x1)-r-1)); x < min(c.picture.w, int(max(x0, x1)+r+2)); x++ {
			px, py := float64(x)+0.5-x0, float64(y)+0.5-y0
			t := min(max((px*dx+py*dy)/length, 0), 1)
			d := math.Hypot(px-t*dx, py-t*dy) / r
			cover := float32(min(max((1-d)*r+0.5, 0), 1)) // soft over one pixel
			if cover > 0 {
				p := &c.picture.pix[y*c.picture.w+x]
				*p = p.mix(f.skin.times(float32(1.05-0.4*d*d)), cover)
			}
		}
	}
}

// newPose holds a thing roughly in the middle, nearly filling a square picture.
func newPose(rng *rand.Rand, m *model) pose {
	const degree = math.Pi / 180
	sym := func(f float64) float64 { return f * (2*rng.Float64() - 1) }
	return pose{
		x: sym(0.05), y: sym(0.045), size: 0.74 + 0.17*rng.Float64() + 0.07*(0.8-m.width),
		yaw: sym(30 * degree), pitch: sym(16 * degree), roll: (sym(14) + sym(11)) * degree,
	}
}

// newFingers holds the thing at one edge, covering a small part of it.
func newFingers(rng *rand.Rand, p pose, m *model) []finger {
	tone := colour{232, 184, 152}.mix(colour{92, 58, 40}, rng.Float32())
	sin, cos := math.Sincos(p.roll)
	side := float64(1 - 2*rng.IntN(2))
	below := rng.Float64() < 0.4
	n := 1 + rng.IntN(3)
	along := 0.5*rng.Float64() - 0.1
	var fingers []finger
	for i := range n {
		// Tip and root in the thing's own directions, from its centre, in its heights.
		step := along + 0.115*float64(i)
		tx, ty := side*(m.width/2-0.05-0.05*rng.Float64()), step
		rx, ry := side*(m.width/2+1.7), step+0.4
		if below {
			tx, ty = side*(step-0.15), 0.43-0.05*rng.Float64()
			rx, ry = tx+0.1*side, 1.2
		}
		turn := func(x, y float64) (float64, float64) {
			return p.x + p.size*(cos*x-sin*y), p.y + p.size*(sin*x+cos*y)
		}
		f := finger{radius: 0.05 * p.size, skin: tone}
		f.x0, f.y0 = turn(tx, ty)
		f.x1, f.y1 = turn(rx, ry)
		fingers = append(fingers, f)
	}
	return fingers
}
