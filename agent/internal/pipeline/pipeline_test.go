package pipeline

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"xbmedge/internal/gallery"
	"xbmedge/internal/vision"
)

type resultList struct{ lines []string }

func (r *resultList) Frame(x Result) error {
	r.lines = append(r.lines, fmt.Sprintf("%d %v %s %s", x.Seq, x.Present, x.Decision.Identity.ID, x.Track))
	return nil
}

func TestClipGoesThroughEveryFrame(t *testing.T) {
	noLeaks(t)
	p := &fakePublisher{}
	d := deps(&fakeSource{n: 500}, func(n int) gallery.Decision {
		if n > 100 && n <= 400 {
			return known("mug", 0.7)
		}
		return stranger(0.1)
	}, p)
	var got resultList
	d.Results = &got
	d.Embedder = &fakeEmbedder{before: func(n int) { time.Sleep(time.Duration(n%7) * 10 * time.Microsecond) }}
	c, err := New(Config{Camera: "cam", Track: tracking(), Presence: PresenceConfig{Detail: 1}, Embeddings: true}, d)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Run(context.Background()); err != nil {
		t.Fatal(err)
	}
	if len(got.lines) != 500 || got.lines[0] != "1 false  " || got.lines[102] != "103 true mug mug" {
		t.Errorf("%d results, such as %q and %q", len(got.lines), got.lines[0], got.lines[102])
	}
	s := c.Stats()
	if s.EmbedP50 <= 0 || s.EmbedP95 < s.EmbedP50 {
		t.Errorf("embedding took %v, %v", s.EmbedP50, s.EmbedP95)
	}
	s.EmbedP50, s.EmbedP95, s.RestP50, s.RestP95 = 0, 0, 0, 0
	if s != (Stats{Captured: 500, Processed: 500, Events: 2, Moving: 500, Covered: 500}) {
		t.Errorf("stats %+v", s)
	}
	var kinds []string
	for _, e := range p.events {
		kinds = append(kinds, fmt.Sprintf("%s %s %s %s %d", e.Camera, e.Type, e.Kind, e.Identity.ID, e.Frames))
		if e.ID != p.events[0].ID {
			t.Errorf("event ids %q and %q in one track", e.ID, p.events[0].ID)
		}
	}
	if diff := cmp.Diff([]string{"cam new recognized mug 3", "cam end left mug 300"}, kinds); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]bool{true, false}, p.statuses); diff != "" {
		t.Errorf("statuses (-want +got):\n%s", diff)
	}
	if p.samples != 500 {
		t.Errorf("%d embeddings published, want 500", p.samples)
	}
	if len(p.states) != 3 || len(p.states[2].Present) != 0 || p.states[1].Present[0] != "mug" {
		t.Errorf("states %+v", p.states)
	}
}

func TestWhatIsInViewEndsWithTheClip(t *testing.T) {
	noLeaks(t)
	p := &fakePublisher{}
	c, _ := New(Config{Camera: "cam", Track: tracking()}, deps(&fakeSource{n: 20}, func(int) gallery.Decision { return known("mug", 0.7) }, p))
	if err := c.Run(context.Background()); err != nil {
		t.Fatal(err)
	}
	if n := len(p.events); n != 2 || p.events[1].Kind != Left || p.events[1].Frames != 20 {
		t.Errorf("events %+v; want new and left", p.events)
	}
	if s := p.states[len(p.states)-1]; len(s.Present) != 0 {
		t.Errorf("last state %+v; want nobody", s)
	}
}

func TestClipThatFails(t *testing.T) {
	noLeaks(t)
	for name, d := range map[string]Deps{
		"to open": {Open: func(context.Context) (Source, error) { return nil, errors.New("no such file") }},
		"to read": {Open: func(context.Context) (Source, error) {
			return &fakeSource{read: func(context.Context, *Frame) error { return errors.New("damaged") }}, nil
		}},
	} {
		p := &fakePublisher{}
		full := deps(nil, func(int) gallery.Decision { return stranger(0) }, p)
		full.Open = d.Open
		c, _ := New(Config{Camera: "cam", Track: tracking()}, full)
		err := c.Run(context.Background())
		if err == nil || !strings.Contains(err.Error(), "cam") {
			t.Errorf("%s: error %v does not name the camera", name, err)
		}
	}
}

func TestLiveTakesTheNewest(t *testing.T) {
	noLeaks(t)
	const last = 1000
	busy, release := make(chan struct{}), make(chan struct{})
	var processed []int
	p := &fakePublisher{}
	d := deps(nil, func(int) gallery.Decision { return stranger(0) }, p)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	d.Embedder = &fakeEmbedder{before: func(n int) {
		processed = append(processed, n)
		switch len(processed) {
		case 1:
			close(busy)
			<-release // while all others are read
		case 2:
			cancel()
		}
	}}
	read := 0
	d.Open = func(context.Context) (Source, error) {
		return &fakeSource{read: func(ctx context.Context, f *Frame) error {
			switch read {
			case 1:
				<-busy
			case last:
				close(release)
				<-ctx.Done()
				return ctx.Err()
			}
			read++
			number(f, read)
			return nil
		}}, nil
	}
	c, _ := New(Config{Camera: "cam", Live: true, Track: tracking()}, d)
	if err := c.Run(ctx); err != nil {
		t.Fatal(err)
	}
	if len(processed) != 2 || processed[1] != last {
		t.Errorf("processed %v; want the newest, %d, second", processed, last)
	}
	if s := c.Stats(); s.Captured != last || s.Dropped != last-2 {
		t.Errorf("stats %+v; want %d read, all but two dropped", s, last)
	}
}

func TestLiveSourceIsOpenedAgain(t *testing.T) {
	noLeaks(t)
	p := &fakePublisher{}
	d := deps(nil, func(int) gallery.Decision { return known("mug", 0.7) }, p)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var opened, closed atomic.Int32
	d.Open = func(context.Context) (Source, error) {
		switch n := opened.Add(1); {
		case n%2 == 1:
			return nil, errors.New("unplugged")
		case n > 6:
			cancel()
		}
		return &fakeSource{n: 5, closed: func() { closed.Add(1) }}, nil // the end of a live source is a fault
	}
	c, _ := New(Config{Camera: "cam", Live: true, Track: tracking(), BackoffMin: time.Millisecond, BackoffMax: 2 * time.Millisecond}, d)
	if err := c.Run(ctx); err != nil {
		t.Fatal(err)
	}
	if opened.Load() < 7 || closed.Load() != opened.Load()/2 {
		t.Errorf("opened %d times, closed %d", opened.Load(), closed.Load())
	}
	if len(p.statuses) < 4 || !p.statuses[0] || p.statuses[1] || !p.statuses[2] {
		t.Errorf("statuses %v; want on and off in turns", p.statuses)
	}
}

// A camera that stops giving frames: what was in view has left, though no frame says so.
func TestSilentCameraEndsItsTracks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &fakePublisher{}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		p.onEvent = func(e Event) {
			if e.Type == TrackEnd {
				cancel()
			}
		}
		n := 0
		src := &fakeSource{read: func(ctx context.Context, f *Frame) error {
			if n == 10 {
				<-ctx.Done()
				return ctx.Err()
			}
			n++
			time.Sleep(10 * time.Millisecond) // of the test's own clock
			number(f, n)
			return nil
		}}
		c, _ := New(Config{Camera: "cam", Live: true, Track: tracking()}, deps(src, func(int) gallery.Decision { return known("mug", 0.7) }, p))
		start := time.Now()
		if err := c.Run(ctx); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start); len(p.events) != 2 || took > 5*time.Second {
			t.Errorf("%d events after %v", len(p.events), took)
		}
	})
}

func TestLiveFrameRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &fakePublisher{}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		n := 0
		src := &fakeSource{read: func(ctx context.Context, f *Frame) error {
			select {
			case <-time.After(time.Second / 30):
			case <-ctx.Done():
				return ctx.Err()
			}
			n++
			number(f, n)
			return nil
		}}
		c, _ := New(Config{Camera: "cam", Live: true, FPS: 5, Track: tracking()}, deps(src, func(int) gallery.Decision { return stranger(0) }, p))
		if err := c.Run(ctx); err != nil {
			t.Fatal(err)
		}
		if s := c.Stats(); s.Processed < 45 || s.Processed > 55 {
			t.Errorf("%d frames in 10 s at 5 frames/s", s.Processed)
		}
	})
}

func TestFrameWithoutAnEventAllocatesNothing(t *testing.T) {
	g, err := gallery.New(gallery.Model{Dim: 1})
	if err != nil {
		t.Fatal(err)
	}
	if err := g.Enroll("mug", "Mug", [][]float32{{1}}); err != nil {
		t.Fatal(err)
	}
	m, err := gallery.NewMatcher(g, 3, 0)
	if err != nil {
		t.Fatal(err)
	}
	p := &fakePublisher{}
	d := deps(nil, nil, p)
	d.Matcher = m
	c, err := New(Config{Camera: "cam", Track: tracking(), Presence: PresenceConfig{Detail: 1, Change: 1}}, d)
	if err != nil {
		t.Fatal(err)
	}
	f := &Frame{Frame: vision.NewFrame(640, 360)}
	f.Pix[0] = 1
	for range 20 {
		c.process(f)
	}
	if len(p.events) != 1 {
		t.Fatalf("%d events before counting, want 1", len(p.events))
	}
	if n := testing.AllocsPerRun(200, func() { c.process(f) }); n != 0 {
		t.Errorf("%v allocations for one frame", n)
	}
}

func BenchmarkPresence(b *testing.B) {
	p := newPresence(PresenceConfig{Detail: 6.5})
	f := vision.NewFrame(640, 360)
	b.ReportAllocs()
	for b.Loop() {
		p.look(f)
	}
}

func TestPresence(t *testing.T) {
	flat, busy := vision.NewFrame(160, 120), vision.NewFrame(160, 120)
	edge := vision.NewFrame(160, 120) // busy, but only outside the middle
	for y := range 120 {
		for x := range 160 {
			on := byte(0)
			if (x/4+y/4)%2 == 0 {
				on = 200
			}
			i := 3 * (y*160 + x)
			copy(busy.Pix[i:], []byte{on, on, on})
			copy(flat.Pix[i:], []byte{90 + byte(y/16), 90, 90})
			if x < 40 || x >= 120 {
				copy(edge.Pix[i:], []byte{on, on, on})
			}
		}
	}
	p := newPresence(PresenceConfig{Detail: 6.5})
	if p.look(flat) || !p.look(busy) || p.look(edge) {
		t.Errorf("seen in a wall %v, in a thing %v, beside the middle %v", p.look(flat), p.look(busy), p.look(edge))
	}
	if tiny := vision.NewFrame(1, 1); p.look(tiny) {
		t.Error("something in one pixel")
	}
	still := newPresence(PresenceConfig{Detail: 6.5, Change: 4})
	if still.look(busy) {
		t.Error("something in a background that has not changed")
	}
	moved := vision.NewFrame(160, 120)
	copy(moved.Pix, busy.Pix[3*4:])
	if !still.look(moved) {
		t.Error("nothing in a changed picture")
	}
}
