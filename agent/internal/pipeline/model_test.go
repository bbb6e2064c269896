package pipeline

import (
	"log/slog"
	"os"
	"testing"

	"xbmedge/internal/embed"
	"xbmedge/internal/gallery"
	"xbmedge/internal/testdata"
	"xbmedge/internal/tflite"
	"xbmedge/internal/vision"
)

// withModel is a camera with a real model and gallery, looking at two pictures by turns.
func withModel(t testing.TB, file string) (c *Camera, p *fakePublisher, step func()) {
	t.Helper()
	if err := tflite.Available(); err != nil {
		t.Skip("needs TensorFlow Lite: ", err)
	}
	model, err := os.ReadFile(testdata.File(t, "tflite/"+file))
	if err != nil {
		t.Fatal(err)
	}
	e, err := embed.New(model, embed.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	frames := [2]*Frame{{Frame: vision.NewFrame(640, 480)}, {Frame: vision.NewFrame(640, 480)}}
	for i, f := range frames {
		for j := range f.Pix {
			f.Pix[j] = byte(100 + j/3%2*60 + j%3*20)
		}
		square(f.Frame, 200+30*i, 150, 150, 240)
	}
	g, err := gallery.New(gallery.Model{Dim: e.Dim()})
	if err != nil {
		t.Fatal(err)
	}
	v := make([]float32, e.Dim())
	if err := e.Embed(v, frames[0].Frame); err != nil {
		t.Fatal(err)
	}
	if err := g.Enroll("square", "Square", [][]float32{v}); err != nil {
		t.Fatal(err)
	}
	m, err := gallery.NewMatcher(g, 3, 0)
	if err != nil {
		t.Fatal(err)
	}
	p = &fakePublisher{}
	d := deps(nil, nil, p)
	d.Embedder, d.Matcher, d.Log = e, m, slog.New(slog.DiscardHandler)
	c, err = New(Config{
		Camera: "cam", Track: tracking(), Motion: moves(), Gate: true, Presence: PresenceConfig{Detail: 6.5},
		Quality: GateConfig{Size: 16, Dark: 6, Bright: 250},
	}, d)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	return c, p, func() { n++; c.process(frames[n%2]) }
}

func TestFrameThroughAModelAllocatesNothing(t *testing.T) {
	c, p, step := withModel(t, "mobilenet_v1_0.25_float.tflite")
	for range 20 {
		step()
	}
	if len(p.events) == 0 {
		t.Fatal("nothing was told")
	}
	if n := testing.AllocsPerRun(50, step); n != 0 {
		t.Errorf("%v allocations for one frame", n)
	}
	if s := c.Stats(); s.Failed > 0 || s.Covered < 70 {
		t.Errorf("stats %+v", s)
	}
}

// BenchmarkFrame is a whole frame of 640×480, and says what of it is not the model's (nor the resizing's before it).
func BenchmarkFrame(b *testing.B) {
	c, _, step := withModel(b, "mobilenet_v1_0.25_float.tflite")
	b.ReportAllocs()
	for b.Loop() {
		step()
	}
	s := c.Stats()
	b.ReportMetric(float64(s.RestP50.Microseconds())/1000, "ms-rest-p50")
	b.ReportMetric(float64(s.RestP95.Microseconds())/1000, "ms-rest-p95")
}
