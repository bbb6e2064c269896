package retrieval

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func TestEvaluateByHand(t *testing.T) {
	// 0° finds 1 (right), 2 (wrong), 1 (right); 80° finds 2 (right), then 1, 1. 9 has nothing to find.
	e, err := Evaluate(t.Context(), angles(0, 80, 5), []int{1, 2, 9}, angles(1, 2, 30), []int{1, 2, 1}, Options{Ks: []int{2, 1}})
	if err != nil {
		t.Fatal(err)
	}
	one := Figures{Queries: 1, Recall: []float64{1, 1}, PrecisionAt1: 1, RPrecision: 0.5, MAP: (1 + 2.0/3) / 2, MAPAtR: 0.5}
	two := Figures{Queries: 1, Recall: []float64{1, 0}, PrecisionAt1: 0, RPrecision: 0, MAP: 0.5, MAPAtR: 0}
	want := &Evaluation{
		Figures: Figures{
			Queries: 2, Recall: []float64{1, 0.5}, PrecisionAt1: 0.5, RPrecision: 0.25, MAP: (one.MAP + two.MAP) / 2, MAPAtR: 0.25,
		},
		Ks: []int{2, 1}, Lone: 1, Gallery: 3, Classes: []ClassFigures{{1, one}, {2, two}},
	}
	if diff := cmp.Diff(want, e, cmpopts.EquateApprox(0, 1e-12)); diff != "" {
		t.Error(diff)
	}
}

// TestManyOfAClass: classes beyond what is counted in vector instructions give what the naive way gives.
func TestManyOfAClass(t *testing.T) {
	rng := rand.New(rand.NewPCG(8, 8))
	set, labels := random(rng, 500, 6, 3)
	e, err := EvaluateLeaveOneOut(t.Context(), set, labels, Options{Ks: []int{1, 5}})
	if err != nil {
		t.Fatal(err)
	}
	recall, meanAP := naive(set, labels, set, labels, true, []int{1, 5})
	if diff := cmp.Diff(recall, e.Recall); diff != "" || math.Abs(meanAP-e.MAP) > 1e-9 {
		t.Errorf("mAP %v, want %v; %s", e.MAP, meanAP, diff)
	}
}

func TestEvaluateStops(t *testing.T) {
	set, labels := readVectors(t, "random")
	ctx, cancel := context.WithCancel(t.Context())
	opt := Options{Rerank: &Rerank{20, 6, 0.3}, Progress: func(int, int) { cancel() }}
	if e, err := EvaluateLeaveOneOut(ctx, set, labels, opt); !errors.Is(err, context.Canceled) {
		t.Errorf("%v, %v", e, err)
	}
}

func TestProgressReachesTheEnd(t *testing.T) {
	set, labels := readVectors(t, "random")
	n := set.Len()
	for _, tc := range []struct {
		rerank *Rerank
		total  int
	}{{nil, n}, {&Rerank{5, 2, 0.3}, 2 * n}} {
		last := 0
		opt := Options{Rerank: tc.rerank, Progress: func(done, total int) {
			if total != tc.total || done <= last {
				t.Errorf("%d of %d after %d", done, total, last)
			}
			last = done
		}}
		if _, err := EvaluateLeaveOneOut(t.Context(), set, labels, opt); err != nil || last != tc.total {
			t.Errorf("ended at %d of %d, %v", last, tc.total, err)
		}
	}
}

func TestRerankFindsMore(t *testing.T) {
	set, labels := readVectors(t, "random")
	plain, err := EvaluateLeaveOneOut(t.Context(), set, labels, Options{})
	if err != nil {
		t.Fatal(err)
	}
	again, err := EvaluateLeaveOneOut(t.Context(), set, labels, Options{Rerank: &Rerank{10, 3, 0.3}})
	if err != nil {
		t.Fatal(err)
	}
	if again.MAP < plain.MAP+0.02 {
		t.Errorf("mAP %.4f re-ranked, %.4f before", again.MAP, plain.MAP)
	}
	// With all the weight on the original distance the ranking stays.
	same, err := EvaluateLeaveOneOut(t.Context(), set, labels, Options{Rerank: &Rerank{10, 3, 1}})
	if err != nil || math.Abs(same.MAP-plain.MAP) > 1e-9 {
		t.Errorf("mAP %.6f with lambda 1, %.6f without re-ranking, %v", same.MAP, plain.MAP, err)
	}
}

func TestRerankEdges(t *testing.T) {
	same := Embeddings{Dim: 2, Data: []float32{1, 0, 1, 0, 1, 0, 1, 0}}
	e, err := EvaluateLeaveOneOut(t.Context(), same, []int{1, 1, 2, 2}, Options{Rerank: &Rerank{20, 6, 0.3}})
	if err != nil || e.MAP != 1.0/3 {
		t.Errorf("collapsed embeddings: %+v, %v", e, err)
	}
	for _, r := range []Rerank{{0, 1, 0}, {1, 0, 0}, {1, 1, -0.1}, {1, 1, 1.1}, {1, 1, math.NaN()}} {
		if _, err := EvaluateLeaveOneOut(t.Context(), same, []int{1, 1, 2, 2}, Options{Rerank: &r}); err == nil {
			t.Errorf("%+v was taken", r)
		}
	}
}

// TestEachIsItsOwnNearest: also among more equal vectors than there are neighbours.
func TestEachIsItsOwnNearest(t *testing.T) {
	set, labels := Embeddings{Dim: 2}, make([]int, 30)
	for range labels {
		set.Data = append(set.Data, 0.6, 0.8)
	}
	r, err := newReranker(t.Context(), Rerank{2, 1, 0.3}, search{set, set, labels, labels, true}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i, v := range r.encoded {
		if r.near[i][0] != int32(i) || !slices.ContainsFunc(v, func(e entry) bool { return e.index == int32(i) }) {
			t.Errorf("vector %d: neighbours %v, encoded %v", i, r.near[i], v)
		}
	}
}

// clusters makes the size of Stanford Online Products' test set: 60,502 photos of 11,316 products.
func clusters(n, dim, classes int) (Embeddings, []int) {
	rng := rand.New(rand.NewPCG(9, 9))
	centres := make([]float32, classes*dim)
	for i := range centres {
		centres[i] = float32(rng.NormFloat64())
	}
	e, labels := Embeddings{Dim: dim, Data: make([]float32, n*dim)}, make([]int, n)
	for i := range labels {
		labels[i] = i % classes
		for d, v := range centres[labels[i]*dim : (labels[i]+1)*dim] {
			e.Row(i)[d] = v + 1.6*float32(rng.NormFloat64())
		}
		Normalize(e.Row(i))
	}
	return e, labels
}

func BenchmarkEvaluateSOP(b *testing.B) {
	if testing.Short() {
		b.Skip("takes some ten seconds")
	}
	set, labels := clusters(60502, 128, 11316)
	for b.Loop() {
		if _, err := EvaluateLeaveOneOut(b.Context(), set, labels, Options{Ks: []int{1, 5, 10, 100}}); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkRerank: 5,000 queries and a gallery of 5,000.
func BenchmarkRerank(b *testing.B) {
	set, labels := clusters(10000, 128, 1000)
	for b.Loop() {
		_, err := Evaluate(b.Context(), part(set, 0, 5000), labels[:5000], part(set, 5000, 10000), labels[5000:], Options{Rerank: &Rerank{20, 6, 0.3}})
		if err != nil {
			b.Fatal(err)
		}
	}
}
