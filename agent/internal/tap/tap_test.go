package tap_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"xbmedge/agent/internal/pipeline"
	"xbmedge/agent/internal/tap"
	"xbmedge/internal/vision"
)

type model struct{ fails bool }

func (model) Dim() int { return 2 }
func (m model) Embed(dst []float32, f vision.Frame) error {
	if m.fails {
		return errors.New("broken")
	}
	dst[0], dst[1] = float32(f.Pix[0]), 1
	return nil
}

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

func TestEventsAreRemembered(t *testing.T) {
	tp, told := tap.New(4, 4), &publisher{}
	e, p := tp.Camera("shelf", model{}, told)
	dst := make([]float32, 2)
	buffer := frame(0)
	for i := range 70 {
		copy(buffer.Pix, frame(byte(i)).Pix) // the pipeline uses its buffer again
		if err := e.Embed(dst, buffer); err != nil {
			t.Fatal(err)
		}
		if err := p.Event(&pipeline.Event{Type: pipeline.TrackNew, ID: fmt.Sprint(i)}); err != nil {
			t.Fatal(err)
		}
	}
	if told.events != 70 {
		t.Errorf("%d events were handed on", told.events)
	}
	for id, want := range map[string]float32{"69": 69, "6": 6} {
		s, known := tp.Event(id)
		if !known || s.Embedding[0] != want || s.Picture.Width != 4 || s.Picture.Pix[0] != byte(want) {
			t.Errorf("event %s: %v, %v", id, s, known)
		}
	}
	for _, id := range []string{"5", "70", ""} {
		if _, known := tp.Event(id); known {
			t.Errorf("event %q is remembered", id)
		}
	}
	// A better frame takes the place of the first; the end of a track shows what came after it.
	if err := errors.Join(e.Embed(dst, frame(200)), p.Event(&pipeline.Event{Type: pipeline.TrackUpdate, ID: "69"}),
		e.Embed(dst, frame(1)), p.Event(&pipeline.Event{Type: pipeline.TrackEnd, ID: "69"})); err != nil {
		t.Fatal(err)
	}
	if s, _ := tp.Event("69"); s.Embedding[0] != 200 {
		t.Errorf("%v", s.Embedding)
	}
}

func TestCollect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tp := tap.New(4, 4)
		e, _ := tp.Camera("shelf", model{}, &publisher{})
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			for i := byte(0); ctx.Err() == nil; i++ {
				if err := e.Embed(make([]float32, 2), frame(i)); err != nil {
					t.Error(err)
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

func TestCostsNothingWhileNobodyAsks(t *testing.T) {
	e, _ := tap.New(4, 4).Camera("shelf", model{}, &publisher{})
	dst, f := make([]float32, 2), frame(3)
	if n := testing.AllocsPerRun(100, func() { _ = e.Embed(dst, f) }); n != 0 {
		t.Errorf("%v allocations a frame", n)
	}
	e, _ = tap.New(4, 4).Camera("shelf", model{fails: true}, &publisher{})
	if err := e.Embed(dst, f); err == nil {
		t.Error("the model's error was lost")
	}
}
