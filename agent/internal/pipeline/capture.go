package pipeline

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"sync/atomic"
	"time"
)

// exchange hands frames from the reader to the worker. Three buffers go around: one is read into, one waits, one is
// worked on.
type exchange struct {
	newestWins bool
	ready      chan *Frame // room for one; closed after the last
	free       chan *Frame // room for all
	dropped    *atomic.Uint64
}

func newExchange(newestWins bool, dropped *atomic.Uint64) *exchange {
	const buffers = 3
	x := &exchange{newestWins, make(chan *Frame, 1), make(chan *Frame, buffers), dropped}
	for range buffers {
		x.free <- &Frame{}
	}
	return x
}

// put passes on a frame. It waits for the worker only when every frame counts.
func (x *exchange) put(ctx context.Context, f *Frame) error {
	if !x.newestWins {
		select {
		case x.ready <- f:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	select {
	case x.ready <- f:
		return nil
	default:
	}
	select {
	case old := <-x.ready:
		x.dropped.Add(1)
		x.free <- old
	default: // the worker has just taken it
	}
	x.ready <- f // has room: nobody else puts
	return nil
}

const complainEvery = time.Minute

// capture reads frames until the source or ctx ends. It opens a live source again and again.
func (c *Camera) capture(ctx context.Context, frames *exchange) error {
	defer close(frames.ready)
	backoff := c.cfg.BackoffMin
	complained := time.Time{}
	for {
		good, err := c.readAll(ctx, frames)
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, io.EOF) && !c.cfg.Live:
			return nil
		case !c.cfg.Live:
			return fmt.Errorf("camera %s: %w", c.cfg.Camera, err)
		}
		if good {
			backoff = c.cfg.BackoffMin
			complained = time.Time{}
			c.deps.Publisher.Status(c.cfg.Camera, false)
		}
		if complained.IsZero() || time.Since(complained) >= complainEvery {
			c.log.Warn("no frames from the camera; still trying", "error", err)
			complained = time.Now()
		}
		wait := time.NewTimer(backoff/2 + time.Duration(rand.Int64N(int64(backoff))))
		backoff = min(2*backoff, c.cfg.BackoffMax)
		select {
		case <-wait.C:
		case <-ctx.Done():
		}
		wait.Stop()
	}
}

// readAll opens the source once and reads it to its end. good: it gave at least one frame.
func (c *Camera) readAll(ctx context.Context, frames *exchange) (good bool, err error) {
	src, err := c.deps.Open(ctx)
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, src.Close()) }()
	for {
		f := <-frames.free // there is always one: three buffers, the worker and the exchange hold two at most
		if err := src.Read(ctx, f); err != nil {
			frames.free <- f
			return good, err
		}
		if !good {
			good = true
			c.log.Info("camera is on", "width", f.Width, "height", f.Height)
			c.deps.Publisher.Status(c.cfg.Camera, true)
		}
		c.captured.Add(1)
		if err := frames.put(ctx, f); err != nil {
			return good, err
		}
	}
}
