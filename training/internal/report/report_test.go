package report

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"xbmedge/internal/htmlpage/htmltest"
	"xbmedge/internal/photos"
	"xbmedge/internal/retrieval"
	"xbmedge/internal/vision"
)

// clustered is vectors that scatter around a direction for each class, with photos of those names in no folder.
func clustered(rng *rand.Rand, dim, perClass int, spread float64, classes ...string) Set {
	s := Set{Embeddings: retrieval.Embeddings{Dim: dim}}
	for label, class := range classes {
		for i := range perClass {
			v := make([]float32, dim)
			for k := range v {
				v[k] = float32(spread * rng.NormFloat64())
			}
			v[label%dim]++
			retrieval.Normalize(v)
			s.Data = append(s.Data, v...)
			s.Labels = append(s.Labels, label)
			s.Photos = append(s.Photos, photos.Photo{Class: class, Path: fmt.Sprintf("none/%s/%02d.jpg", class, i)})
		}
	}
	return s
}

func exampleInput(classes ...string) *Input {
	rng := rand.New(rand.NewPCG(4, 2))
	return &Input{
		Title: "example", Facts: []Fact{{"network", "smallcnn"}, {"seed", "1"}}, Config: []byte(`{"seed": 1}`),
		Protocol: "Each query looks for its class.", MemorySize: 100, Classes: classes,
		Queries: clustered(rng, 8, 3, 0.4, classes...), Gallery: clustered(rng, 8, 9, 0.4, classes...),
		Steps: []Step{
			{Step: 10, Epoch: 1, Loss: 2, GradientNorm: 3, LearningRate: 1e-3, Memory: 40, RecallAt1: 0.5, RecallAt5: 0.8, MAP: 0.4, Best: true},
			{Step: 20, Epoch: 2, Loss: 1, GradientNorm: 2, LearningRate: 5e-4, Memory: 80, RecallAt1: 0.9, RecallAt5: 1, MAP: 0.7, Best: true},
			{Step: 30, Epoch: 3, Loss: 0.9, GradientNorm: 2, LearningRate: 0, Memory: 100, RecallAt1: 0.8, RecallAt5: 1, MAP: 0.6},
		},
	}
}

// withPictures gives all photos of the gallery a picture of that name.
func withPictures(t *testing.T, in *Input, name string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(vision.EncodeJPEG(file, vision.NewFrame(40, 30), 90), file.Close()); err != nil {
		t.Fatal(err)
	}
	for i := range in.Gallery.Photos {
		in.Gallery.Photos[i].Path = path
	}
}

func write(t *testing.T, in *Input) string {
	t.Helper()
	var out bytes.Buffer
	if err := Write(t.Context(), &out, in); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestEqualInputGivesEqualBytes(t *testing.T) {
	first := write(t, exampleInput("apple", "pear", "plum"))
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	if second := write(t, exampleInput("apple", "pear", "plum")); first != second {
		t.Error("on one processor the report differs")
	}
}

func TestSmallAndOddInput(t *testing.T) {
	for name, change := range map[string]func(in *Input){
		"no steps":      func(in *Input) { in.Steps = nil },
		"one step":      func(in *Input) { in.Steps = in.Steps[:1] },
		"step 0":        func(in *Input) { in.Steps = []Step{{}} },
		"no best":       func(in *Input) { in.Steps = in.Steps[2:] },
		"no memory":     func(in *Input) { in.MemorySize = 0 },
		"collapsed":     func(in *Input) { clear(in.Queries.Data); clear(in.Gallery.Data) },
		"leave one out": func(in *Input) { in.Queries, in.LeaveOneOut = in.Gallery, true },
		"a single pair": func(in *Input) { in.Queries, in.Gallery = first(in.Queries, 1), first(in.Gallery, 1) },
		"one class":     func(in *Input) { in.Queries, in.Gallery = first(in.Queries, 3), first(in.Gallery, 9) },
		"huge values": func(in *Input) {
			in.Steps[1].Loss, in.Steps[2].Loss, in.Steps[2].GradientNorm = 1e30, -4, math.MaxFloat64
		},
	} {
		in := exampleInput("apple", "pear", "plum")
		change(in)
		html := write(t, in)
		htmltest.Parse(t, html)
		if strings.Contains(html, "NaN") || strings.Contains(html, "Inf") {
			t.Errorf("%s: the page holds values that are no numbers", name)
		}
	}
}

// first returns the first n of a set.
func first(s Set, n int) Set {
	s.Data, s.Labels, s.Photos = s.Data[:n*s.Dim], s.Labels[:n], s.Photos[:n]
	return s
}

func TestWriteRefuses(t *testing.T) {
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	for _, c := range []struct {
		want   string
		ctx    context.Context
		change func(in *Input)
	}{
		{"queries: there are none", t.Context(), func(in *Input) { in.Queries = Set{} }},
		{"gallery: 27 embeddings, 26 labels", t.Context(), func(in *Input) { in.Gallery.Labels = in.Gallery.Labels[1:] }},
		{"label 3 of none/apple/00.jpg", t.Context(), func(in *Input) { in.Queries.Labels[0] = 3 }},
		{"the embedding of none/apple/01.jpg holds NaN", t.Context(), func(in *Input) { in.Queries.Data[8] = float32(math.NaN()) }},
		{"queries have 8 dimensions, the gallery has 4", t.Context(), func(in *Input) {
			in.Gallery.Dim, in.Gallery.Data = 4, in.Gallery.Data[:4*27]
		}},
		{"not 9 queries and a gallery of 27", t.Context(), func(in *Input) { in.LeaveOneOut = true }},
		{ErrNothingToFind.Error(), t.Context(), func(in *Input) { in.Queries, in.Gallery = first(in.Queries, 3), last(in.Gallery, 9) }},
		{context.Canceled.Error(), cancelled, func(*Input) {}},
	} {
		in := exampleInput("apple", "pear", "plum")
		c.change(in)
		var out bytes.Buffer
		if err := Write(c.ctx, &out, in); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("got %v, want an error saying %q", err, c.want)
		}
		if out.Len() > 0 {
			t.Errorf("%s: half a page was written", c.want)
		}
	}
}

// last returns the last n of a set.
func last(s Set, n int) Set {
	m := s.Len() - n
	s.Data, s.Labels, s.Photos = s.Data[m*s.Dim:], s.Labels[m:], s.Photos[m:]
	return s
}

func TestSample(t *testing.T) {
	if diff := cmp.Diff([]int{0, 1, 2}, sample(3, 3)); diff != "" {
		t.Error(diff)
	}
	drawn := sample(1000, 100)
	if diff := cmp.Diff(drawn, sample(1000, 100)); diff != "" {
		t.Error(diff)
	}
	for i, v := range drawn {
		if v < 0 || v >= 1000 || i > 0 && v <= drawn[i-1] {
			t.Fatalf("%v are not ascending numbers below 1000", drawn)
		}
	}
	if len(drawn) != 100 || drawn[99] < 900 {
		t.Errorf("%d drawn, up to %d", len(drawn), drawn[len(drawn)-1])
	}
}

// TestLargeSetsAreSampled: the page stays small, and says what it leaves out.
func TestLargeSetsAreSampled(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	var classes []string
	for i := range 700 {
		classes = append(classes, fmt.Sprintf("class %03d", i))
	}
	in := exampleInput(classes...)
	rng := rand.New(rand.NewPCG(1, 1))
	in.Queries, in.Gallery = clustered(rng, 4, 8, 0.5, classes...), clustered(rng, 4, 2, 0.5, classes...)
	html := write(t, in)
	p := htmltest.Parse(t, html)
	for _, want := range []string{"5,000 of the 5,600 queries", "1,500 of 7,000 photos", "500 of 700 are shown"} {
		if !strings.Contains(p.Text, want) {
			t.Errorf("the page does not say %q", want)
		}
	}
	if p.Elements["article"] != maxWorst || p.IDs["legend"] {
		t.Errorf("%d queries shown, want %d; a legend of 700 classes: %v", p.Elements["article"], maxWorst, p.IDs["legend"])
	}
}
