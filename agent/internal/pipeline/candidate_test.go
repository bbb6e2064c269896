package pipeline

import (
	"testing"

	"xbmedge/internal/gallery"
)

// A near miss is something in view that is nearest to an identity, below its threshold; nothing else is one.
func TestCandidates(t *testing.T) {
	miss := func(score float32) gallery.Decision {
		d := stranger(score)
		d.TopK = []gallery.Candidate{{Identity: gallery.Identity{ID: "mug"}, Score: score}}
		return d
	}
	decide := func(n int) gallery.Decision {
		switch {
		case n <= 10:
			return known("mug", 0.7)
		case n <= 15:
			return miss(float32(n) / 100)
		}
		return stranger(0.1) // an empty gallery has nothing that is near
	}
	for _, on := range []bool{true, false} {
		p := &fakePublisher{}
		d := deps(&fakeSource{n: 20}, decide, p)
		c, err := New(Config{Camera: "cam", Track: tracking(), Candidates: on}, d)
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Run(t.Context()); err != nil {
			t.Fatal(err)
		}
		want := 0
		if on {
			want = 5
		}
		if len(p.near) != want || on && (p.near[0].Score != 0.11 || p.near[4].Score != 0.15) {
			t.Errorf("switched on: %v; %d near misses, want %d: %+v", on, len(p.near), want, p.near)
		}
	}
}
