package pipeline

import (
	"errors"
	"fmt"
	"image"

	"xbmedge/agent/internal/motion"
	"xbmedge/internal/vision"
)

// RegionKind says how a camera finds what to look at.
type RegionKind string

// The kinds of regions.
const (
	RegionWhole    RegionKind = "whole"    // the largest square in the middle of the picture
	RegionBoxes    RegionKind = "boxes"    // fixed parts of it
	RegionMotion   RegionKind = "motion"   // what was not there before
	RegionDetector RegionKind = "detector" // what a detection model finds
)

// RegionKinds lists all kinds.
func RegionKinds() []RegionKind {
	return []RegionKind{RegionWhole, RegionBoxes, RegionMotion, RegionDetector}
}

// RegionConfig says where a camera looks.
type RegionConfig struct {
	Kind   RegionKind // "" is whole
	Boxes  []Box      // of RegionBoxes
	Margin float64    // around what was found, as a share of its longer side; not around RegionBoxes
	Max    int        // regions of one frame, the largest or surest first; 0 is the most there can be
}

// Check returns nil for settings that can be used.
func (c RegionConfig) Check() error {
	switch c.Kind {
	case "", RegionWhole, RegionMotion, RegionDetector:
		if len(c.Boxes) > 0 {
			return fmt.Errorf("kind %s, but there are boxes; want the kind boxes", c.Kind)
		}
	case RegionBoxes:
		if len(c.Boxes) < 1 || len(c.Boxes) > maxRegions {
			return fmt.Errorf("%d boxes; want 1 to %d", len(c.Boxes), maxRegions)
		}
	default:
		return fmt.Errorf("kind %q is not one of %v", c.Kind, RegionKinds())
	}
	for _, b := range c.Boxes {
		if !(b[0] >= 0 && b[1] >= 0 && b[2] > 0 && b[3] > 0 && b[0]+b[2] <= 1+1e-9 && b[1]+b[3] <= 1+1e-9) {
			return fmt.Errorf("box %v; want left, top, width and height as shares of the picture, inside it", b)
		}
	}
	if !(c.Margin >= 0 && c.Margin <= 1) {
		return fmt.Errorf("margin %v; want 0 to 1", c.Margin)
	}
	if c.Max < 0 || c.Max > maxRegions {
		return fmt.Errorf("at most %d regions; want 1 to %d", c.Max, maxRegions)
	}
	return nil
}

// Finder finds what may be worth recognising in a frame, in pixels, surest first. It appends to dst.
type Finder interface {
	Find(dst []vision.Box, f vision.Frame) ([]vision.Box, error)
}

// finder is how one camera looks at its frames. It belongs to one goroutine.
type finder struct {
	cfg      RegionConfig
	motion   *motion.Detector // nil: nobody asks whether anything moved
	detector Finder
	boxes    []vision.Box
	crop     vision.Frame
}

func newFinder(cfg RegionConfig, moves motion.Config, detector Finder) (*finder, error) {
	if err := cfg.Check(); err != nil {
		return nil, fmt.Errorf("regions: %w", err)
	}
	if cfg.Kind == "" {
		cfg.Kind = RegionWhole
	}
	if cfg.Max == 0 {
		cfg.Max = maxRegions
	}
	r := &finder{cfg: cfg, detector: detector, boxes: make([]vision.Box, 0, 64)}
	if cfg.Kind == RegionDetector && detector == nil {
		return nil, errors.New("regions: no detector is given")
	}
	if moves != (motion.Config{}) {
		if err := moves.Check(); err != nil {
			return nil, fmt.Errorf("motion: %w", err)
		}
		r.motion = motion.New(moves)
	} else if cfg.Kind == RegionMotion {
		return nil, errors.New("regions: motion needs its settings")
	}
	return r, nil
}

// moved reports whether the frame differs from the one looked at last. It has to be asked once for each frame, before find.
func (r *finder) moved(f vision.Frame) bool {
	r.boxes = r.boxes[:0]
	if r.motion == nil {
		return true
	}
	moved := r.motion.Look(f)
	if r.cfg.Kind == RegionMotion {
		r.boxes = r.motion.Boxes(r.boxes)
	}
	return moved
}

// find returns the frame's regions, valid until the next call of moved.
func (r *finder) find(f vision.Frame) ([]vision.Box, error) {
	w, h := float64(f.Width), float64(f.Height)
	switch r.cfg.Kind {
	case RegionBoxes:
		for _, b := range r.cfg.Boxes {
			r.boxes = append(r.boxes, vision.Box{X0: b[0] * w, Y0: b[1] * h, X1: min(w, (b[0]+b[2])*w), Y1: min(h, (b[1]+b[3])*h)})
		}
	case RegionDetector:
		var err error
		if r.boxes, err = r.detector.Find(r.boxes, f); err != nil {
			return nil, err
		}
	case RegionWhole:
		r.boxes = append(r.boxes, vision.Box{X1: w, Y1: h})
	}
	if r.motion != nil {
		r.motion.Keep()
	}
	return r.boxes[:min(len(r.boxes), r.cfg.Max)], nil
}

// cut returns the picture of a region, valid until the next call: a square around it with the margin, moved into the
// frame and no larger than it. The whole frame is returned as it is; the embedder takes its middle.
func (r *finder) cut(f vision.Frame, b vision.Box) (vision.Frame, error) {
	if r.cfg.Kind == RegionWhole {
		return f, nil
	}
	margin := 1 + 2*r.cfg.Margin
	if r.cfg.Kind == RegionBoxes {
		margin = 1
	}
	side := int(margin*max(b.X1-b.X0, b.Y1-b.Y0) + 0.5)
	side = max(1, min(side, f.Width, f.Height))
	place := func(center float64, size int) int { return max(0, min(int(center-float64(side)/2+0.5), size-side)) }
	x, y := place((b.X0+b.X1)/2, f.Width), place((b.Y0+b.Y1)/2, f.Height)
	err := f.CropInto(&r.crop, image.Rect(x, y, x+side, y+side))
	return r.crop, err
}

// share turns pixels into shares of the frame.
func share(b vision.Box, f vision.Frame) Box {
	w, h := float64(f.Width), float64(f.Height)
	return Box{b.X0 / w, b.Y0 / h, (b.X1 - b.X0) / w, (b.Y1 - b.Y0) / h}
}
