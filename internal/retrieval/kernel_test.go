package retrieval

import (
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func needVectorUnit(t *testing.T) {
	t.Helper()
	if !vectorUnit() {
		t.Skip("built without GOEXPERIMENT=simd, or the processor has no AVX2 and FMA")
	}
}

func TestDotVector(t *testing.T) {
	needVectorUnit(t)
	rng := rand.New(rand.NewPCG(5, 5))
	for _, dim := range []int{1, 2, 7, 128, 1280} {
		rows, panel := make([]float32, dim*rowGroup), make([]float32, dim*panelWidth)
		for _, values := range [][]float32{rows, panel} {
			for i := range values {
				values[i] = float32(rng.NormFloat64())
			}
		}
		const stride = panelWidth + 3
		got, want := make([]float32, rowGroup*stride), make([]float32, rowGroup*stride)
		dotVector(got, stride, rows, panel)
		dotPlain(want, stride, rows, panel)
		for i := range want {
			if math.Abs(float64(got[i]-want[i])) > 2e-6*math.Sqrt(float64(dim))*8 {
				t.Errorf("%d dimensions, value %d: %g, want %g", dim, i, got[i], want[i])
			}
			exact := 0.0
			if r, l := i/stride, i%stride; l < panelWidth {
				for d := range dim {
					exact += float64(rows[d*rowGroup+r]) * float64(panel[d*panelWidth+l])
				}
			}
			if math.Abs(float64(want[i])-exact) > 2e-6*math.Sqrt(float64(dim))*8 {
				t.Errorf("%d dimensions, value %d: %g, want %g", dim, i, want[i], exact)
			}
		}
	}
}

func TestCount(t *testing.T) {
	rng := rand.New(rand.NewPCG(6, 6))
	for range 200 {
		scores, thresholds := make([]float32, rng.IntN(70)), make([]float32, 1+rng.IntN(120))
		for _, values := range [][]float32{scores, thresholds} {
			for i := range values {
				values[i] = float32(rng.IntN(40)) / 40 // with many that are equal
			}
		}
		if len(scores) > 0 {
			scores[0] = float32(math.Inf(-1))
		}
		slices.Sort(thresholds)
		slices.Reverse(thresholds)
		want := make([]int, len(thresholds))
		for i, threshold := range thresholds {
			for _, s := range scores {
				if s >= threshold {
					want[i]++
				}
			}
		}
		got := make([]int, len(thresholds))
		countPlain(got, scores, thresholds)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("plain: %s", diff)
		}
		if vectorUnit() {
			got[0] = 99 // what was there does not count
			countVector(got, scores, thresholds)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Fatalf("vectors: %s", diff)
			}
		}
	}
}

// TestEqualVectorsScoreEqual: wherever they stand among queries and gallery, to the last bit.
func TestEqualVectorsScoreEqual(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 7))
	set := Embeddings{Dim: 37, Data: make([]float32, 37*101)}
	for i := range set.Data {
		set.Data[i] = float32(rng.NormFloat64())
	}
	for i := 3; i < set.Len(); i += 7 {
		copy(set.Row(i), set.Row(3))
	}
	scores := allScores(t, set)
	for q := range scores {
		for i := 3; i < set.Len(); i += 7 {
			if scores[q][i] != scores[q][3] {
				t.Errorf("query %d: %g for vector %d, %g for the same as vector 3", q, scores[q][i], i, scores[q][3])
			}
			if scores[i][q] != scores[q][i] {
				t.Errorf("%d and %d: %g one way round, %g the other", q, i, scores[q][i], scores[i][q])
			}
		}
	}
}

func allScores(t *testing.T, set Embeddings) [][]float32 {
	t.Helper()
	all := make([][]float32, set.Len())
	err := forEachQuery(t.Context(), set, newPanels(set), nil, func() func(int, []float32) {
		return func(q int, scores []float32) { all[q] = slices.Clone(scores) }
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestProcessorsChangeNothing(t *testing.T) {
	set, labels := readVectors(t, "random")
	var first *Evaluation
	for _, processors := range []int{1, 2, 5} {
		before := runtime.GOMAXPROCS(processors)
		e, err := EvaluateLeaveOneOut(t.Context(), set, labels, Options{Ks: []int{1, 10}, Rerank: &Rerank{10, 3, 0.3}})
		runtime.GOMAXPROCS(before)
		if err != nil {
			t.Fatal(err)
		}
		if first == nil {
			first = e
		}
		if diff := cmp.Diff(first, e); diff != "" {
			t.Errorf("%d processors: %s", processors, diff)
		}
	}
}
