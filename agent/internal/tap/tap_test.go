package tap_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"xbmedge/agent/internal/pipeline"
	"xbmedge/agent/internal/tap"
	"xbmedge/internal/vision"
)

type publisher struct {
	pipeline.Publisher
	events int
}

func (p *publisher) Event(*pipeline.Event) error { p.events++; return nil }

func frame(v byte) vision.Frame {
	f := vision.NewFrame(8, 8)
	for i := range f.Pix {
		f.Pix[i] = v
	}
	return f
}

func event(t pipeline.EventType, id string, f vision.Frame) *pipeline.Event {
	return &pipeline.Event{Type: t, ID: id, Picture: f, Embedding: []float32{float32(f.Pix[0]), 1}}
}

func TestEventsAreRemembered(t *testing.T) {
	tp, told := tap.New(4, 4), &publisher{}
	_, p := tp.Camera("shelf", told)
	buffer := frame(0)
	for i := range 70 {
		copy(buffer.Pix, frame(byte(i)).Pix) // the pipeline uses its buffer again
		if err := p.Event(event(pipeline.TrackNew, fmt.Sprint(i), buffer)); err != nil {
			t.Fatal(err)
		}
	}
	if told.events != 70 {
		t.Errorf("%d events were handed on", told.events)
	}
	for id, want := range map[string]float32{"69": 69, "6": 6} {
		s, known := tp.Event(id)
		if !known || s.Embedding[0] != want || s.Picture.Width != 4 || math.Abs(float64(s.Picture.Pix[0])-float64(want)) > 2 {
			t.Errorf("event %s: %v, %v", id, s, known)
		}
	}
	for _, id := range []string{"5", "70", ""} {
		if _, known := tp.Event(id); known {
			t.Errorf("event %q is remembered", id)
		}
	}
	// A better frame takes the place of the first; an end has no picture.
	end := &pipeline.Event{Type: pipeline.TrackEnd, ID: "69"}
	if err := errors.Join(p.Event(event(pipeline.TrackUpdate, "69", frame(200))), p.Event(end)); err != nil {
		t.Fatal(err)
	}
	if s, _ := tp.Event("69"); s.Embedding[0] != 200 {
		t.Errorf("%v", s.Embedding)
	}
}

func TestCollect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tp := tap.New(4, 4)
		c, _ := tp.Camera("shelf", &publisher{})
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			for i := byte(0); ctx.Err() == nil; i++ {
				if c.Wants() {
					c.Saw(frame(i), []float32{float32(i), 1})
				}
				time.Sleep(10 * time.Millisecond) // of the bubble's time
			}
		}()
		seen, err := tp.Collect(ctx, "shelf", 4*time.Second)
		if err != nil || len(seen) < 28 || len(seen) > 32 {
			t.Errorf("%d pictures, %v", len(seen), err)
		}
		if len(seen) > 1 && (seen[1].At.Sub(seen[0].At) < 100*time.Millisecond || seen[0].Embedding[0] == seen[1].Embedding[0]) {
			t.Errorf("pictures %v apart", seen[1].At.Sub(seen[0].At))
		}
		if _, err := tp.Collect(ctx, "attic", time.Second); err == nil {
			t.Error("a camera that there is not")
		}
		first := make(chan error)
		go func() {
			_, err := tp.Collect(ctx, "shelf", time.Hour)
			first <- err
		}()
		synctest.Wait()
		if _, err := tp.Collect(ctx, "shelf", time.Second); err == nil {
			t.Error("two at once")
		}
		stop()
		if err := <-first; !errors.Is(err, context.Canceled) {
			t.Errorf("stopped: %v", err)
		}
		<-done
	})
}

func TestNobodyAsks(t *testing.T) {
	c, _ := tap.New(4, 4).Camera("shelf", &publisher{})
	if c.Wants() {
		t.Error("wants pictures")
	}
	if n := testing.AllocsPerRun(100, func() { c.Wants() }); n != 0 {
		t.Errorf("%v allocations a frame", n)
	}
	c.Saw(frame(1), []float32{1, 1}) // the last one asked has just gone
}
