// Package motion finds what has changed in a fixed camera's picture: whether anything moved, and where something is that
// was not there before. It looks at a small grey copy of the picture, so that it costs far less than the model.
package motion

import (
	"fmt"

	"xbmedge/internal/vision"
)

// The grey copy's cells. A picture of any shape is brought to them, so that a stream may change its size.
const (
	columns = 80
	rows    = 60
	cells   = columns * rows
	samples = 2 // per cell, along each side
)

// Config says what counts as a change.
type Config struct {
	Level   float64 // least difference of a cell's brightness, of 255
	MinArea float64 // least share of the picture that something covers
	MaxArea float64 // above it everything has changed: the light, or the camera was moved
}

// Check returns nil for settings that can be used.
func (c Config) Check() error {
	if !(c.Level > 0 && c.Level <= 255) {
		return fmt.Errorf("level %v; want more than 0, up to 255", c.Level)
	}
	if !(c.MinArea > 0 && c.MinArea < c.MaxArea && c.MaxArea <= 1) {
		return fmt.Errorf("areas from %v to %v; want shares of the picture, more than 0, up to 1, the least first", c.MinArea, c.MaxArea)
	}
	return nil
}

// Detector compares frames with a background and with each other. It belongs to one goroutine; after the first frame
// it allocates nothing.
type Detector struct {
	cfg           Config
	width, height int // of the latest frame; 0 before the first
	now           [cells]float32
	background    [cells]float32
	reference     [cells]float32 // the grey copy at the latest Keep
	kept          bool
	mask, scratch [cells]bool
	stack         []int
	found         []region
}

// region is a rectangle of cells, edges included at the left and top only.
type region struct{ x0, y0, x1, y1, cells int }

// New returns a detector that has seen nothing.
func New(cfg Config) *Detector {
	return &Detector{cfg: cfg, stack: make([]int, 0, cells), found: make([]region, 0, cells)}
}

// Look takes a frame and reports whether anything moved since the frame at which Keep was called last: that much of the
// picture, the least area, differs. What drifts slowly adds up until it counts. Before a Keep, and when the frame has
// another size, everything moved.
func (d *Detector) Look(f vision.Frame) (moved bool) {
	d.sample(f)
	if f.Width != d.width || f.Height != d.height {
		d.width, d.height = f.Width, f.Height
		d.background = d.now
		d.kept = false
	}
	if !d.kept {
		return true
	}
	shift := d.shift(&d.reference)
	count := 0
	for i, v := range d.now {
		if abs(v-d.reference[i]-shift) >= float32(d.cfg.Level) {
			count++
		}
	}
	return float64(count) >= max(1, d.cfg.MinArea*cells)
}

// Keep makes the latest frame the one that later ones are compared with.
func (d *Detector) Keep() {
	d.reference = d.now
	d.kept = true
}

// Boxes appends to dst where the latest frame differs from the background, largest first, and lets the background take
// up a little of the picture: fast where nothing is, slowly under a thing, so that what was put down for good becomes
// background at last.
func (d *Detector) Boxes(dst []vision.Box) []vision.Box {
	const fast, slow = 1.0 / 32, 1.0 / 1024
	shift := d.shift(&d.background)
	for i, v := range d.now {
		d.mask[i] = abs(v-d.background[i]-shift) >= float32(d.cfg.Level)
	}
	d.clean()
	d.components()
	for i, v := range d.now {
		rate := float32(fast)
		if d.mask[i] {
			rate = slow
		}
		d.background[i] += rate * (v - d.background[i])
	}
	for _, r := range d.found {
		if share := float64(r.cells) / cells; share >= d.cfg.MinArea && share <= d.cfg.MaxArea {
			dst = append(dst, d.box(r))
		}
	}
	return dst
}

// sample fills now with the mean brightness of a few pixels of each cell.
func (d *Detector) sample(f vision.Frame) {
	var at [columns * samples]int
	for i := range at {
		at[i] = 3 * ((2*i + 1) * f.Width / (2 * columns * samples))
	}
	clear(d.now[:])
	for sy := range rows * samples {
		y := (2*sy + 1) * f.Height / (2 * rows * samples)
		line := f.Pix[3*f.Width*y : 3*f.Width*(y+1)]
		out := d.now[sy/samples*columns : (sy/samples+1)*columns]
		for i, x := range at {
			p := line[x : x+3 : x+3]
			out[i/samples] += float32(int(p[0])+2*int(p[1])+int(p[2])) / (4 * samples * samples)
		}
	}
}

// shift returns by how much the whole picture became brighter against another: a camera that sets its exposure anew
// changes every cell. It is the mean over the cells that differ by less than twice the level, so that a thing does not
// count as light.
func (d *Detector) shift(other *[cells]float32) float32 {
	var sum float32
	n := 0
	limit := 2 * float32(d.cfg.Level)
	for i, v := range d.now {
		if diff := v - other[i]; abs(diff) < limit {
			sum += diff
			n++
		}
	}
	if n < cells/2 {
		return 0
	}
	return sum / float32(n)
}

// box turns a rectangle of cells into pixels.
func (d *Detector) box(r region) vision.Box {
	w, h := float64(d.width), float64(d.height)
	return vision.Box{X0: float64(r.x0) * w / columns, Y0: float64(r.y0) * h / rows, X1: float64(r.x1) * w / columns, Y1: float64(r.y1) * h / rows}
}

func abs(x float32) float32 {
	if x < 0 {
		return -x
	}
	return x
}
