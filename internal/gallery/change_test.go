package gallery_test

import (
	"errors"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"xbmedge/internal/gallery"
)

func TestRenameMergeRemoveVector(t *testing.T) {
	g := pictured(t)
	if err := g.Rename("apple", "Red apple"); err != nil {
		t.Fatal(err)
	}
	if err := g.Merge("pear", "apple"); err != nil {
		t.Fatal(err)
	}
	want := []gallery.Entry{
		{Identity: gallery.Identity{ID: "mug", Name: "Mug"}, Vectors: 2, Threshold: 0.75},
		{Identity: gallery.Identity{ID: "pear", Name: "Pear"}, Vectors: 5, Rejected: 1},
	}
	if diff := cmp.Diff(want, g.Entries()); diff != "" {
		t.Errorf("merged (-want +got):\n%s", diff)
	}
	if d := match(t, g, []float32{1, 0, 0, 0}); d.Identity.ID != "pear" {
		t.Errorf("an apple is a pear now: %+v", d)
	}
	own, _, _ := g.Records("mug")
	if err := g.RemoveVector(own[0].ID); err != nil {
		t.Fatal(err)
	}
	if err := g.RemoveVector(own[1].ID); err == nil || !strings.Contains(err.Error(), "the only one of mug") {
		t.Errorf("the last one: %v", err)
	}
	if err := g.RemoveVector(own[0].ID); !errors.Is(err, gallery.ErrUnknownVector) {
		t.Errorf("twice: %v", err)
	}
	for name, err := range map[string]error{
		"rename nobody": g.Rename("nobody", "N"), "merge nobody": g.Merge("pear", "nobody"), "merge itself": g.Merge("pear", "pear"),
		"a path for a name": g.Rename("pear", "../pear"), "no name": g.Rename("pear", ""),
	} {
		if err == nil {
			t.Errorf("%s: done", name)
		}
	}
}

// A counter-example that says an apple is no pear goes when they become one.
func TestMergeDropsCounterExamplesAgainstItself(t *testing.T) {
	g := filled(t)
	if _, err := g.Reject("pear", gallery.Sample{Vector: []float32{1, 0, 0, 0}}); err != nil {
		t.Fatal(err)
	}
	if err := g.Merge("pear", "apple"); err != nil {
		t.Fatal(err)
	}
	if d := match(t, g, []float32{1, 0, 0, 0}); !d.Known || d.Identity.ID != "pear" {
		t.Errorf("%+v", d)
	}
}

func TestCloneIsIndependent(t *testing.T) {
	g := pictured(t)
	before, _ := g.Encode()
	c := g.Clone()
	_, err := c.Reject("apple", gallery.Sample{Vector: []float32{0, 1, 0, 1}})
	if err := errors.Join(err, c.Enroll("apple", "A", [][]float32{{1, 1, 1, 1}}), c.Remove("mug"), c.Rename("pear", "P"),
		c.SetOwnThreshold("pear", 0.9), c.Enroll("zebra", "Z", [][]float32{{1, 1, 1, 1}})); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Trim("apple", 2); err != nil {
		t.Fatal(err)
	}
	if after, _ := g.Encode(); !cmp.Equal(before, after) {
		t.Error("changing the clone changed the gallery")
	}
}

func TestTrimKeepsWhatDiffers(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	g, err := gallery.New(gallery.Model{Dim: 3})
	if err != nil {
		t.Fatal(err)
	}
	var vs [][]float32
	for range 40 { // nearly one point, and three others
		vs = append(vs, []float32{1, 0.01 * float32(rng.NormFloat64()), 0.01 * float32(rng.NormFloat64())})
	}
	others := [][]float32{{0, 1, 0}, {0, 0, 1}, unit(0, 1, 1)}
	if err := g.Enroll("a", "A", append(vs, others...)); err != nil {
		t.Fatal(err)
	}
	if gone, err := g.Trim("a", 4); gone != 39 || err != nil {
		t.Errorf("%d gone, %v", gone, err)
	}
	for _, v := range append(others, []float32{1, 0, 0}) {
		if d := match(t, g, v); d.Score < 0.999 {
			t.Errorf("%v is no longer there: %+v", v, d)
		}
	}
	if gone, err := g.Trim("a", 4); gone != 0 || err != nil {
		t.Errorf("a second time: %d, %v", gone, err)
	}
}

func TestReservedIDs(t *testing.T) {
	g := filled(t)
	for _, id := range []string{"unknown", "unknown-7", "a/b", "../etc", `a\b`, "", "A"} {
		if err := g.Enroll(id, "Name", [][]float32{{1, 0, 0, 0}}); err == nil {
			t.Errorf("took the id %q", id)
		}
	}
	for _, name := range []string{"a/b", `a\b`, "two\nlines", "nul\x00"} {
		if err := g.Enroll("ok", name, [][]float32{{1, 0, 0, 0}}); err == nil {
			t.Errorf("took the name %q", name)
		}
	}
}
