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
	patience   *time.Ticker
}

func newExchange(newestWins bool, dropped *atomic.Uint64) *exchange {
	const buffers = 3
	x := &exchange{newestWins, make(chan *Frame, 1), make(chan *Frame, buffers), dropped, time.NewTicker(time.Second)}
	for range buffers {
		x.free <- &Frame{}
	}
	return x
}

// put passes on a frame. It waits for the worker only when every frame counts.
func (x *exchange) put(ctx context.Context, f *Frame, beat Heartbeat) error {
	for !x.newestWins {
		select {
		case x.ready <- f:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		case <-x.patience.C: // the worker is slow, the reader alive
			beat.Beat()
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
	defer frames.patience.Stop()
	beat := c.deps.Watch("capture")
	defer beat.End()
	backoff := c.cfg.BackoffMin
	complained := time.Time{}
	for {
		good, err := c.readAll(ctx, frames, beat)
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
		}
		if complained.IsZero() || time.Since(complained) >= complainEvery {
			c.log.Warn("no frames from the camera; still trying", "error", err)
			complained = time.Now()
		}
		rest(ctx, backoff/2+time.Duration(rand.Int64N(int64(backoff))), beat)
		backoff = min(2*backoff, c.cfg.BackoffMax)
	}
}

// rest waits, alive, for d or the end of ctx.
func rest(ctx context.Context, d time.Duration, beat Heartbeat) {
	for until := time.Now().Add(d); ctx.Err() == nil; beat.Beat() {
		left := time.Until(until)
		if left <= 0 {
			return
		}
		timer := time.NewTimer(min(left, time.Second))
		select {
		case <-timer.C:
		case <-ctx.Done():
		}
		timer.Stop()
	}
}

// setOnline tells whether the source gives frames.
func (c *Camera) setOnline(on bool) {
	c.online.Store(on)
	c.deps.Publisher.Status(c.cfg.Camera, on)
}

// readAll opens the source once and reads it to its end. good: it gave at least one frame.
func (c *Camera) readAll(ctx context.Context, frames *exchange, beat Heartbeat) (good bool, err error) {
	src, err := c.deps.Open(ctx)
	if err != nil {
		return false, err
	}
	defer func() {
		if good && c.cfg.Live && ctx.Err() == nil {
			c.setOnline(false) // at once: closing may wait for a driver that hangs
		}
		err = errors.Join(err, src.Close())
	}()
	for {
		beat.Beat()
		f := <-frames.free // there is always one: three buffers, the worker and the exchange hold two at most
		if err := src.Read(ctx, f); err != nil {
			frames.free <- f
			return good, err
		}
		if !good {
			good = true
			c.log.Info("camera is on", "width", f.Width, "height", f.Height)
			c.setOnline(true)
		}
		c.captured.Add(1)
		if err := frames.put(ctx, f, beat); err != nil {
			return good, err
		}
	}
}
