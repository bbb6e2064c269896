package pipeline

import "xbmedge/internal/vision"

// PresenceConfig says when a picture that no identity explains shows something unknown, rather than nothing.
//
// An embedding cannot tell: it puts an empty table somewhere, too. What can be seen without a model is that a thing
// held before the camera is in focus and has edges, where a wall, a floor or a background out of focus has few. Levels
// are of 8-bit brightness.
type PresenceConfig struct {
	// Detail is the least mean difference between neighbouring cells in the middle of the picture.
	Detail float64
	// Change is the least mean difference from the background, a slow average of earlier pictures; 0: not asked. It
	// helps where the background itself is full of detail and the camera stands still; what stays becomes background.
	Change float64
}

const (
	grid    = 48  // cells along each side of the middle
	middle  = 0.6 // of the square that the model sees, along each side
	samples = 3   // per cell, along each side
)

// presence looks whether anything is in view. It belongs to one goroutine and allocates nothing.
type presence struct {
	cfg        PresenceConfig
	now        [grid * grid]float32
	background [grid * grid]float32
	frames     int
}

func newPresence(cfg PresenceConfig) *presence { return &presence{cfg: cfg} }

// look reports whether the frame has enough detail, and enough change against the background.
func (p *presence) look(f vision.Frame) bool {
	if p.cfg.Detail <= 0 && p.cfg.Change <= 0 {
		return true
	}
	p.sample(f)
	change := p.change()
	return p.detail() >= p.cfg.Detail && (p.cfg.Change <= 0 || change >= p.cfg.Change)
}

// sample takes the mean brightness of a few pixels of each cell.
func (p *presence) sample(f vision.Frame) {
	side := int(middle * float64(min(f.Width, f.Height)))
	x0, y0 := (f.Width-side)/2, (f.Height-side)/2
	for cy := range grid {
		for cx := range grid {
			sum := 0
			for sy := range samples {
				y := y0 + (cy*samples+sy)*side/(grid*samples)
				for sx := range samples {
					x := x0 + (cx*samples+sx)*side/(grid*samples)
					i := 3 * (y*f.Width + x)
					sum += int(f.Pix[i]) + 2*int(f.Pix[i+1]) + int(f.Pix[i+2])
				}
			}
			p.now[cy*grid+cx] = float32(sum) / (4 * samples * samples)
		}
	}
}

// detail is the mean difference between neighbouring cells.
func (p *presence) detail() float64 {
	var sum float32
	for y := range grid {
		for x := range grid {
			v := p.now[y*grid+x]
			if x > 0 {
				sum += abs(v - p.now[y*grid+x-1])
			}
			if y > 0 {
				sum += abs(v - p.now[(y-1)*grid+x])
			}
		}
	}
	return float64(sum) / (2 * grid * (grid - 1))
}

// change is the mean difference from the background, which then takes up a little of the picture. The first picture is
// the first background.
func (p *presence) change() float64 {
	const rate = 1.0 / 64
	if p.frames == 0 {
		p.background = p.now
	}
	p.frames++
	var sum float32
	for i, v := range p.now {
		sum += abs(v - p.background[i])
		p.background[i] += rate * (v - p.background[i])
	}
	return float64(sum) / (grid * grid)
}

func abs(x float32) float32 {
	if x < 0 {
		return -x
	}
	return x
}
