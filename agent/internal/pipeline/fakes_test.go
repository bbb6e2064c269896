package pipeline

import (
	"context"
	"io"
	"log/slog"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"xbmedge/internal/gallery"
	"xbmedge/internal/vision"
)

func noLeaks(t *testing.T) {
	t.Helper()
	before := goleak.IgnoreCurrent()
	t.Cleanup(func() { goleak.VerifyNone(t, before) })
}

// fakeSource gives frames that carry their number in the first pixel. read, when set, takes over.
type fakeSource struct {
	n, seq int
	read   func(ctx context.Context, f *Frame) error
	closed func()
}

func (s *fakeSource) Read(ctx context.Context, f *Frame) error {
	if s.read != nil {
		return s.read(ctx, f)
	}
	if s.seq == s.n {
		return io.EOF
	}
	s.seq++
	number(f, s.seq)
	return nil
}

func (s *fakeSource) Close() error {
	if s.closed != nil {
		s.closed()
	}
	return nil
}

func number(f *Frame, n int) {
	if f.Pix == nil {
		f.Frame = vision.NewFrame(8, 8)
	}
	f.Pix[0], f.Pix[1] = byte(n), byte(n>>8)
	f.Seq, f.Captured = uint64(n), time.Now()
}

// fakeEmbedder passes the frame's number on.
type fakeEmbedder struct {
	before func(n int) // called for every frame
}

func (*fakeEmbedder) Dim() int { return 1 }

func (e *fakeEmbedder) Embed(dst []float32, f vision.Frame) error {
	n := int(f.Pix[0]) | int(f.Pix[1])<<8
	if e.before != nil {
		e.before(n)
	}
	dst[0] = float32(n)
	return nil
}

// fakeMatcher decides by the frame's number.
type fakeMatcher func(n int) gallery.Decision

func (m fakeMatcher) Match(v []float32) gallery.Decision { return m(int(v[0])) }

func known(id string, score float32) gallery.Decision {
	who := gallery.Identity{ID: id, Name: "The " + id}
	return gallery.Decision{Known: true, Identity: who, Score: score, Margin: 0.1, Threshold: 0.5, TopK: []gallery.Candidate{{Identity: who, Score: score}}}
}

func stranger(score float32) gallery.Decision { return gallery.Decision{Score: score, Threshold: 0.5} }

// fakePublisher keeps what it is told.
type fakePublisher struct {
	mu       sync.Mutex
	events   []Event
	states   []State
	statuses []bool
	samples  int
	near     []gallery.Decision
	onEvent  func(Event)
	onStatus func(bool)
}

func (p *fakePublisher) Event(e *Event) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.events = append(p.events, *e)
	if p.onEvent != nil {
		p.onEvent(*e)
	}
	return nil
}

func (p *fakePublisher) State(s *State) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.states = append(p.states, *s)
}

func (p *fakePublisher) Status(_ string, on bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.statuses = append(p.statuses, on)
	if p.onStatus != nil {
		p.onStatus(on)
	}
}

func (p *fakePublisher) Candidate(_ string, _ *Frame, d *gallery.Decision, _ Box) {
	p.near = append(p.near, *d)
}

func (p *fakePublisher) Embedding(string, *Frame, []float32) { p.samples++ }

func tracking() TrackConfig {
	return TrackConfig{Window: 5, MinFrames: 3, HoldFrames: 4, Hold: 50 * time.Millisecond, UpdateGain: 0.05, UpdateInterval: time.Millisecond}
}

func deps(src Source, m fakeMatcher, p *fakePublisher) Deps {
	return Deps{
		Open:     func(context.Context) (Source, error) { return src, nil },
		Embedder: &fakeEmbedder{}, Matcher: m, Publisher: p, Log: slog.New(slog.DiscardHandler),
	}
}
