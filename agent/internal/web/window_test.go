package web

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image/jpeg"
	"net/http"
	"net/url"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"xbmedge/agent/internal/pipeline"
	"xbmedge/internal/gallery"
	"xbmedge/internal/vision"
)

func frame(width, height int, value byte) *pipeline.Frame {
	f := &pipeline.Frame{Frame: vision.NewFrame(width, height)}
	for i := range f.Pix {
		f.Pix[i] = value
	}
	return f
}

// While nobody looks a frame costs one question and no memory.
func TestNobodyLooks(t *testing.T) {
	w := &window{}
	asked := false
	if n := testing.AllocsPerRun(1000, func() { asked = asked || w.Looks() }); n != 0 || asked {
		t.Errorf("%v allocations, asked %v", n, asked)
	}
}

// All who wait get the same next frame, encoded once; nobody gets an old one; and one camera gives five a second at most.
func TestPicturesForManyViewers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &window{}
		ctx, stop := context.WithCancel(t.Context())
		var pipe sync.WaitGroup
		seen := 0
		pipe.Go(func() { // a camera at 50 frames a second
			for n := byte(0); ctx.Err() == nil; n++ {
				if w.Looks() {
					seen++
					w.See(frame(4, 4, n), []pipeline.Thing{{Score: float32(n)}})
				}
				time.Sleep(20 * time.Millisecond)
			}
		})
		got := make([]map[int64]*shot, 4)
		var viewers sync.WaitGroup
		for i := range got {
			got[i] = map[int64]*shot{}
			viewers.Go(func() {
				after := int64(0)
				for begun := time.Now(); time.Since(begun) < 10*time.Second; {
					s, err := w.look(ctx, after)
					if err != nil {
						t.Error(err)
						return
					}
					if age := time.Since(s.at); age > 2*every || s.number == after {
						t.Errorf("a picture of %v ago, number %d after %d", age, s.number, after)
					}
					if _, err := w.encoded(s); err != nil {
						t.Error(err)
					}
					after = s.number
					got[i][after] = s
				}
			})
		}
		viewers.Wait()
		stop()
		pipe.Wait()
		if seen < 40 || seen > 52 {
			t.Errorf("%d frames copied in 10 s for %d viewers", seen, len(got))
		}
		for i := range got {
			if len(got[i]) < 40 {
				t.Errorf("viewer %d saw %d pictures", i, len(got[i]))
			}
		}
		for n, s := range got[0] {
			if o := got[1][n]; o != nil && &o.jpeg[0] != &s.jpeg[0] {
				t.Error("encoded twice")
			}
		}
	})
}

func TestACameraThatGivesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &window{}
		begun := time.Now()
		if _, err := w.look(t.Context(), 0); !errors.Is(err, errNoFrames) || time.Since(begun) != patience {
			t.Errorf("%v after %v", err, time.Since(begun))
		}
		w.See(frame(4, 4, 1), nil)
		time.Sleep(time.Minute) // what it gave last is no picture of now
		if _, err := w.look(t.Context(), 0); !errors.Is(err, errNoFrames) {
			t.Errorf("an old picture: %v", err)
		}
	})
}

func TestLivePicture(t *testing.T) {
	s, _ := server(t, "")
	w := s.parts.Scene.window("shelf")
	w.See(frame(1280, 720, 200), []pipeline.Thing{{Box: pipeline.Box{0.1, 0.2, 0.3, 0.4}, Identity: gallery.Identity{ID: "pen", Name: "Stift €\n" + nasty}, Known: true, Told: true, Score: 0.75}})
	answer := ask(s, "/camera/shelf/picture", "")
	picture, err := jpeg.Decode(answer.Body)
	if err != nil || answer.Code != 200 || picture.Bounds().Dx() != 640 || picture.Bounds().Dy() != 360 {
		t.Fatalf("%d, %v, %v", answer.Code, picture, err)
	}
	header := answer.Header().Get("Xbm-Things")
	text, err := url.PathUnescape(header)
	if want := `[{"box":[0.1,0.2,0.3,0.4],"name":"Stift €\n\u003cscript\u003ealert(1)\u003c/script\u003e\"' onload=x","score":0.75,"known":true,"told":true}]`; err != nil || text != want {
		t.Errorf("%s, %v", text, err)
	}
	if bytes.ContainsAny([]byte(header), "\r\n\" ") {
		t.Errorf("header %q", header)
	}
	for range maxLooking {
		s.looking <- struct{}{}
	}
	if full := ask(s, "/camera/shelf/picture", ""); full.Code != http.StatusTooManyRequests {
		t.Errorf("one more: %d", full.Code)
	}
}

// The latest stays are remembered, each once, with the picture it had.
func TestScene(t *testing.T) {
	s := NewScene()
	_, p := s.Camera("cam", nowhere{})
	for i := range maxEvents + 3 {
		e := pipeline.Event{ID: fmt.Sprint(i), Camera: "cam", Type: pipeline.TrackNew, Known: true, Identity: gallery.Identity{ID: "cup"}, Picture: frame(20, 10, byte(i)).Frame}
		end := e
		end.Type, end.Picture = pipeline.TrackEnd, vision.Frame{}
		if err := errors.Join(p.Event(&e), p.Event(&end)); err != nil {
			t.Fatal(err)
		}
	}
	events := s.latest()
	if len(events) != maxEvents || events[0].ID != fmt.Sprint(maxEvents+2) || !events[0].Gone || events[0].picture.Pix[0] != maxEvents+2 {
		t.Errorf("%d events, the latest %s, gone %v", len(events), events[0].ID, events[0].Gone)
	}
	if _, known := s.event("0"); known {
		t.Error("the first is still there")
	}
}

// Who waits for a camera gets the picture of the one that has taken its place, after a reload.
func TestAnotherCameraInItsPlace(t *testing.T) {
	s := NewScene()
	old, _ := s.Camera("cam", nowhere{})
	got := make(chan *shot)
	go func() {
		shot, err := s.window("cam").look(t.Context(), 0)
		if err != nil {
			t.Error(err)
		}
		got <- shot
	}()
	for !old.Looks() {
		time.Sleep(time.Millisecond) // until it waits
	}
	v, _ := s.Camera("cam", nowhere{})
	if !v.Looks() {
		t.Error("the new camera is not asked")
	}
	v.See(frame(4, 4, 1), nil)
	if shot := <-got; len(shot.frame.Pix) != 48 {
		t.Errorf("%+v", shot)
	}
}
