package capture

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"xbmedge/camera"
)

// exchange hands frames from the source to the pipe. Three buffers go around: one is read into, one waits, one is
// written. When the pipe is full, a live source's newest frame replaces the one that waits; a clip's reader waits.
type exchange struct {
	live    bool
	ready   chan *camera.Frame // room for one
	free    chan *camera.Frame // room for all
	early   chan struct{}      // room for one: a frame came that is not passed on
	stop    chan struct{}      // closed when nothing can be written any more
	dropped atomic.Uint64

	interval time.Duration // at least between two frames that are passed on
	next     time.Time
	told     time.Time // of the latest early frame
}

// tellEarly is how often early frames are told of.
const tellEarly = 500 * time.Millisecond

func newExchange(cfg camera.Config) *exchange {
	const buffers = 3
	x := &exchange{
		live: cfg.Live(), ready: make(chan *camera.Frame, 1), free: make(chan *camera.Frame, buffers),
		early: make(chan struct{}, 1), stop: make(chan struct{}),
	}
	for range buffers {
		x.free <- &camera.Frame{}
	}
	if x.live && cfg.FPS > 0 {
		// The pipeline's rule: a camera at just this rate loses none. Another one here would thin out what it chooses from.
		x.interval = time.Duration(float64(time.Second) / cfg.FPS * 7 / 8)
	}
	return x
}

var errNobody = errors.New("nobody reads the frames")

// read passes on the source's frames until it, ctx or the pipe ends.
func (x *exchange) read(ctx context.Context, src camera.Source) error {
	f := <-x.free
	for {
		if err := src.Read(ctx, f); err != nil {
			return err
		}
		if err := camera.CheckSize(f.Width, f.Height); err != nil {
			return err
		}
		if x.tooEarly(f.Captured) {
			continue
		}
		if err := x.put(ctx, f); err != nil {
			return err
		}
		f = <-x.free // there is one: three buffers, of which one waits and one is written
	}
}

func (x *exchange) tooEarly(at time.Time) bool {
	if at.Before(x.next) {
		if at.Sub(x.told) >= tellEarly {
			x.told = at
			select {
			case x.early <- struct{}{}:
			default: // the pipe is full, so the agent has something to read
			}
		}
		return true
	}
	x.next = at.Add(x.interval)
	return false
}

func (x *exchange) put(ctx context.Context, f *camera.Frame) error {
	if !x.live {
		select {
		case x.ready <- f:
			return nil
		case <-x.stop:
			return errNobody
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	select {
	case x.ready <- f:
		return nil
	case <-x.stop:
		return errNobody
	default:
	}
	select {
	case old := <-x.ready:
		x.dropped.Add(1)
		x.free <- old
	default: // it has just been taken
	}
	x.ready <- f // has room: nobody else puts
	return nil
}
