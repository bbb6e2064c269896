package report

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"xbmedge/internal/retrieval"
)

// coarse is vectors with few different values, so that many cosines are equal.
func coarse(rng *rand.Rand, n, classes int) Set {
	s := clustered(rng, 6, n/classes, 0, make([]string, classes)...)
	for i := range s.Data {
		s.Data[i] = float32(rng.IntN(3)-1) / 4
	}
	return s
}

// TestFiguresAreRetrievals holds the one pass of this package to package retrieval, ties included.
func TestFiguresAreRetrievals(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 7))
	for range 20 {
		in := &Input{Classes: make([]string, 5), Queries: coarse(rng, 33, 3), Gallery: coarse(rng, 50, 5)}
		in.LeaveOneOut = rng.IntN(2) == 0
		q, g, opt := in.Queries, in.Gallery, retrieval.Options{Ks: recallAt[:]}
		var want *retrieval.Evaluation
		var err error
		if in.LeaveOneOut {
			in.Queries = in.Gallery
			want, err = retrieval.EvaluateLeaveOneOut(t.Context(), g.Embeddings, g.Labels, opt)
		} else {
			want, err = retrieval.Evaluate(t.Context(), q.Embeddings, q.Labels, g.Embeddings, g.Labels, opt)
		}
		if err != nil {
			t.Fatal(err)
		}
		c := compare(t.Context(), in, sample(in.Queries.Len(), maxQueries))
		got := c.figures()
		if diff := cmp.Diff(want.Recall, got.recall[:], cmpopts.EquateApprox(0, 1e-12)); diff != "" {
			t.Errorf("recall@k (leave one out: %v):\n%s", in.LeaveOneOut, diff)
		}
		if math.Abs(want.MAP-got.mAP) > 1e-12 {
			t.Errorf("mAP %v, want %v (leave one out: %v)", got.mAP, want.MAP, in.LeaveOneOut)
		}
		for _, f := range c.found {
			if f.nearest[0].right != (f.firstRank == 1) {
				t.Errorf("query %d: the nearest is right: %v, the first right one at rank %d", f.query, f.nearest[0].right, f.firstRank)
			}
		}
	}
}

// TestHistogramsCountEveryPair holds bins, shares and thresholds to plain counting.
func TestHistogramsCountEveryPair(t *testing.T) {
	in := exampleInput("apple", "pear", "plum")
	rng := rand.New(rand.NewPCG(3, 3))
	in.Queries, in.Gallery = clustered(rng, 8, 20, 0.5, in.Classes...), clustered(rng, 8, 50, 0.5, in.Classes...)
	c := compare(t.Context(), in, sample(in.Queries.Len(), maxQueries))
	var same, other []float64
	for q := range in.Queries.Len() {
		for g := range in.Gallery.Len() {
			cosine := 0.0
			for k, v := range in.Queries.Row(q) {
				cosine += float64(v) * float64(in.Gallery.Row(g)[k])
			}
			if in.Queries.Labels[q] == in.Gallery.Labels[g] {
				same = append(same, cosine)
			} else {
				other = append(other, cosine)
			}
		}
	}
	if c.same.total != len(same) || c.other.total != len(other) {
		t.Fatalf("%d and %d pairs, want %d and %d", c.same.total, c.other.total, len(same), len(other))
	}
	shareAbove := func(cosines []float64, from float64) float64 {
		n := 0
		for _, v := range cosines {
			if v >= from {
				n++
			}
		}
		return float64(n) / float64(len(cosines))
	}
	// At an edge of a bin rounding may put a pair on either side.
	near := func(n int) float64 { return 2.5 / float64(n) }
	for i := 0; i <= binCount; i += 100 {
		if want := shareAbove(same, binStart(i)); math.Abs(c.same.above(i)-want) > near(len(same)) {
			t.Errorf("%.4f of the same-class pairs above %.3f, want %.4f", c.same.above(i), binStart(i), want)
		}
		if want := shareAbove(other, binStart(i)); math.Abs(c.other.above(i)-want) > near(len(other)) {
			t.Errorf("%.4f of the others above %.3f, want %.4f", c.other.above(i), binStart(i), want)
		}
	}
	slices.Sort(other)
	for _, rate := range []float64{0.1, 0.01, 0.001} {
		got, enough := thresholdAt(c.same, c.other, rate)
		if !enough {
			t.Fatalf("too few pairs for %g", rate)
		}
		allowed := int(rate * float64(len(other)))
		exact := other[len(other)-allowed-1] // just above it only the allowed ones are left
		if got.cosine < exact || got.cosine > exact+2*binWidth {
			t.Errorf("threshold for %g is %.4f, want just above %.4f", rate, got.cosine, exact)
		}
		if want := shareAbove(same, got.cosine); math.Abs(got.accepted-want) > near(len(same)) {
			t.Errorf("at %.4f %.4f of the same-class pairs pass, want %.4f", got.cosine, got.accepted, want)
		}
	}
	if _, enough := thresholdAt(c.same, c.other, 1e-9); enough {
		t.Error("a threshold for a billionth, of a few thousand pairs")
	}
}

// TestHistogramEnds: rounding makes cosines a little greater than 1.
func TestHistogramEnds(t *testing.T) {
	h := &histogram{}
	for _, v := range []float32{-1.0000002, -1, 0, 1, 1.0000002} {
		h.count(v)
	}
	if h.bins[0] != 2 || h.bins[binCount/2] != 1 || h.bins[binCount-1] != 2 || h.total != 5 {
		t.Errorf("%d %d %d of %d", h.bins[0], h.bins[binCount/2], h.bins[binCount-1], h.total)
	}
}

// TestClassesAndWorst: three classes on a circle, told by hand.
func TestClassesAndWorst(t *testing.T) {
	at := func(degrees float64) []float32 {
		s, c := math.Sincos(degrees * math.Pi / 180)
		return []float32{float32(c), float32(s)}
	}
	set := func(labels []int, degrees ...float64) Set {
		s := clustered(rand.New(rand.NewPCG(1, 1)), 2, len(degrees), 0, "any")
		s.Labels = labels
		for i, d := range degrees {
			copy(s.Row(i), at(d))
		}
		return s
	}
	in := &Input{
		Classes: []string{"a", "b", "c", "never searched for"},
		Gallery: set([]int{0, 0, 1, 2, 3}, 0, 10, 20, 90, 200),
		Queries: set([]int{0, 0, 1, 1, 2}, 2, 16, 21, 11, 89), // 16 is nearer to b's 20, 11 to a's 10
	}
	c := compare(t.Context(), in, sample(5, maxQueries))
	type line struct {
		Class                string
		Queries, Gallery     int
		Recall1, Recall2     float64
		Confused, Confusions int
	}
	var got []line
	for _, f := range c.classes() {
		got = append(got, line{in.Classes[f.class], f.queries, f.gallery, f.recall[0], f.recall[1], f.confusedWith, f.confusions})
	}
	// The recall@1 of both a and b is 1/2; the mAP of b is (1 + 1/2)/2 = 0.75, that of a (1 + (1/2 + 2/3)/2)/2 = 0.79.
	want := []line{{"b", 2, 1, 0.5, 1, 0, 1}, {"a", 2, 2, 0.5, 1, 1, 1}, {"c", 1, 1, 1, 1, -1, 0}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	var order []int
	for _, f := range c.worst() {
		order = append(order, f.query)
	}
	if diff := cmp.Diff([]int{3, 1, 2, 0, 4}, order); diff != "" {
		t.Errorf("worst first:\n%s", diff)
	}
}
