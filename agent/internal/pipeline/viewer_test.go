package pipeline

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"xbmedge/internal/gallery"
	"xbmedge/internal/vision"
)

// viewer keeps what it is shown.
type viewer struct {
	looks bool
	asked int
	shown [][]Thing
}

func (v *viewer) Looks() bool { v.asked++; return v.looks }
func (v *viewer) See(_ *Frame, things []Thing) {
	v.shown = append(v.shown, append([]Thing(nil), things...))
}

// Who looks sees each frame, also one in which nothing moved, with what it is told as; who does not is only asked.
func TestViewer(t *testing.T) {
	v := &viewer{}
	d := deps(nil, func(int) gallery.Decision { return known("a", 0.8) }, &fakePublisher{})
	d.Embedder, d.Viewer = &stripes{}, v
	c, err := New(Config{Camera: "cam", Track: tracking(), Motion: moves(), Gate: true}, d)
	if err != nil {
		t.Fatal(err)
	}
	f := &Frame{Frame: vision.NewFrame(320, 240)}
	process := func(frames int) {
		for range frames {
			f.Captured = f.Captured.Add(time.Second)
			c.process(f)
		}
	}
	v.looks = true
	process(1)
	v.looks = false
	process(20) // until it is settled
	v.looks = true
	process(1)
	who := known("a", 0.8).Identity
	want := [][]Thing{
		{{Box: whole(), Identity: who, Known: true, Score: 0.8}},
		{{Box: whole(), Identity: who, Known: true, Told: true, Score: 0.8}},
	}
	if diff := cmp.Diff(want, v.shown); diff != "" || v.asked != 22 || c.Stats().Still == 0 {
		t.Errorf("asked %d times, want 22; %d frames without movement; -want +got:\n%s", v.asked, c.Stats().Still, diff)
	}
	v.looks = false
	if n := testing.AllocsPerRun(100, func() { process(1) }); n != 0 {
		t.Errorf("%v allocations a frame while nobody looks", n)
	}
}
