package curator_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"xbmedge/agent/internal/control"
	"xbmedge/agent/internal/curator"
	"xbmedge/internal/gallery"
	"xbmedge/internal/vision"
)

// colours is a model whose embedding is the mean colour, as its own red, green and blue.
type colours struct{ sha string }

func (c colours) InputSize() (w, h int) { return 16, 16 }

func (c colours) ForGallery() gallery.Model {
	return gallery.Model{Name: "colours", SHA256: strings.Repeat(c.sha, 32), Dim: 3}
}

func (c colours) LoadGallery(path string) (*gallery.Gallery, error) {
	return gallery.Load(path, c.ForGallery())
}

func (c colours) Embed(dst []float32, f vision.Frame) error {
	clear(dst)
	for i, p := range f.Pix {
		dst[i%3] += float32(p)
	}
	sum := dst[0] + dst[1] + dst[2]
	for i := range dst {
		dst[i] /= sum
	}
	return nil
}

// checked is a picture of checks in one colour, sharp enough to be taken.
func checked(r, g, b byte) vision.Frame {
	f := vision.NewFrame(32, 32)
	for i := range 32 * 32 {
		if (i/4+i/128)%2 == 0 {
			f.Pix[3*i], f.Pix[3*i+1], f.Pix[3*i+2] = r, g, b
		} else {
			f.Pix[3*i], f.Pix[3*i+1], f.Pix[3*i+2] = r/3, g/3, b/3
		}
	}
	return f
}

func picture(t testing.TB, name string, f vision.Frame) control.Picture {
	t.Helper()
	var out bytes.Buffer
	if err := vision.EncodePNG(&out, f); err != nil {
		t.Fatal(err)
	}
	return control.Picture{Name: name, Data: out.Bytes()}
}

func newCurator(t testing.TB, parts curator.Parts) (*curator.Curator, string) {
	t.Helper()
	if parts.Path == "" {
		parts.Path = filepath.Join(t.TempDir(), "things.gallery")
	}
	if parts.Model == nil {
		parts.Model = func() (curator.Embedder, error) { return colours{"0a"}, nil }
	}
	parts.Log = slog.New(slog.DiscardHandler)
	return curator.New(parts), parts.Path
}

func ask(t testing.TB, c *curator.Curator, r *control.Request) *curator.Outcome {
	t.Helper()
	out, err := c.Handle(t.Context(), r)
	if err != nil {
		t.Fatalf("%s: %v", r.Op, err)
	}
	return out.(*curator.Outcome)
}

// named returns which name the gallery's file gives a picture, "" for none.
func named(t testing.TB, path string, f vision.Frame) string {
	t.Helper()
	g, err := gallery.Read(path)
	if err != nil {
		t.Fatal(err)
	}
	m, err := gallery.NewMatcher(g, 2, 0)
	if err != nil {
		t.Fatal(err)
	}
	small, err := vision.NewPreprocessor(16, 16).Resize(f)
	if err != nil {
		t.Fatal(err)
	}
	v := make([]float32, 3)
	if err := (colours{}).Embed(v, small); err != nil {
		t.Fatal(err)
	}
	var norm float32
	for _, x := range v {
		norm += x * x
	}
	for i := range v {
		v[i] /= sqrt(norm)
	}
	return m.Match(v).Identity.ID
}

func sqrt(x float32) float32 {
	r := x
	for range 30 {
		r = (r + x/r) / 2
	}
	return r
}

func TestEnrollCorrectUndo(t *testing.T) {
	var used []*gallery.Gallery
	c, path := newCurator(t, curator.Parts{Use: func(g *gallery.Gallery) error { used = append(used, g); return nil }})
	if info := ask(t, c, &control.Request{Op: "info"}); info.Input != [2]int{16, 16} || info.Model.Name != "colours" {
		t.Errorf("info %+v", info)
	}
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Error("asking made a gallery")
	}
	red, green, orange := checked(250, 10, 10), checked(10, 250, 10), checked(250, 120, 10)
	ask(t, c, &control.Request{Op: "enroll", Name: "Red thing", Pictures: []control.Picture{picture(t, "r", red), picture(t, "r2", checked(240, 30, 20))}})
	threshold := float32(0.8)
	out := ask(t, c, &control.Request{
		Op: "enroll", Name: "Green thing", Pictures: []control.Picture{picture(t, "g", green)}, Last: true, Threshold: &threshold,
	})
	if out.ID != "green-thing" || out.Added != 1 || out.N != 3 || out.Threshold != 0.8 || out.Gallery != path {
		t.Errorf("%+v", out)
	}
	if len(used) != 2 || used[1].Len() != 3 {
		t.Errorf("the new states were handed on %d times", len(used))
	}
	if got := named(t, path, orange); got != "red-thing" {
		t.Errorf("orange is %q", got)
	}
	rejected := ask(t, c, &control.Request{Op: "reject", ID: "red-thing", Pictures: []control.Picture{picture(t, "o", orange)}})
	if got := named(t, path, orange); got != "" {
		t.Errorf("rejected, orange is %q", got)
	}
	if got := named(t, path, red); got != "red-thing" {
		t.Errorf("red is %q", got)
	}
	if _, err := c.Handle(t.Context(), &control.Request{Op: "reject", ID: "red-thing", Pictures: []control.Picture{picture(t, "r", red)}}); !errors.Is(err, gallery.ErrMember) {
		t.Errorf("a member was rejected: %v", err)
	}
	ask(t, c, &control.Request{Op: "unreject", Vector: rejected.Vector})
	if got := named(t, path, orange); got != "red-thing" {
		t.Errorf("taken back, orange is %q", got)
	}
	ask(t, c, &control.Request{Op: "rename", ID: "red-thing", Name: "Tomato"})
	ask(t, c, &control.Request{Op: "merge", ID: "red-thing", IDs: []string{"green-thing"}})
	g, err := gallery.Read(path)
	want := []gallery.Entry{{Identity: gallery.Identity{ID: "red-thing", Name: "Tomato"}, Vectors: 3}}
	if diff := cmp.Diff(want, g.Entries()); diff != "" || err != nil {
		t.Errorf("%v\n%s", err, diff)
	}
	own, _, _ := g.Records("red-thing")
	if crop, err := g.Crop(own[0].ID); err != nil || !bytes.HasPrefix(crop, []byte("\xff\xd8")) || own[0].Added.IsZero() {
		t.Errorf("the picture was not kept: %v, %+v", err, own[0])
	}
	ask(t, c, &control.Request{Op: "forget", Vector: own[0].ID})
	ask(t, c, &control.Request{Op: "remove", IDs: []string{"red-thing"}})
	if got := named(t, path, red); got != "" {
		t.Errorf("removed, red is %q", got)
	}
}

func TestPoorPicturesAreLeftOutWithTheReason(t *testing.T) {
	c, path := newCurator(t, curator.Parts{})
	grey := vision.NewFrame(32, 32)
	for i := range grey.Pix {
		grey.Pix[i] = 128
	}
	poor := []control.Picture{
		picture(t, "dark", checked(20, 4, 4)), picture(t, "grey", grey), picture(t, "tiny", vision.NewFrame(4, 4)),
		{Name: "broken", Data: []byte("no picture")},
	}
	_, err := c.Handle(t.Context(), &control.Request{Op: "enroll", Name: "Red", Pictures: poor})
	if err == nil || !strings.Contains(err.Error(), "none of 4 pictures can be used") {
		t.Errorf("only poor ones: %v", err)
	}
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Error("a gallery was made of nothing")
	}
	out := ask(t, c, &control.Request{Op: "enroll", Name: "Red", Pictures: append(poor, picture(t, "good", checked(250, 0, 0)))})
	why := map[string]string{}
	for _, r := range out.Refused {
		why[r.Name] = r.Why
	}
	for name, want := range map[string]string{"dark": "too dark", "grey": "nothing in it", "tiny": "too small", "broken": "picture"} {
		if !strings.Contains(why[name], want) {
			t.Errorf("%s: %q, want %q", name, why[name], want)
		}
	}
	if out.Added != 1 || len(out.Refused) != 4 {
		t.Errorf("%+v", out)
	}
}

func TestRefusedRequestsChangeNothing(t *testing.T) {
	c, path := newCurator(t, curator.Parts{})
	ask(t, c, &control.Request{Op: "enroll", Name: "Red", Pictures: []control.Picture{picture(t, "r", checked(250, 0, 0))}})
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	half := float32(1.5)
	for want, r := range map[string]*control.Request{
		"is no operation":          {Op: "explode"},
		"path separator":           {Op: "enroll", Name: "../red", Pictures: []control.Picture{picture(t, "r", checked(250, 0, 0))}},
		"no name":                  {Op: "enroll"},
		"no pictures":              {Op: "enroll", Name: "Blue"},
		"an id has":                {Op: "add", ID: "a/b", Name: "A", Samples: []control.Sample{{Vector: []float32{1, 0, 0}}}},
		"not enrolled":             {Op: "remove", IDs: []string{"red", "blue"}},
		"no ids":                   {Op: "remove"},
		"merge \"red\" and":        {Op: "merge", ID: "red", IDs: []string{"blue"}},
		"no such embedding":        {Op: "forget", Vector: 77},
		"want one event":           {Op: "reject", ID: "red"},
		"remembers its events":     {Op: "reject", ID: "red", Event: "1.2-abc"},
		"only an agent that runs":  {Op: "enroll", Name: "Red", Camera: "shelf", Seconds: 1},
		"values, the gallery's":    {Op: "reject", ID: "red", Embedding: []float32{1}},
		"want more than -1":        {Op: "threshold", Threshold: &half},
		"none is given":            {Op: "threshold"},
		"changed meanwhile":        {Op: "calibrate", Calibration: &gallery.Calibration{Threshold: 0.6}, Revision: 99},
		"no calibration is given":  {Op: "calibrate"},
		"that id stands for what ": {Op: "enroll", Name: "Unknown 7", Pictures: []control.Picture{picture(t, "r", checked(250, 0, 0))}},
	} {
		if _, err := c.Handle(t.Context(), r); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %q", r.Op, err, want)
		}
	}
	if after, _ := os.ReadFile(path); !bytes.Equal(before, after) {
		t.Error("a refused request changed the gallery")
	}
}

// Two programs enroll at once: one after the other, and nothing is lost.
func TestTwoEnrolmentsAtOnce(t *testing.T) {
	one, path := newCurator(t, curator.Parts{})
	other, _ := newCurator(t, curator.Parts{Path: path})
	var group sync.WaitGroup
	for i := range 10 {
		for n, c := range []*curator.Curator{one, other} {
			group.Go(func() {
				f := checked(byte(60+15*i), byte(40+80*n), 30)
				if _, err := c.Handle(t.Context(), &control.Request{Op: "enroll", Name: []string{"One", "Other"}[n], Pictures: []control.Picture{{Name: "p", Frame: f}}}); err != nil {
					t.Error(err)
				}
			})
		}
	}
	group.Wait()
	g, err := gallery.Read(path)
	if err != nil || g.Len() != 20 {
		t.Errorf("%d embeddings of 20 (%v)", g.Len(), err)
	}
}

type live struct{ seen curator.Seen }

func (l live) Collect(context.Context, string, time.Duration) ([]curator.Seen, error) {
	return []curator.Seen{l.seen}, nil
}
func (l live) Event(id string) (curator.Seen, bool) { return l.seen, id == "1.2-abc" }
func (l live) Latest(string) []curator.Seen         { return nil }

func TestFromACameraAndAnEvent(t *testing.T) {
	f, err := vision.NewPreprocessor(16, 16).Resize(checked(250, 120, 10))
	if err != nil {
		t.Fatal(err)
	}
	c, path := newCurator(t, curator.Parts{Live: live{curator.Seen{Picture: f, Embedding: []float32{0.9, 0.4, 0.03}}}})
	ask(t, c, &control.Request{Op: "enroll", Name: "Red", Pictures: []control.Picture{picture(t, "r", checked(250, 10, 10))}})
	ask(t, c, &control.Request{Op: "reject", ID: "red", Event: "1.2-abc"})
	if got := named(t, path, checked(250, 120, 10)); got != "" {
		t.Errorf("the event's picture is %q", got)
	}
	if _, err := c.Handle(t.Context(), &control.Request{Op: "reject", ID: "red", Event: "1.2-xyz"}); err == nil || !strings.Contains(err.Error(), "not among the latest") {
		t.Errorf("an old event: %v", err)
	}
	out := ask(t, c, &control.Request{Op: "enroll", Name: "Orange", Camera: "shelf", Seconds: 1})
	if out.Added != 1 || named(t, path, checked(250, 120, 10)) != "orange" {
		t.Errorf("%+v", out)
	}
	if _, err := c.Handle(t.Context(), &control.Request{Op: "enroll", Name: "Orange", Camera: "shelf", Seconds: 900}); err == nil {
		t.Error("900 seconds were taken")
	}
}

func TestReembed(t *testing.T) {
	c, path := newCurator(t, curator.Parts{})
	ask(t, c, &control.Request{Op: "enroll", Name: "Red", Pictures: []control.Picture{picture(t, "r", checked(250, 10, 10))}})
	ask(t, c, &control.Request{Op: "add", ID: "red", Name: "Red", Samples: []control.Sample{{Vector: []float32{1, 1, 1}}}})
	next, _ := newCurator(t, curator.Parts{Path: path, Model: func() (curator.Embedder, error) { return colours{"0b"}, nil }})
	if _, err := next.Handle(t.Context(), &control.Request{Op: "enroll", Name: "Blue", Pictures: []control.Picture{picture(t, "b", checked(10, 10, 250))}}); !errors.Is(err, gallery.ErrWrongModel) {
		t.Errorf("two models in one gallery: %v", err)
	}
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	out := ask(t, next, &control.Request{Op: "reembed"})
	if kept, err := os.ReadFile(out.Kept); err != nil || !bytes.Equal(kept, before) {
		t.Errorf("kept in %q: %v; want what was before", out.Kept, err)
	}
	if out.N != 1 || len(out.Refused) != 1 || out.Model.SHA256 != strings.Repeat("0b", 32) {
		t.Errorf("%+v", out)
	}
	if got := named(t, path, checked(250, 10, 10)); got != "red" {
		t.Errorf("red is %q", got)
	}
	bare, barePath := newCurator(t, curator.Parts{})
	ask(t, bare, &control.Request{Op: "info"})
	ask(t, bare, &control.Request{Op: "enroll", Name: "Red", Pictures: []control.Picture{picture(t, "r", checked(250, 10, 10))}})
	g, err := gallery.Read(barePath)
	if err := errors.Join(err, g.Enroll("blind", "Blind", [][]float32{{0, 0, 1}}), g.Save(barePath)); err != nil {
		t.Fatal(err)
	}
	next, _ = newCurator(t, curator.Parts{Path: barePath, Model: func() (curator.Embedder, error) { return colours{"0b"}, nil }})
	if _, err := next.Handle(t.Context(), &control.Request{Op: "reembed"}); !errors.Is(err, gallery.ErrNoCrop) || !strings.Contains(err.Error(), "blind") {
		t.Errorf("without a picture: %v", err)
	}
}

func TestWarnsOfLookAlikes(t *testing.T) {
	c, _ := newCurator(t, curator.Parts{})
	ask(t, c, &control.Request{Op: "enroll", Name: "Red", Pictures: []control.Picture{picture(t, "r", checked(250, 10, 10))}})
	out := ask(t, c, &control.Request{Op: "enroll", Name: "Crimson", Pictures: []control.Picture{picture(t, "c", checked(240, 12, 20))}, Last: true})
	if len(out.Warnings) != 1 || !strings.Contains(out.Warnings[0], "crimson and red look alike") {
		t.Errorf("%q", out.Warnings)
	}
	out = ask(t, c, &control.Request{Op: "enroll", Name: "Blue", Pictures: []control.Picture{picture(t, "b", checked(10, 12, 240))}, Last: true})
	if len(out.Warnings) != 0 {
		t.Errorf("%q", out.Warnings)
	}
}

// strangers are one that looks red.
type strangers struct{ forgotten []string }

func (s *strangers) Vectors(id string) ([][]float32, error) {
	if id != "unknown-7" {
		return nil, fmt.Errorf("%s is not remembered", id)
	}
	return [][]float32{{1, 0, 0}}, nil
}

func (s *strangers) Forget(id string) error {
	s.forgotten = append(s.forgotten, id)
	return nil
}

func TestNameAStranger(t *testing.T) {
	known := &strangers{}
	c, path := newCurator(t, curator.Parts{Strangers: known})
	for _, r := range []control.Request{{Op: "name", ID: "unknown-8", Name: "Tomato"}, {Op: "name", ID: "unknown-7"}, {Op: "name", ID: "unknown-7", Name: "a/b"}} {
		if _, err := c.Handle(t.Context(), &r); err == nil || len(known.forgotten) > 0 {
			t.Errorf("%s as %q: %v, forgotten %v", r.ID, r.Name, err, known.forgotten)
		}
	}
	out := ask(t, c, &control.Request{Op: "name", ID: "unknown-7", Name: "Tomato"})
	if out.ID != "tomato" || out.Added != 1 || !slices.Equal(known.forgotten, []string{"unknown-7"}) {
		t.Errorf("%+v, forgotten %v", out, known.forgotten)
	}
	if got := named(t, path, checked(255, 0, 0)); got != "tomato" {
		t.Errorf("red is %q", got)
	}
	nobody, _ := newCurator(t, curator.Parts{})
	if _, err := nobody.Handle(t.Context(), &control.Request{Op: "name", ID: "unknown-7", Name: "Tomato"}); err == nil {
		t.Error("without strangers")
	}
}

func TestAThresholdSetByHandStays(t *testing.T) {
	c, path := newCurator(t, curator.Parts{})
	ask(t, c, &control.Request{Op: "enroll", Name: "Red", Last: true, Pictures: []control.Picture{picture(t, "r", checked(250, 0, 0))}})
	byHand := float32(0.8)
	ask(t, c, &control.Request{Op: "threshold", Threshold: &byHand})
	out := ask(t, c, &control.Request{Op: "enroll", Name: "Green", Last: true, Pictures: []control.Picture{picture(t, "g", checked(0, 250, 0))}})
	if out.Threshold != byHand || len(out.Warnings) == 0 || !strings.Contains(out.Warnings[0], "set by hand") {
		t.Errorf("after another enrolment: %+v", out)
	}
	g, err := gallery.Read(path)
	if err != nil {
		t.Fatal(err)
	}
	if g.Threshold() != byHand || !g.ThresholdFixed() {
		t.Errorf("the file has %v, by hand: %v", g.Threshold(), g.ThresholdFixed())
	}
	if out := ask(t, c, &control.Request{Op: "calibrate", Calibration: &gallery.Calibration{Threshold: 0.6}, Force: true}); out.Threshold != 0.6 {
		t.Errorf("calibrated: %+v", out)
	}
	if g, err = gallery.Read(path); err != nil || g.ThresholdFixed() {
		t.Errorf("calibrated, but still by hand: %v", err)
	}
}
