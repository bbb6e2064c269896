package pipeline

import (
	"testing"

	"xbmedge/internal/gallery"
)

// A camera whose recognition is off embeds nothing, what was in view has left, and what is there when it is on again is
// seen without having moved.
func TestRecognitionIsSwitched(t *testing.T) {
	e, p := &stripes{}, &fakePublisher{}
	d := deps(nil, func(int) gallery.Decision { return known("a", 0.8) }, p)
	d.Embedder = e
	c, err := New(Config{Camera: "cam", Track: tracking(), Motion: moves(), Gate: true}, d)
	if err != nil {
		t.Fatal(err)
	}
	process := still(c, e)
	process(10)
	c.SetRecognition(false)
	if n := process(20); n != 0 {
		t.Errorf("%d of 20 frames embedded with recognition off", n)
	}
	if n := len(p.events); n != 2 || p.events[1].Type != TrackEnd {
		t.Errorf("%d events; want a new one and its end", n)
	}
	if s := c.Stats(); s.Processed != 30 || s.Failed != 0 {
		t.Errorf("stats %+v", s)
	}
	c.SetRecognition(true)
	if n := process(10); n < 3 || len(p.events) != 3 {
		t.Errorf("%d of 10 frames embedded with recognition on again, %d events", n, len(p.events))
	}
	if n := process(10); n != 0 {
		t.Errorf("%d of 10 unmoved frames embedded", n)
	}
	c.SetEmbeddings(true)
	if n := process(10); n != 10 || p.samples != 10 {
		t.Errorf("%d of 10 unmoved frames embedded while embeddings are published, %d published", n, p.samples)
	}
	c.SetEmbeddings(false)
	if n := process(10); n != 0 || p.samples != 10 {
		t.Errorf("%d of 10 unmoved frames embedded, %d embeddings published", n, p.samples)
	}
}
