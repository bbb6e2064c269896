package synth

import "math"

// painter draws the front of a product. Coordinates on it: u from 0 left to 1 right, v from 0 at the top to height at
// the bottom, so that a circle is round.
type painter struct {
	product
	height     float64
	word, kind lettering
}

func newPainter(p product, height float64, font map[byte][7]string) painter {
	return painter{product: p, height: height, word: newLettering(p.word, font), kind: newLettering(p.kind, font)}
}

// texture draws the front, or with plain the back and sides, at that many pixels of width.
func (a *painter) texture(width int, plain bool) *canvas {
	const samples = 2 // along each axis of a pixel
	t := newCanvas(width, int(float64(width)*a.height))
	for y := range t.h {
		for x := range t.w {
			var sum colour
			for i := range samples * samples {
				u := (float64(x) + (float64(i%samples)+0.5)/samples) / float64(width)
				v := (float64(y) + (float64(i/samples)+0.5)/samples) / float64(width)
				c := a.side(u, v)
				if !plain {
					c = a.front(u, v)
				}
				sum = colour{sum[0] + c[0], sum[1] + c[1], sum[2] + c[2]}
			}
			t.pix[y*t.w+x] = sum.times(1.0 / (samples * samples))
		}
	}
	return t
}

// side has small print instead of a picture.
func (a *painter) side(u, v float64) colour {
	line := math.Mod(v*22, 1)
	if u > 0.15 && u < 0.85-0.3*hash(int64(v*22), 0, 7) && line > 0.35 && line < 0.75 && v > 0.3*a.height && v < 0.8*a.height {
		return a.palette.panel.mix(a.palette.ground, 0.3)
	}
	return a.palette.ground
}

func (a *painter) front(u, v float64) colour {
	h, p := a.height, &a.palette
	c := p.ground
	if a.layout != halved || v > 0.5*h {
		c = c.mix(p.second, a.marks(u, v))
	}
	switch a.layout {
	case emblemAbove:
		c = a.badge(c, u, v, 0.5, 0.36*h, 0.31)
		c = a.label(c, u, v, 0.68*h)
	case emblemBelow:
		c = a.badge(c, u, v, 0.5, 0.68*h, 0.29)
		c = a.label(c, u, v, 0.08*h)
	case halved:
		if v <= 0.5*h && a.inside((u-0.5)/0.3, (v-0.27*h)/0.3) {
			c = p.panel
		}
		c = a.label(c, u, v, 0.52*h)
	case banner:
		c = a.badge(c, u, v, 0.29, 0.2*h, 0.2)
		c = a.badge(c, u, v, 0.71, 0.82*h, 0.2)
		c = a.label(c, u, v, 0.4*h)
	}
	return c
}

// badge lays the emblem on a disc.
func (a *painter) badge(c colour, u, v, cu, cv, radius float64) colour {
	x, y := (u-cu)/radius, (v-cv)/radius
	if x*x+y*y > 1 {
		return c
	}
	if a.inside(x/0.82, y/0.82) {
		if contrast := a.palette.ink.luma() - a.palette.panel.luma(); contrast > -90 && contrast < 90 {
			return a.palette.second
		}
		return a.palette.ink
	}
	return a.palette.panel
}

// label is the panel with the brand and, smaller, the kind, from v = top on.
func (a *painter) label(c colour, u, v, top float64) colour {
	const left, right = 0.05, 0.95
	size := min(0.84/float64(a.word.width), 0.27*a.height/14.5) // of one dot
	bottom := top + 14.5*size + 0.03
	if u < left || u > right || v < top || v > bottom {
		return c
	}
	v -= top + 1.2*size + 0.01
	small := 0.55 * size
	if a.word.ink((u-0.5)/size+float64(a.word.width)/2, v/size) ||
		a.kind.ink((u-0.5)/small+float64(a.kind.width)/2, (v-8.3*size)/small) {
		return a.palette.ink
	}
	return a.palette.panel
}

// marks is the pattern: 1 where its colour is.
func (a *painter) marks(u, v float64) float32 {
	n := 6 * a.scale // repeats across the width
	x, y := u*n, v*n
	on := false
	switch a.pattern {
	case bars:
		on = fraction(x) < 0.5
	case bands:
		on = fraction(y) < 0.5
	case slants:
		on = fraction((x+y)*0.75) < 0.5
	case dots:
		row := math.Floor(y)
		dx, dy := fraction(x+0.5*math.Mod(math.Abs(row), 2))-0.5, fraction(y)-0.5
		on = dx*dx+dy*dy < 0.1
	case checks:
		on = (fraction(x*0.5) < 0.5) != (fraction(y*0.5) < 0.5)
	case waves:
		on = fraction(y*0.8+0.35*math.Sin(x*2.6)) < 0.45
	case triangles:
		fx, fy := fraction(x*0.7), fraction(y*0.7)
		on = fy > math.Abs(2*fx-1)
	case gradient:
		return float32(min(max(v/a.height*1.2-0.1, 0), 1))
	case rings:
		on = fraction(math.Hypot(u-0.5, v-0.5*a.height)*n) < 0.5
	}
	if on {
		return 1
	}
	return 0
}

func fraction(x float64) float64 { return x - math.Floor(x) }

// inside reports whether x, y lies in the emblem, which fills the circle of radius 1; y points down.
func (a *painter) inside(x, y float64) bool {
	r, angle := math.Hypot(x, y), math.Atan2(x, -y) // clockwise from the top
	switch a.emblem {
	case star:
		return r < polygonStar(angle, 5, 0.42)
	case heart:
		x, y = math.Abs(x), y+0.25
		return y < 0 && math.Hypot(x-0.42, y) < 0.46 || y >= 0 && x+0.78*y < 0.88
	case drop:
		return math.Hypot(x, y-0.35) < 0.58 || y < 0.35 && y > -1 && math.Abs(x) < 0.48*(y+1)
	case moon:
		return r < 0.95 && math.Hypot(x-0.45, y+0.15) > 0.75
	case bolt:
		return polygon(x, y, []float64{0.15, -1, -0.55, 0.15, -0.05, 0.15, -0.2, 1, 0.55, -0.25, 0.05, -0.25, 0.4, -1})
	case leaf:
		x, y = (x+y)/math.Sqrt2, (y-x)/math.Sqrt2
		return math.Hypot(x, y-0.7) < 1.2 && math.Hypot(x, y+0.7) < 1.2 && (math.Abs(y) > 0.06 || x > 0.5)
	case hexagon:
		return r < 0.85/math.Cos(math.Mod(angle+2*math.Pi, math.Pi/3)-math.Pi/6) && r > 0.35
	case cross:
		return min(math.Abs(x), math.Abs(y)) < 0.3 && max(math.Abs(x), math.Abs(y)) < 0.95
	case flower:
		return r < 0.62+0.33*math.Cos(6*angle) && r > 0.2
	case ring:
		return r < 0.95 && r > 0.6 || r < 0.3
	case mountain:
		return y < 0.65 && (y > -0.85+1.5*math.Abs(x+0.2) || y > -0.35+1.5*math.Abs(x-0.45))
	case fish:
		return (x+0.2)*(x+0.2)/0.6+y*y/0.2 < 1 || x > 0.35 && x < 0.95 && math.Abs(y) < x-0.35
	}
	return false
}

// polygonStar is the radius of a star with that many points at an angle; inner is its smallest radius.
func polygonStar(angle float64, points int, inner float64) float64 {
	half := math.Pi / float64(points)
	t := math.Abs(math.Mod(angle+2*math.Pi+half, 2*half)-half) / half // 0 at a point, 1 between two
	return 1 / ((1 - t) + t/inner)
}

// polygon reports whether x, y lies within the corners, x and y alternating (even-odd rule).
func polygon(x, y float64, corners []float64) bool {
	in := false
	for i, j := 0, len(corners)-2; i < len(corners); i, j = i+2, i {
		xi, yi, xj, yj := corners[i], corners[i+1], corners[j], corners[j+1]
		if (yi > y) != (yj > y) && x < (xj-xi)*(y-yi)/(yj-yi)+xi {
			in = !in
		}
	}
	return in
}
