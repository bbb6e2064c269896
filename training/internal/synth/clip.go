package synth

import (
	"bytes"
	"context"
	"io"
	"math"
	"math/rand/v2"
	"path/filepath"

	"xbmedge/internal/atomicfile"
	"xbmedge/internal/clip"
)

// The clip's format.
const (
	ClipWidth  = 640
	ClipHeight = 360
	ClipFPS    = 25
)

// segmentPlan is what a segment will show.
type segmentPlan struct {
	model  *model // nil: nothing
	frames int
}

// emptyEvery is one stretch without a thing for so many segments.
const emptyEvery = 8

// plan shuffles the products, with the strangers among them: about one thing in four is a stranger.
func (g *generator) plan() []segmentPlan {
	rng := g.random(forClip, 0, 0)
	var known, unknown deck
	for _, m := range g.models {
		if m.stranger {
			unknown.all = append(unknown.all, m)
		} else {
			known.all = append(known.all, m)
		}
	}
	var kinds []string
	for i := range g.ClipSegments {
		switch {
		case i%emptyEvery == 0:
			kinds = append(kinds, clip.Empty)
		case i%4 == 3 && len(unknown.all) > 0:
			kinds = append(kinds, clip.Stranger)
		default:
			kinds = append(kinds, clip.Enrolled)
		}
	}
	// The first segment stays empty, so that whoever watches starts with nothing in sight.
	rng.Shuffle(len(kinds)-1, func(i, j int) { kinds[i+1], kinds[j+1] = kinds[j+1], kinds[i+1] })
	plans := make([]segmentPlan, len(kinds))
	for i, kind := range kinds {
		frames := g.SegmentFrames
		frames += rng.IntN(frames/2+1) - frames/4
		switch kind {
		case clip.Enrolled:
			plans[i].model = known.next(rng)
		case clip.Stranger:
			plans[i].model = unknown.next(rng)
		default:
			frames = max(2, frames*2/3)
		}
		plans[i].frames = frames
	}
	return plans
}

// deck deals all its models before it deals one again.
type deck struct {
	all, left []*model
}

func (d *deck) next(rng *rand.Rand) *model {
	if len(d.left) == 0 {
		d.left = append(d.left, d.all...)
		rng.Shuffle(len(d.left), func(i, j int) { d.left[i], d.left[j] = d.left[j], d.left[i] })
	}
	m := d.left[0]
	d.left = d.left[1:]
	return m
}

// writeClip films the segments side by side and strings them together.
func (g *generator) writeClip(ctx context.Context) error {
	plans := g.plan()
	films := make([][]byte, len(plans))
	err := parallel(ctx, g.Workers, len(plans), func() func(int) error {
		cam := newCamera(ClipWidth, ClipHeight, false)
		return func(i int) error {
			var b bytes.Buffer
			err := cam.film(ctx, &b, plans[i], g.random(forSegments, i, 0))
			films[i] = b.Bytes()
			return err
		}
	})
	if err != nil {
		return err
	}
	index := &clip.Index{Schema: 1, Width: ClipWidth, Height: ClipHeight, FPS: ClipFPS}
	for _, p := range plans {
		switch {
		case p.model == nil:
			index.Append(p.frames, "", clip.Empty)
		case p.model.stranger:
			index.Append(p.frames, p.model.class, clip.Stranger)
		default:
			index.Append(p.frames, p.model.class, clip.Enrolled)
		}
	}
	g.frames = index.Frames
	err = atomicfile.Write(filepath.Join(g.dir, ClipFile), 0o644, func(w io.Writer) error {
		for _, film := range films {
			if _, err := w.Write(film); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return index.Write(filepath.Join(g.dir, ClipIndexFile))
}

// film takes one segment: the thing is moved and turned a little, the backdrop drifts, light and place stay.
func (c *camera) film(ctx context.Context, w io.Writer, p segmentPlan, rng *rand.Rand) error {
	s := &shot{
		model: p.model, light: newLight(rng),
		backdrop: newBackdrop(rng, ClipWidth, ClipHeight, 4),
	}
	s.light.blur *= 1.2
	var from, to pose
	var hold []finger
	if p.model != nil {
		from = newPose(rng, p.model)
		// A second of moving it about: part of the way to a pose of its own, so that it does not jump.
		to = from.between(newPose(rng, p.model), 0.4)
		hold = newFingers(rng, from, p.model)
		if rng.Float64() < 0.5 {
			hold = nil
		}
	}
	x0, y0, x1, y1 := rng.Float64(), rng.Float64(), rng.Float64(), rng.Float64()
	for i := range p.frames {
		if err := ctx.Err(); err != nil {
			return err
		}
		t := 0.5 - 0.5*math.Cos(math.Pi*float64(i)/float64(max(1, p.frames-1)))
		s.backX, s.backY = x0+0.15*t*(x1-x0), y0+0.15*t*(y1-y0)
		if p.model != nil {
			s.pose = from.between(to, t)
			s.fingers = moved(hold, from, s.pose)
		}
		if err := c.take(w, s, rng); err != nil {
			return err
		}
	}
	return nil
}

// moved takes the fingers along with the thing they hold.
func moved(fingers []finger, from, to pose) []finger {
	sin, cos := math.Sincos(to.roll - from.roll)
	scale := to.size / from.size
	place := func(x, y float64) (float64, float64) {
		x, y = (x-from.x)*scale, (y-from.y)*scale
		return to.x + cos*x - sin*y, to.y + sin*x + cos*y
	}
	out := make([]finger, len(fingers))
	for i, f := range fingers {
		out[i] = f
		out[i].radius *= scale
		out[i].x0, out[i].y0 = place(f.x0, f.y0)
		out[i].x1, out[i].y1 = place(f.x1, f.y1)
	}
	return out
}
