package curator

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"xbmedge/agent/internal/control"
	"xbmedge/internal/gallery"
)

// Handle carries out a request.
func (c *Curator) Handle(ctx context.Context, r *control.Request) (any, error) {
	var seen []Seen
	if r.Op == "enroll" && r.Camera != "" { // before the lock: it takes its time
		var err error
		if seen, err = c.collect(ctx, r); err != nil {
			return nil, err
		}
	}
	outs, err := c.batch(ctx, one(r), seen)
	if err != nil {
		return nil, err
	}
	if r.Op == "name" { // only now that it is saved
		c.forget(r.ID)
	}
	return outs[0], nil
}

// one returns a request, and then nil.
func one(r *control.Request) func() (*control.Request, error) {
	return func() (next *control.Request, err error) {
		next, r = r, nil
		return next, nil
	}
}

// Batch carries out requests, until next returns nil, as one change: the file is read before the first and written after
// the last, and when one fails, or next does, none has been.
func (c *Curator) Batch(ctx context.Context, next func() (*control.Request, error)) ([]*Outcome, error) {
	return c.batch(ctx, next, nil)
}

func (c *Curator) batch(ctx context.Context, next func() (*control.Request, error), seen []Seen) (outs []*Outcome, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	unlock, err := gallery.Lock(ctx, c.parts.Path)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	var g *gallery.Gallery
	before := uint64(0)
	for {
		r, err := next()
		if err != nil {
			return nil, err
		}
		if r == nil {
			break
		}
		op, known := operations()[r.Op]
		if !known {
			return nil, fmt.Errorf("%q is no operation on a gallery", r.Op)
		}
		j := &job{Curator: c, ctx: ctx, Request: r, seen: seen, g: g}
		if g == nil {
			if err := j.open(op.model); err != nil {
				return nil, err
			}
			before = j.g.Revision()
		}
		if err := op.do(j); err != nil {
			return nil, err
		}
		g = j.g
		if err := j.tell(); err != nil {
			return nil, err
		}
		outs = append(outs, &j.out)
	}
	if g != nil && g.Revision() != before {
		return outs, c.keep(g)
	}
	return outs, nil
}

// keep saves a new state and hands it on.
func (c *Curator) keep(g *gallery.Gallery) error {
	if err := g.Save(c.parts.Path); err != nil {
		return err
	}
	if c.parts.Use == nil {
		return nil
	}
	if err := c.parts.Use(g); err != nil {
		return fmt.Errorf("saved, but the agent goes on with what was before: %w", err)
	}
	return nil
}

// tell fills in the outcome's facts of the gallery.
func (j *job) tell() error {
	path, err := filepath.Abs(j.parts.Path)
	j.out.Gallery, j.out.Model, j.out.Revision = path, j.g.Model(), j.g.Revision()
	j.out.Threshold, j.out.N = j.g.Threshold(), j.g.Len()
	return err
}
