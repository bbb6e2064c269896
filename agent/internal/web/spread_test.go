package web

import (
	"strings"
	"testing"

	"xbmedge/internal/gallery"
)

func TestSpread(t *testing.T) {
	var s spread
	g := things(t)
	got := s.look(g)
	d := got.Drawing
	if d == nil || d.GenuineCount != 4 || d.OtherCount != 4 || len(d.Genuine) == 0 || len(d.Strangers) == 0 {
		t.Fatalf("%+v", got)
	}
	for _, b := range append(d.Genuine, d.Strangers...) {
		if b.X < float64(d.Left)-1 || b.X+b.Width > float64(d.Right)+1 || b.Y < float64(d.Top)-1 || b.Y+b.Height > float64(d.Bottom)+1 {
			t.Errorf("%+v lies outside", b)
		}
	}
	if s.look(g).Drawing != d {
		t.Error("worked out again for the same gallery")
	}
	one, err := gallery.New(gallery.Model{Name: "m", Dim: 3})
	if err != nil {
		t.Fatal(err)
	}
	if got := s.look(one); got.Drawing != nil || !strings.Contains(got.Why, "too few") {
		t.Errorf("nothing enrolled: %+v", got)
	}
	vectors := make([][]float32, maxSpread+1)
	for i := range vectors {
		vectors[i] = []float32{1, float32(i), 0}
	}
	if err := one.Enroll("many", "Many", vectors); err != nil {
		t.Fatal(err)
	}
	two := one.Clone()
	if got := s.look(two); got.Drawing != nil || !strings.Contains(got.Why, "not worked out here") {
		t.Errorf("a large gallery: %.100v", got.Why)
	}
}
