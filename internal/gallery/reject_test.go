package gallery_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"xbmedge/internal/gallery"
)

func match(t *testing.T, g *gallery.Gallery, v []float32) gallery.Decision {
	t.Helper()
	m, err := gallery.NewMatcher(g, 3, 0)
	if err != nil {
		t.Fatal(err)
	}
	return m.Match(v)
}

func TestRejectTakesTheNameAway(t *testing.T) {
	g := filled(t)
	stranger := unit(0.8, 0.1, 0.6, 0)
	if d := match(t, g, stranger); !d.Known || d.Identity.ID != "apple" {
		t.Fatalf("before: %+v", d)
	}
	before, _ := g.Encode()
	vector, err := g.Reject("apple", gallery.Sample{Vector: stranger})
	if err != nil {
		t.Fatal(err)
	}
	d := match(t, g, stranger)
	if d.Identity.ID != "mug" || d.Rejected.ID != "apple" || d.Rejected.Score < 0.7 {
		t.Errorf("rejected as an apple, the next best thing is a mug: %+v", d)
	}
	if d := match(t, g, unit(0.95, 0.05, 0.05, 0)); !d.Known || d.Identity.ID != "apple" || d.Rejected.ID != "" {
		t.Errorf("an apple is none any more: %+v", d)
	}
	if again, err := g.Reject("apple", gallery.Sample{Vector: stranger}); again != vector || err != nil {
		t.Errorf("a second time: %d, %v", again, err)
	}
	if _, err := g.Reject("mug", gallery.Sample{Vector: stranger}); err != nil {
		t.Fatal(err)
	}
	if d := match(t, g, stranger); d.Known || d.Rejected.ID != "apple" {
		t.Errorf("rejected as both: %+v", d)
	}
	mug := d.Rejected
	_ = mug
	if err := g.Unreject(vector); err != nil {
		t.Fatal(err)
	}
	if d := match(t, g, stranger); d.Identity.ID != "apple" {
		t.Errorf("taken back: %+v", d)
	}
	if err := g.Unreject(vector); !errors.Is(err, gallery.ErrUnknownVector) {
		t.Errorf("taken back twice: %v", err)
	}
	if after, _ := g.Encode(); cmp.Equal(before, after) {
		t.Error("the revision did not grow")
	}
}

// The rule is exact: as near as its own is enough to lose the name, a little farther is not.
func TestRejectRuleAtTheBorder(t *testing.T) {
	g, err := gallery.New(gallery.Model{Dim: 2})
	if err := errors.Join(err, g.Enroll("a", "A", [][]float32{{1, 0}})); err != nil {
		t.Fatal(err)
	}
	if _, err := g.Reject("a", gallery.Sample{Vector: []float32{0, 1}}); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		v     []float32
		known bool
	}{{unit(1, 1), false}, {unit(1.01, 1), true}, {unit(1, 1.01), false}} {
		if d := match(t, g, tt.v); d.Known != tt.known {
			t.Errorf("%v: %+v, want known %v", tt.v, d, tt.known)
		}
	}
}

func TestRejectMayNotSuppressAMember(t *testing.T) {
	g := filled(t)
	if err := g.SetThreshold(0.7); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		id string
		v  []float32
	}{
		"an embedding of its own":                     {"pear", []float32{0, 1, 0, 0}},
		"nearer to one than all others of its own":    {"mug", unit(0, 0.05, 4, 3)},
		"between two, nearer to each than they to it": {"mug", unit(0, 0, 4.7, 1.6)},
	} {
		_, err := g.Reject(tt.id, gallery.Sample{Vector: tt.v})
		if !errors.Is(err, gallery.ErrMember) || !strings.Contains(err.Error(), "'s embedding") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, rejected, err := g.Records("mug"); len(rejected) != 0 || err != nil {
		t.Errorf("refused, and yet kept: %v, %v", rejected, err)
	}
	// An odd picture that would not be recognised by the others anyway is no reason to refuse.
	if err := g.Enroll("mug", "Mug", [][]float32{{-1, 0, 0, 0}}); err != nil {
		t.Fatal(err)
	}
	if _, err := g.Reject("mug", gallery.Sample{Vector: unit(-1, 1, 0, 0)}); err != nil {
		t.Error(err)
	}
}

func TestOwnThreshold(t *testing.T) {
	g := filled(t)
	if err := g.SetOwnThreshold("pear", 0.9); err != nil {
		t.Fatal(err)
	}
	v := unit(0, 0.85, 0, 0.5)
	if d := match(t, g, v); d.Known || d.Threshold != 0.9 || d.TopK[0].ID != "pear" {
		t.Errorf("below its own: %+v", d)
	}
	m, err := gallery.NewMatcher(g, 3, 0.6)
	if d := m.Match(v); err != nil || !d.Known || d.Threshold != 0.6 {
		t.Errorf("a threshold that is asked for stands over its own: %+v, %v", d, err)
	}
	if err := g.SetOwnThreshold("pear", 0); err != nil || !match(t, g, v).Known {
		t.Errorf("the gallery's again: %v", err)
	}
	if err := g.SetOwnThreshold("nobody", 0.5); !errors.Is(err, gallery.ErrUnknownIdentity) {
		t.Error(err)
	}
	if err := g.SetOwnThreshold("pear", 1.5); err == nil {
		t.Error("took 1.5")
	}
}
