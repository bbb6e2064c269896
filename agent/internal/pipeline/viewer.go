package pipeline

import "xbmedge/internal/gallery"

// Viewer sees whole frames and what was made of them, on the pipeline's goroutine.
type Viewer interface {
	// Looks reports whether See is to be called for the present frame. It is asked for every frame, and should cost
	// nothing while nobody looks.
	Looks() bool
	// See takes the frame and what is in view, surest first. Both are valid during the call.
	See(f *Frame, things []Thing)
}

// Thing is something in view.
type Thing struct {
	Box      Box
	Identity gallery.Identity // what it is told as; before that, what this frame says
	Known    bool
	Told     bool // over several frames; otherwise Identity is this frame's alone
	Score    float32
}

// show shows a frame to who looks. It allocates nothing.
func (c *Camera) show(f *Frame) {
	if c.deps.Viewer == nil || !c.deps.Viewer.Looks() {
		return
	}
	for i := range c.slots[:c.seen] {
		s := &c.slots[i]
		t := Thing{Box: s.Box, Identity: s.Identity, Known: s.Known, Score: s.Score}
		if s.track != nil && s.track.label != "" {
			t.Identity, t.Known, t.Told = s.track.best.Identity, s.track.best.Known, true
		}
		c.shown[i] = t
	}
	c.deps.Viewer.See(f, c.shown[:c.seen])
}
