package pipeline

import "xbmedge/internal/vision"

// PresenceConfig says when a picture that no identity explains shows something unknown, rather than nothing. Levels are
// of 8-bit brightness.
type PresenceConfig struct {
	// Detail is the least mean difference between neighbouring cells of the picture; below, it shows a bare surface.
	Detail float64
	// Change is the least mean difference from the background, a slow average of the earlier pictures; 0 switches that
	// off.
	Change float64
}

const (
	cellsX, cellsY = 32, 24
	cells          = cellsX * cellsY
	samples        = 3 // per cell and direction
)

// presence looks whether anything is in view. It belongs to one goroutine and allocates nothing.
type presence struct {
	cfg        PresenceConfig
	now        [cells]float32
	background [cells]float32
	frames     int
}

func newPresence(cfg PresenceConfig) *presence { return &presence{cfg: cfg} }

// look reports whether the frame has enough detail, and enough change against the background.
func (p *presence) look(f vision.Frame) bool {
	p.sample(f)
	detail := p.detail()
	change := p.change()
	return detail >= p.cfg.Detail && (p.cfg.Change <= 0 || change >= p.cfg.Change)
}

// sample takes the mean brightness of a few pixels of each cell.
func (p *presence) sample(f vision.Frame) {
	for cy := range cellsY {
		for cx := range cellsX {
			sum := 0
			for sy := range samples {
				y := (cy*samples + sy) * f.Height / (cellsY * samples)
				for sx := range samples {
					x := (cx*samples + sx) * f.Width / (cellsX * samples)
					i := 3 * (y*f.Width + x)
					sum += int(f.Pix[i]) + 2*int(f.Pix[i+1]) + int(f.Pix[i+2])
				}
			}
			p.now[cy*cellsX+cx] = float32(sum) / (4 * samples * samples)
		}
	}
}

// detail is the mean difference between neighbouring cells.
func (p *presence) detail() float64 {
	var sum float32
	for y := range cellsY {
		for x := range cellsX {
			v := p.now[y*cellsX+x]
			if x > 0 {
				sum += abs(v - p.now[y*cellsX+x-1])
			}
			if y > 0 {
				sum += abs(v - p.now[(y-1)*cellsX+x])
			}
		}
	}
	return float64(sum) / (cellsX*(cellsY-1) + (cellsX-1)*cellsY)
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
	return float64(sum) / cells
}

func abs(x float32) float32 {
	if x < 0 {
		return -x
	}
	return x
}
