package gallery_test

import (
	"bytes"
	"errors"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"xbmedge/internal/gallery"
)

var model = gallery.Model{Name: "small", SHA256: strings.Repeat("ab", 32), Dim: 4}

func filled(t testing.TB) *gallery.Gallery {
	t.Helper()
	g, err := gallery.New(model)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range []struct {
		id, name string
		vectors  [][]float32
	}{
		{"pear", "Pear", [][]float32{{0, 2, 0, 0}}},
		{"apple", "Apple", [][]float32{{1, 0, 0, 0}, {0.9, 0.1, 0, 0}}},
		{"mug", "Mug", [][]float32{{0, 0, 5, 0}, {0, 0, 4, 3}}},
	} {
		if err := g.Enroll(e.id, e.name, e.vectors); err != nil {
			t.Fatal(err)
		}
	}
	return g
}

func unit(v ...float32) []float32 {
	var sum float64
	for _, x := range v {
		sum += float64(x) * float64(x)
	}
	for i := range v {
		v[i] = float32(float64(v[i]) / math.Sqrt(sum))
	}
	return v
}

func TestMatch(t *testing.T) {
	g := filled(t)
	tests := []struct {
		name      string
		embedding []float32
		threshold float32
		known     bool
		top       []string
		score     float32
		margin    float32
	}{
		{"exact", []float32{1, 0, 0, 0}, 0.5, true, []string{"apple", "mug", "pear"}, 1, 1},
		{"second embedding of an identity", unit(0, 0, 4, 3), 0.5, true, []string{"mug", "apple", "pear"}, 1, 1},
		{"between two", unit(0.6, 0.8, 0, 0), 0.5, true, []string{"pear", "apple", "mug"}, 0.8, 0.8 - 0.6846755},
		{"same below the threshold", unit(0.6, 0.8, 0, 0), 0.81, false, []string{"pear", "apple", "mug"}, 0.8, 0.8 - 0.6846755},
		{"at the threshold", []float32{0, 1, 0, 0}, 1, true, []string{"pear", "apple", "mug"}, 1, 1 - 0.110432},
		{"stranger", []float32{-1, 0, 0, 0}, 0.5, false, []string{"mug", "pear", "apple"}, 0, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m, err := gallery.NewMatcher(g, 3, tt.threshold)
			if err != nil {
				t.Fatal(err)
			}
			d := m.Match(tt.embedding)
			var top []string
			for _, c := range d.TopK {
				top = append(top, c.ID)
			}
			if diff := cmp.Diff(tt.top, top); diff != "" {
				t.Errorf("nearest (-want +got):\n%s", diff)
			}
			if d.Known != tt.known || math.Abs(float64(d.Score-tt.score)) > 1e-5 || math.Abs(float64(d.Margin-tt.margin)) > 1e-5 || d.Threshold != tt.threshold {
				t.Errorf("decision %+v; want known %v, score %v, margin %v", d, tt.known, tt.score, tt.margin)
			}
			want := gallery.Identity{}
			if tt.known {
				want = d.TopK[0].Identity
			}
			if d.Identity != want {
				t.Errorf("identity %+v, want %+v", d.Identity, want)
			}
		})
	}
}

func TestMatchAgainstBruteForce(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	g, _ := gallery.New(gallery.Model{Dim: 13})
	vectors := map[string][][]float32{}
	for i := range 40 {
		id := string(rune('a'+i%26)) + string(rune('a'+i/26))
		for range 1 + rng.IntN(4) {
			vectors[id] = append(vectors[id], random(rng, 13))
		}
		if err := g.Enroll(id, id, vectors[id]); err != nil {
			t.Fatal(err)
		}
	}
	m, _ := gallery.NewMatcher(g, 5, 0.3)
	for range 200 {
		q := random(rng, 13)
		best, second := math.Inf(-1), math.Inf(-1)
		who := ""
		for id, vs := range vectors {
			top := math.Inf(-1)
			for _, v := range vs {
				var s float64
				for i := range v {
					s += float64(v[i]) * float64(q[i])
				}
				top = max(top, s)
			}
			if top > best {
				best, second, who = top, best, id
			} else {
				second = max(second, top)
			}
		}
		d := m.Match(q)
		if d.TopK[0].ID != who || len(d.TopK) != 5 || math.Abs(float64(d.Score)-best) > 1e-5 || math.Abs(float64(d.Margin)-(best-second)) > 1e-5 {
			t.Fatalf("got %+v; want %s with %v, margin %v", d, who, best, best-second)
		}
		for i := 1; i < len(d.TopK); i++ {
			if d.TopK[i].Score > d.TopK[i-1].Score {
				t.Fatalf("nearest are not in order: %+v", d.TopK)
			}
		}
	}
}

func random(rng *rand.Rand, n int) []float32 {
	v := make([]float32, n)
	for i := range v {
		v[i] = float32(rng.NormFloat64())
	}
	return unit(v...)
}

func TestMatchEmptyAndSingle(t *testing.T) {
	g, _ := gallery.New(model)
	m, _ := gallery.NewMatcher(g, 3, 0)
	if d := m.Match([]float32{1, 0, 0, 0}); d.Known || d.Score != -1 || len(d.TopK) != 0 || d.Threshold != gallery.DefaultThreshold {
		t.Errorf("empty gallery: %+v", d)
	}
	if err := g.Enroll("a", "A", [][]float32{{1, 0, 0, 0}}); err != nil {
		t.Fatal(err)
	}
	m, _ = gallery.NewMatcher(g, 3, 0)
	if d := m.Match([]float32{1, 0, 0, 0}); !d.Known || d.Score != 1 || d.Margin != 1 {
		t.Errorf("single identity: %+v", d)
	}
}

func TestMatchAllocatesNothing(t *testing.T) {
	m, err := gallery.NewMatcher(filled(t), 3, 0)
	if err != nil {
		t.Fatal(err)
	}
	v := []float32{1, 0, 0, 0}
	if n := testing.AllocsPerRun(100, func() { m.Match(v) }); n != 0 {
		t.Errorf("%v allocations for one match", n)
	}
}

func BenchmarkMatch2640(b *testing.B) {
	rng := rand.New(rand.NewPCG(1, 2))
	g, _ := gallery.New(gallery.Model{Dim: 128})
	for i := range 80 {
		var vs [][]float32
		for range 33 {
			vs = append(vs, random(rng, 128))
		}
		if err := g.Enroll("id-"+string(rune('a'+i/26))+string(rune('a'+i%26)), "x", vs); err != nil {
			b.Fatal(err)
		}
	}
	m, _ := gallery.NewMatcher(g, 5, 0)
	q := random(rng, 128)
	b.ReportAllocs()
	for b.Loop() {
		m.Match(q)
	}
}

func TestEnrollRefuses(t *testing.T) {
	nan := float32(math.NaN())
	tests := []struct {
		name, id, display string
		vectors           [][]float32
		want              string
	}{
		{"upper case id", "Apple", "Apple", [][]float32{{1, 0, 0, 0}}, "an id has"},
		{"topic wildcard", "a+", "Apple", [][]float32{{1, 0, 0, 0}}, "an id has"},
		{"empty id", "", "Apple", [][]float32{{1, 0, 0, 0}}, "an id has"},
		{"reserved id", "unknown", "Unknown", [][]float32{{1, 0, 0, 0}}, "choose another name"},
		{"no name", "a", "", [][]float32{{1, 0, 0, 0}}, "name has 0 bytes"},
		{"nothing", "a", "A", nil, "no embeddings"},
		{"other length", "a", "A", [][]float32{{1, 0, 0, 0}, {1, 0}}, "embedding 1: 2 values, the gallery's model makes 4"},
		{"zeros", "a", "A", [][]float32{{0, 0, 0, 0}}, "embedding 0: all zeros"},
		{"not a number", "a", "A", [][]float32{{1, nan, 0, 0}}, "not finite"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			g := filled(t)
			before, _ := g.Encode()
			err := g.Enroll(tt.id, tt.display, tt.vectors)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v does not say %q", err, tt.want)
			}
			if after, _ := g.Encode(); !bytes.Equal(before, after) {
				t.Error("a refused enrolment changed the gallery")
			}
		})
	}
}

func TestEnrollMoreAndRemove(t *testing.T) {
	g := filled(t)
	revision := g.Revision()
	input := []float32{0, 0, 0, 7}
	if err := g.Enroll("apple", "Red apple", [][]float32{input}); err != nil {
		t.Fatal(err)
	}
	input[3] = -7
	if err := g.Enroll("apple", "Red apple", [][]float32{{0, 0, 0, 3}, {1, 0, 0, 0}}); err != nil { // both are there
		t.Fatal(err)
	}
	m, _ := gallery.NewMatcher(g, 2, 0)
	if d := m.Match([]float32{0, 0, 0, 1}); d.Identity != (gallery.Identity{ID: "apple", Name: "Red apple"}) || d.Score != 1 {
		t.Errorf("after enrolling more: %+v", d)
	}
	want := []gallery.Entry{
		{Identity: gallery.Identity{ID: "apple", Name: "Red apple"}, Vectors: 3},
		{Identity: gallery.Identity{ID: "mug", Name: "Mug"}, Vectors: 2},
		{Identity: gallery.Identity{ID: "pear", Name: "Pear"}, Vectors: 1},
	}
	if diff := cmp.Diff(want, g.Entries()); diff != "" {
		t.Errorf("entries (-want +got):\n%s", diff)
	}
	if err := g.Remove("apple"); err != nil {
		t.Fatal(err)
	}
	if m, err := gallery.NewMatcher(g, 2, 0); err != nil || m.Match([]float32{1, 0, 0, 0}).Known {
		t.Errorf("removed, yet known (%v)", err)
	}
	if g.Revision() != revision+3 || g.Len() != 3 {
		t.Errorf("revision %d, %d embeddings; want %d, 3", g.Revision(), g.Len(), revision+3)
	}
	if err := g.Remove("apple"); !errors.Is(err, gallery.ErrUnknownIdentity) {
		t.Errorf("removing twice: %v", err)
	}
}

func TestSlug(t *testing.T) {
	for name, want := range map[string]string{
		"Alice": "alice", "Alpro-Shelf-Soy-Milk": "alpro-shelf-soy-milk", " Crème  brûlée! ": "creme-brulee",
		"a_b": "a_b", "Größe 3": "gro-e-3", "+/#": "id-7d4b2a8b44", strings.Repeat("x", 99): strings.Repeat("x", 64),
	} {
		got := gallery.Slug(name)
		if name == "+/#" {
			if !strings.HasPrefix(got, "id-") || got != gallery.Slug(name) || got == gallery.Slug("#/+") {
				t.Errorf("Slug(%q) = %q", name, got)
			}
		} else if got != want {
			t.Errorf("Slug(%q) = %q, want %q", name, got, want)
		}
	}
}
