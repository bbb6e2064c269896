package web

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"xbmedge/agent/internal/pipeline"
	"xbmedge/internal/vision"
)

const (
	// every bounds the pictures of one camera, whoever looks: five a second.
	every = 200 * time.Millisecond
	// patience is how long a picture is waited for.
	patience = 3 * time.Second
	// maxWidth of a picture, in pixels.
	maxWidth = 640
	quality  = 75
)

// window is what one camera shows to people. Nobody looks: the pipeline reads one flag a frame. Somebody asks: the next
// frame is copied, and whoever waits encodes it, once for all. A frame that is older than the newest is never sent.
type window struct {
	asked atomic.Bool // somebody waits for the next frame

	mu     sync.Mutex
	latest *shot
	ready  chan struct{} // closed when there is another; nil: nobody waits
	spare  []byte        // memory of a frame that was encoded
}

// shot is one frame and what was in it.
type shot struct {
	number int64 // its time in Unix microseconds, so that numbers of another run are others
	at     time.Time
	things []pipeline.Thing

	once  sync.Once
	frame vision.Frame // until it is encoded
	jpeg  []byte
	err   error
}

var _ pipeline.Viewer = (*window)(nil)

// Looks reports whether the next frame is to be shown.
func (w *window) Looks() bool { return w.asked.Load() }

// See copies the frame for those who wait.
func (w *window) See(f *pipeline.Frame, things []pipeline.Thing) {
	w.mu.Lock()
	memory := w.spare
	w.spare = nil
	w.mu.Unlock()
	now := time.Now()
	s := &shot{
		number: now.UnixMicro(), at: now, things: slices.Clone(things),
		frame: vision.Frame{Width: f.Width, Height: f.Height, Pix: append(memory[:0], f.Pix...)},
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.asked.Store(false)
	w.latest = s
	if w.ready != nil {
		close(w.ready)
		w.ready = nil
	}
}

// errNoFrames is returned where a camera gives none.
var errNoFrames = errors.New("the camera gives no picture")

// look returns the first picture that is another than the one with the number after, and not too soon after it.
func (w *window) look(ctx context.Context, after int64) (*shot, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, patience, errNoFrames)
	defer cancel()
	for {
		due := time.Duration(0)
		w.mu.Lock()
		if s := w.latest; s != nil {
			age := time.Since(s.at)
			if s.number != after && age < 2*every {
				w.mu.Unlock()
				return s, nil
			}
			due = every - age
		}
		var ready chan struct{} // of nobody, while it is too soon
		if due <= 0 {
			if w.ready == nil {
				w.ready = make(chan struct{})
			}
			ready = w.ready
			w.asked.Store(true)
			due = patience
		}
		w.mu.Unlock()
		timer := time.NewTimer(due)
		select {
		case <-ready:
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return nil, context.Cause(ctx)
		}
		timer.Stop()
	}
}

// encoded returns a shot as JPEG of at most 640 pixels across.
func (w *window) encoded(s *shot) ([]byte, error) {
	s.once.Do(func() {
		s.jpeg, s.err = encode(s.frame)
		w.mu.Lock()
		defer w.mu.Unlock()
		w.spare, s.frame.Pix = s.frame.Pix, nil
	})
	return s.jpeg, s.err
}

func encode(f vision.Frame) ([]byte, error) {
	if f.Width > maxWidth {
		height := max(1, (f.Height*maxWidth+f.Width/2)/f.Width)
		small, err := vision.NewPreprocessor(maxWidth, height).ResizeBox(f, vision.Box{X1: float64(f.Width), Y1: float64(f.Height)})
		if err != nil {
			return nil, err
		}
		f = small
	}
	var out bytes.Buffer
	err := vision.EncodeJPEG(&out, f, quality)
	return out.Bytes(), err
}
