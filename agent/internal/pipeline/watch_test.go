package pipeline

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"xbmedge/internal/gallery"
)

// watcher notes when each loop last beat.
type watcher struct {
	mu   sync.Mutex
	last map[string]time.Time
}

type watched struct {
	w    *watcher
	loop string
}

func (w *watcher) watch(loop string) Heartbeat {
	b := watched{w, loop}
	b.Beat()
	return b
}

func (b watched) Beat() {
	b.w.mu.Lock()
	defer b.w.mu.Unlock()
	b.w.last[b.loop] = time.Now()
}

func (b watched) End() {
	b.w.mu.Lock()
	defer b.w.mu.Unlock()
	delete(b.w.last, b.loop)
}

// silent returns the loops that have not beaten for longer than limit.
func (w *watcher) silent(limit time.Duration) map[string]bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	out := map[string]bool{}
	for loop, at := range w.last {
		if time.Since(at) > limit {
			out[loop] = true
		}
	}
	return out
}

// A loop that waits is alive, one that hangs is not, and the other is not taken for it.
func TestHeartbeats(t *testing.T) {
	hang := func(ctx context.Context) { <-ctx.Done() }
	tests := []struct {
		name   string
		live   bool
		read   func(ctx context.Context, f *Frame) error
		embed  func(ctx context.Context)
		open   error
		silent string // "" for none
	}{
		{name: "camera away", live: true, open: errors.New("not there")},
		{name: "camera dies at once", live: true, read: func(context.Context, *Frame) error { return errors.New("gone") }},
		{name: "read hangs", live: true, silent: "capture", read: func(ctx context.Context, _ *Frame) error {
			hang(ctx)
			return ctx.Err()
		}},
		{name: "model hangs", live: true, silent: "recognition", embed: hang},
		{name: "model hangs on a clip", silent: "recognition", embed: hang},
		{name: "a slow model", embed: func(context.Context) { time.Sleep(4 * time.Second) }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				w := &watcher{last: map[string]time.Time{}}
				n := 0
				src := &fakeSource{read: func(ctx context.Context, f *Frame) error {
					if tt.read != nil {
						return tt.read(ctx, f)
					}
					time.Sleep(100 * time.Millisecond)
					n++
					number(f, n)
					return ctx.Err()
				}}
				d := deps(src, func(int) gallery.Decision { return stranger(0.1) }, &fakePublisher{})
				d.Watch = w.watch
				if tt.embed != nil {
					d.Embedder = &fakeEmbedder{before: func(int) { tt.embed(ctx) }}
				}
				if tt.open != nil {
					d.Open = func(context.Context) (Source, error) { return nil, tt.open }
				}
				c, err := New(Config{Camera: "cam", Track: tracking(), Live: tt.live}, d)
				if err != nil {
					t.Fatal(err)
				}
				done := make(chan error, 1)
				go func() { done <- c.Run(ctx) }()
				time.Sleep(2 * time.Minute)
				got := w.silent(5 * time.Second)
				if len(got) > 1 || tt.silent == "" && len(got) > 0 || tt.silent != "" && !got[tt.silent] {
					t.Errorf("silent loops %v, want %q", got, tt.silent)
				}
				cancel()
				if err := <-done; err != nil {
					t.Error(err)
				}
				if len(w.last) > 0 {
					t.Errorf("loops that never ended: %v", w.last)
				}
			})
		})
	}
}

// What is in view is told to have left even when the driver never comes back.
func TestADriverThatHangsIsLeftBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, free := 0, make(chan struct{})
		closed := false
		src := &fakeSource{closed: func() { closed = true }, read: func(_ context.Context, f *Frame) error {
			if n++; n > 10 {
				<-free
				return errors.New("unplugged")
			}
			number(f, n)
			time.Sleep(time.Millisecond)
			return nil
		}}
		p := &fakePublisher{}
		c, err := New(Config{Camera: "cam", Track: TrackConfig{Window: 5, MinFrames: 3, HoldFrames: 10, Hold: time.Hour, UpdateGain: 1}, Live: true},
			deps(src, func(int) gallery.Decision { return known("mug", 0.7) }, p))
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- c.Run(ctx) }()
		time.Sleep(100 * time.Millisecond)
		cancel()
		stopping := time.Now()
		if err := <-done; err != nil || time.Since(stopping) > 5*time.Second {
			t.Errorf("ended after %v: %v", time.Since(stopping), err)
		}
		if len(p.events) != 2 || p.events[1].Kind != Left || p.statuses[len(p.statuses)-1] {
			t.Errorf("events %+v, statuses %v", p.events, p.statuses)
		}
		close(free)
		synctest.Wait()
		if !closed {
			t.Error("the source was not closed when it came back")
		}
	})
}

func TestShare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := 0
		src := &fakeSource{read: func(ctx context.Context, f *Frame) error {
			time.Sleep(100 * time.Millisecond)
			n++
			number(f, n)
			return ctx.Err()
		}}
		c, err := New(Config{Camera: "cam", Track: tracking(), Live: true},
			deps(src, func(int) gallery.Decision { return stranger(0.1) }, &fakePublisher{}))
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- c.Run(ctx) }()
		before := uint64(0)
		for _, want := range []struct {
			share  float64
			frames int
		}{{1, 100}, {0.5, 50}, {0.2, 20}, {0, 0}, {1, 100}} {
			c.SetShare(want.share)
			time.Sleep(10 * time.Second)
			s := c.Stats()
			if got := int(s.Processed - before); got < want.frames-2 || got > want.frames+2 {
				t.Errorf("share %v: %d of 100 frames processed, want %d", want.share, got, want.frames)
			}
			if !s.Online {
				t.Error("not online")
			}
			before = s.Processed
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if c.Stats().Online {
			t.Error("online after the end")
		}
	})
}

func TestQuantiles(t *testing.T) {
	var l latencies
	if p50, p95 := l.quantiles(); p50 != 0 || p95 != 0 {
		t.Errorf("of nothing: %v, %v", p50, p95)
	}
	for i := range 1000 { // the last 256 are 745…1000
		l.add(time.Duration(i + 1))
	}
	if p50, p95 := l.quantiles(); p50 != 872 || p95 != 988 {
		t.Errorf("quantiles %d, %d; want 872, 988", p50, p95)
	}
}
