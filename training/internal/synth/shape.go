package synth

import "math"

// model is a product as it is photographed: its textures at several sizes and its proportions.
type model struct {
	product
	front, side []*canvas // from large to small, each half the size of the one before
	width       float64   // of the front, with a height of 1
	depth       float64   // of a box, likewise
}

// textureWidth is enough for a front that fills a picture 360 pixels high.
const textureWidth = 240

func newModel(p product, font map[byte][7]string) *model {
	m := &model{product: p}
	height := 1.0 // of the printed front, with a width of 1
	switch p.shape {
	case box:
		m.width, m.depth = 0.72, 0.28
		height = 1 / m.width
	case can:
		m.width = 0.66
		height = 1 / m.width
	case pouch:
		m.width = 0.78
		height = 1 / m.width
	default:
		m.width = 0.56
		height = labelHeight / 2 / m.width
	}
	a := newPainter(p, height, font)
	m.front = levels(a.texture(textureWidth, false))
	m.side = levels(a.texture(textureWidth/2, true))
	return m
}

func levels(c *canvas) []*canvas {
	list := []*canvas{c}
	for c.w > 16 {
		c = c.half()
		list = append(list, c)
	}
	return list
}

// vector is a point in space: x right, y down, z towards the camera.
type vector [3]float64

func (v vector) plus(w vector, f float64) vector {
	return vector{v[0] + f*w[0], v[1] + f*w[1], v[2] + f*w[2]}
}

// pose is where a thing is and how it is turned. Angles are in radians.
type pose struct {
	x, y             float64 // of its centre, in shares of the picture's height from the picture's centre
	size             float64 // its height in shares of the picture's height
	yaw, pitch, roll float64
}

// between goes from p at 0 to q at 1.
func (p pose) between(q pose, t float64) pose {
	mix := func(a, b float64) float64 { return a + t*(b-a) }
	return pose{mix(p.x, q.x), mix(p.y, q.y), mix(p.size, q.size), mix(p.yaw, q.yaw), mix(p.pitch, q.pitch), mix(p.roll, q.roll)}
}

// axes returns the directions of a thing's right, down and front in the camera's space.
func (p pose) axes() (right, down, front vector) {
	sy, cy := math.Sincos(p.yaw)
	sp, cp := math.Sincos(p.pitch)
	sr, cr := math.Sincos(p.roll)
	turn := func(v vector) vector {
		v = vector{cy*v[0] + sy*v[2], v[1], cy*v[2] - sy*v[0]}
		v = vector{v[0], cp*v[1] + sp*v[2], cp*v[2] - sp*v[1]}
		return vector{cr*v[0] - sr*v[1], sr*v[0] + cr*v[1], v[2]}
	}
	return turn(vector{1, 0, 0}), turn(vector{0, 1, 0}), turn(vector{0, 0, 1})
}

// face is one flat part of a thing in the picture. Its local coordinates are −1…1 across and −1…1 down.
type face struct {
	inverse        [9]float64 // picture to local, projective
	x0, y0, x1, y1 int        // the part of the picture it can reach
	// look gives the colour at a local point and how much it covers, 0 or 1.
	look func(x, y float64) (colour, bool)
}

// distance of the camera in heights of the thing; closer means more perspective.
const distance = 3.2

// newFace projects the face about center with these half axes, all in heights of the thing, into a picture of w×h
// pixels. reach is how far the face extends in local coordinates.
func newFace(center, across, down vector, p pose, w, h int, reach float64, look func(x, y float64) (colour, bool)) face {
	focal := distance * p.size * float64(h)
	cx, cy := float64(w)/2+p.x*float64(h), float64(h)/2+p.y*float64(h)
	var m [9]float64
	for i, v := range []vector{across, down, center} {
		depth := -v[2]
		if i == 2 {
			depth += distance
		}
		m[i], m[3+i], m[6+i] = focal*v[0]+cx*depth, focal*v[1]+cy*depth, depth
	}
	f := face{inverse: invert(m), look: look, x0: w, y0: h}
	for _, corner := range [][2]float64{{-1, -1}, {1, -1}, {-1, 1}, {1, 1}} {
		x, y := project(&m, corner[0]*reach, corner[1]*reach)
		f.x0, f.y0 = min(f.x0, int(math.Floor(x))), min(f.y0, int(math.Floor(y)))
		f.x1, f.y1 = max(f.x1, int(math.Ceil(x))), max(f.y1, int(math.Ceil(y)))
	}
	f.x0, f.y0, f.x1, f.y1 = max(f.x0, 0), max(f.y0, 0), min(f.x1, w), min(f.y1, h)
	return f
}

func project(m *[9]float64, x, y float64) (float64, float64) {
	z := m[6]*x + m[7]*y + m[8]
	return (m[0]*x + m[1]*y + m[2]) / z, (m[3]*x + m[4]*y + m[5]) / z
}

// invert returns the inverse of a 3×3 matrix up to a factor, which a projective map does not feel.
func invert(m [9]float64) [9]float64 {
	return [9]float64{
		m[4]*m[8] - m[5]*m[7], m[2]*m[7] - m[1]*m[8], m[1]*m[5] - m[2]*m[4],
		m[5]*m[6] - m[3]*m[8], m[0]*m[8] - m[2]*m[6], m[2]*m[3] - m[0]*m[5],
		m[3]*m[7] - m[4]*m[6], m[1]*m[6] - m[0]*m[7], m[0]*m[4] - m[1]*m[3],
	}
}

// gloss is a soft reflection of a lamp on the front, in local coordinates.
type gloss struct {
	x, y, radius, strength float64
}

func (g gloss) on(c colour, x, y float64) colour {
	if g.strength == 0 {
		return c
	}
	d := ((x-g.x)*(x-g.x) + (y-g.y)*(y-g.y)) / (g.radius * g.radius)
	return c.mix(colour{255, 255, 255}, float32(g.strength/(1+d)/(1+d)))
}

// faces returns what the camera sees of the model, the far parts first. pixels is the model's height in the picture.
func (m *model) faces(p pose, w, h int, shine gloss) []face {
	pixels := p.size * float64(h)
	front := pick(m.front, m.width*pixels)
	switch m.shape {
	case box:
		return m.boxFaces(p, w, h, front, pick(m.side, m.depth*pixels), shine)
	case can:
		return []face{m.billboard(p, w, h, 1.25, m.canLook(p, front, shine))}
	case pouch:
		return []face{m.billboard(p, w, h, 1, m.pouchLook(front, shine))}
	default:
		return []face{m.billboard(p, w, h, 1.05, m.bottleLook(p, front, shine))}
	}
}

// pick returns the texture whose pixels are about as large as the picture's.
func pick(list []*canvas, width float64) *canvas {
	for _, c := range list[:len(list)-1] {
		if float64(c.w) < 1.5*width {
			return c
		}
	}
	return list[len(list)-1]
}

func (m *model) boxFaces(p pose, w, h int, front, side *canvas, shine gloss) []face {
	right, down, out := p.axes()
	hw, hd := m.width/2, m.depth/2
	flat := func(t *canvas, light float32, g gloss) func(x, y float64) (colour, bool) {
		return func(x, y float64) (colour, bool) {
			if x < -1 || x > 1 || y < -1 || y > 1 {
				return colour{}, false
			}
			c := t.at(float32((x+1)/2*float64(t.w)), float32((y+1)/2*float64(t.h))).times(light)
			return g.on(c, x, y), true
		}
	}
	zero, nothing := vector{}, gloss{}
	half := func(v vector, f float64) vector { return zero.plus(v, f) }
	var faces []face
	// A face is seen when the line from it to the camera goes out on its side.
	seen := func(center, normal vector) bool {
		d := vector{0, 0, distance}.plus(center, -1)
		return d[0]*normal[0]+d[1]*normal[1]+d[2]*normal[2] > 0
	}
	for _, sign := range []float64{-1, 1} {
		if center := half(right, sign*hw); seen(center, half(right, sign)) {
			faces = append(faces, newFace(center, half(out, -sign*hd), half(down, 0.5), p, w, h, 1, flat(side, 0.72, nothing)))
		}
		if center := half(down, sign*0.5); seen(center, half(down, sign)) {
			light := float32(1.12)
			if sign > 0 {
				light = 0.55
			}
			faces = append(faces, newFace(center, half(right, hw), half(out, sign*hd), p, w, h, 1, flat(side, light, nothing)))
		}
	}
	return append(faces, newFace(half(out, hd), half(right, hw), half(down, 0.5), p, w, h, 1, flat(front, 1, shine)))
}

// billboard is a round thing drawn on a plane that turns with it only a little; its look does the rest.
func (m *model) billboard(p pose, w, h int, reach float64, look func(x, y float64) (colour, bool)) face {
	p.yaw *= 0.35
	p.pitch *= 0.5
	right, down, _ := p.axes()
	zero := vector{}
	return newFace(zero, zero.plus(right, m.width/2), zero.plus(down, 0.5), p, w, h, reach, look)
}

// around maps a place across a cylinder to a place on the label wrapped round it, which covers half of it, and says how
// much light falls there.
func around(x, yaw float64) (u float64, light float32) {
	x = min(max(x, -1), 1)
	angle := math.Asin(x)
	u = 0.5 + (angle-0.8*yaw)/math.Pi*1.15
	const sin, cos = 0.3429, 0.9394 // of the lamp's direction: from the left, 20° off the camera's
	shade := math.Sqrt(1-x*x)*cos - x*sin
	return u, float32(0.42 + 0.66*max(0, shade))
}

// mirrorIn folds u into 0…1, so that the label's back is its mirror image rather than a seam.
func mirrorIn(u float64) float64 {
	return 1 - zigzag(u)
}

// zigzag is 1 at even and 0 at odd numbers, straight between them.
func zigzag(x float64) float64 { return math.Abs(x - 2*math.Floor(x/2) - 1) }

func (m *model) canLook(p pose, t *canvas, shine gloss) func(x, y float64) (colour, bool) {
	e := 0.05 + 0.14*math.Abs(math.Sin(p.pitch+0.25)) // how round the rims look from above
	metal := colour{196, 200, 205}
	return func(x, y float64) (colour, bool) {
		if x < -1 || x > 1 {
			return colour{}, false
		}
		bow := e * math.Sqrt(1-x*x)
		top := y + 1 - e
		if lid := x*x + top*top/(e*e); lid <= 1 {
			if lid > 0.78 {
				return metal.times(1.1), true
			}
			return metal.times(0.8 + 0.12*float32(x)), true
		}
		along := y - bow + 1 - e // 0 at the top rim
		length := 2 - 2*e
		if along < -bow || along > length {
			return colour{}, false
		}
		u, light := around(x, p.yaw)
		if along < 0.05*length || along > 0.95*length {
			return metal.times(light), true
		}
		v := (along/length - 0.05) / 0.9
		c := t.at(float32(mirrorIn(u)*float64(t.w)), float32(v*float64(t.h)))
		return shine.on(c.times(light), x, y), true
	}
}

func (m *model) pouchLook(t *canvas, shine gloss) func(x, y float64) (colour, bool) {
	seed := uint64(len(m.word)) * uint64(m.word[0])
	return func(x, y float64) (colour, bool) {
		if math.Abs(x) > 1.01 || math.Abs(y) > 1 { // far outside, no need to look closer
			return colour{}, false
		}
		edge := 0.965 + 0.03*math.Cos(y*3) + 0.012*math.Sin(y*23)
		teeth := 0.97 + 0.03*zigzag(12*x)
		if math.Abs(x) > edge || math.Abs(y) > teeth {
			return colour{}, false
		}
		c := t.at(float32((x+1)/2*float64(t.w)), float32((y+1)/2*float64(t.h)))
		if math.Abs(y) > 0.9 { // the welded seam
			return c.times(0.78 + 0.2*float32(zigzag(20*x))), true
		}
		bulge := 1 - 0.35*x*x*x*x - 0.12*x - 0.1*y*y
		wrinkle := 0.1 * valueNoise(2.2*x+3*y, 3*y-1.5*x, seed)
		return shine.on(c.times(float32(bulge+wrinkle)), x, y), true
	}
}

// Where a bottle's label begins and how high it is, in local coordinates.
const (
	labelTop    = -0.22
	labelHeight = 1.06
)

func (m *model) bottleLook(p pose, t *canvas, shine gloss) func(x, y float64) (colour, bool) {
	glass := m.palette.ground.mix(m.palette.ink, 0.25)
	lid := m.palette.second
	return func(x, y float64) (colour, bool) {
		if y < -1 || y > 1 {
			return colour{}, false
		}
		radius := 1.0
		switch {
		case y < -0.8:
			radius = 0.36
		case y < -0.66:
			radius = 0.3
		case y < -0.3:
			radius = 0.3 + 0.7*smoothstep((y+0.66)/0.36)
		case y > 0.93:
			radius = 1 - 2*(y-0.93)
		}
		if math.Abs(x) > radius {
			return colour{}, false
		}
		across := x / radius
		bow := 0.05 * math.Sqrt(1-across*across)
		u, light := around(across, p.yaw)
		if v := (y - bow - labelTop) / labelHeight; v >= 0 && v <= 1 {
			c := t.at(float32(mirrorIn(u)*float64(t.w)), float32(v*float64(t.h)))
			return shine.on(c.times(light), x, y), true
		}
		if y < -0.8 {
			ribs := 0.85 + 0.15*float32(zigzag(24*u))
			return lid.times(light * ribs), true
		}
		c := glass.times(light)
		if math.Abs(across+0.45) < 0.09 { // the window in the glass
			c = c.mix(colour{255, 255, 255}, 0.35)
		}
		return c, true
	}
}
