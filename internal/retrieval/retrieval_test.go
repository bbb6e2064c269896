package retrieval

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// angles makes 2-d unit vectors from degrees: neighbours are easy to see.
func angles(degrees ...float64) Embeddings {
	e := Embeddings{Dim: 2}
	for _, d := range degrees {
		s, c := math.Sincos(d * math.Pi / 180)
		e.Data = append(e.Data, float32(c), float32(s))
	}
	return e
}

func recallAt(q Embeddings, ql []int, g Embeddings, gl []int, ks ...int) ([]float64, error) {
	e, err := Evaluate(context.Background(), q, ql, g, gl, Options{Ks: ks})
	if err != nil {
		return nil, err
	}
	return e.Recall, nil
}

func recallLeaveOneOut(set Embeddings, labels []int, ks ...int) ([]float64, error) {
	e, err := EvaluateLeaveOneOut(context.Background(), set, labels, Options{Ks: ks})
	if err != nil {
		return nil, err
	}
	return e.Recall, nil
}

func meanAP(q Embeddings, ql []int, g Embeddings, gl []int) (float64, error) {
	e, err := Evaluate(context.Background(), q, ql, g, gl, Options{})
	if err != nil {
		return 0, err
	}
	return e.MAP, nil
}

func meanAPLeaveOneOut(set Embeddings, labels []int) (float64, error) {
	e, err := EvaluateLeaveOneOut(context.Background(), set, labels, Options{})
	if err != nil {
		return 0, err
	}
	return e.MAP, nil
}

func TestByHand(t *testing.T) {
	for _, tc := range []struct {
		name          string
		queries       Embeddings
		queryLabels   []int
		gallery       Embeddings
		galleryLabels []int
		recall        []float64 // at 1, 2, 3
		meanAP        float64
	}{
		{"all right", angles(1, 91), []int{0, 1}, angles(0, 5, 90, 95), []int{0, 0, 1, 1}, []float64{1, 1, 1}, 1},
		{"label 0 second", angles(0), []int{0}, angles(1, 2, 3), []int{7, 0, 0}, []float64{0, 1, 1}, (1.0/2 + 2.0/3) / 2},
		{"last", angles(0), []int{4}, angles(1, 2, 3), []int{1, 2, 4}, []float64{0, 0, 1}, 1.0 / 3},
		{
			"class absent from the gallery is left out", angles(0, 90),
			[]int{0, 9},
			angles(1, 90),
			[]int{0, 1},
			[]float64{1, 1, 1},
			1,
		},
		{
			"wrong ones first among equals", angles(0),
			[]int{1},
			angles(10, 10, 10),
			[]int{1, 2, 3},
			[]float64{0, 0, 1},
			1.0 / 3,
		},
		{"right ones among equals", angles(0), []int{1}, angles(10, 10, 50), []int{1, 1, 2}, []float64{1, 1, 1}, 1},
		{"k larger than the gallery", angles(0), []int{1}, angles(10), []int{1}, []float64{1, 1, 1}, 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			recall, err := recallAt(tc.queries, tc.queryLabels, tc.gallery, tc.galleryLabels, 1, 2, 3)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.recall, recall); diff != "" {
				t.Errorf("recall: %s", diff)
			}
			got, err := meanAP(tc.queries, tc.queryLabels, tc.gallery, tc.galleryLabels)
			if err != nil {
				t.Fatal(err)
			}
			if math.Abs(got-tc.meanAP) > 1e-12 {
				t.Errorf("mAP %v, want %v", got, tc.meanAP)
			}
		})
	}
}

func TestLeaveOneOutByHand(t *testing.T) {
	// The single 3 has nothing to find and is left out; as an answer it still stands in the others' way.
	set, labels := angles(0, 10, 14, 40), []int{1, 1, 3, 1}
	recall, err := recallLeaveOneOut(set, labels, 1, 2)
	if err != nil {
		t.Fatal(err)
	}
	// 0° finds 10°; 10° finds 14° (wrong), then 0°; 40° finds 14° (wrong), then 10°.
	if diff := cmp.Diff([]float64{1.0 / 3, 1}, recall); diff != "" {
		t.Error(diff)
	}
	got, err := meanAPLeaveOneOut(set, labels)
	if err != nil {
		t.Fatal(err)
	}
	want := ((1.0+2.0/3)/2 + (1.0/2+2.0/3)/2 + (1.0/2+2.0/3)/2) / 3
	if math.Abs(got-want) > 1e-12 {
		t.Errorf("mAP %v, want %v", got, want)
	}
}

func TestCollapsedEmbeddingsScoreNothing(t *testing.T) {
	set, labels := Embeddings{Dim: 3}, []int{}
	for i := range 30 {
		set.Data = append(set.Data, 1, 0, 0)
		labels = append(labels, i/10)
	}
	recall, err := recallLeaveOneOut(set, labels, 1, 20)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]float64{0, 0}, recall); diff != "" {
		t.Error(diff)
	}
}

// random returns unit vectors on a coarse grid, so that there are ties.
func random(rng *rand.Rand, n, dim, classes int) (Embeddings, []int) {
	e, labels := Embeddings{Dim: dim, Data: make([]float32, n*dim)}, make([]int, n)
	for i := range labels {
		labels[i] = rng.IntN(classes)
		for j := range dim {
			e.Data[i*dim+j] = float32(rng.IntN(3) - 1)
		}
		e.Data[i*dim+labels[i]%dim]++
	}
	return e, labels
}

// naive sorts the whole gallery for each query.
func naive(q Embeddings, ql []int, g Embeddings, gl []int, leaveOneOut bool, ks []int) (recall []float64, meanAP float64) {
	recall = make([]float64, len(ks))
	n := 0.0
	for i := range ql {
		type item struct {
			score float64
			right bool
		}
		var items []item
		relevant := 0
		for j := range gl {
			if leaveOneOut && i == j {
				continue
			}
			it := item{right: gl[j] == ql[i]}
			for d := range q.Dim {
				it.score += float64(q.Data[i*q.Dim+d]) * float64(g.Data[j*q.Dim+d])
			}
			if it.right {
				relevant++
			}
			items = append(items, it)
		}
		if relevant == 0 {
			continue
		}
		slices.SortFunc(items, func(a, b item) int {
			switch {
			case a.score != b.score && a.score > b.score, a.score == b.score && !a.right && b.right:
				return -1
			case a == b:
				return 0
			}
			return 1
		})
		n++
		hits, ap := 0.0, 0.0
		for rank, it := range items {
			if !it.right {
				continue
			}
			hits++
			ap += hits / float64(rank+1)
			if hits == 1 {
				for k := range ks {
					if rank < ks[k] {
						recall[k]++
					}
				}
			}
		}
		meanAP += ap / hits
	}
	for k := range recall {
		recall[k] /= n
	}
	return recall, meanAP / n
}

func TestAgainstTheNaiveWay(t *testing.T) {
	ks := []int{1, 2, 5, 10, 1000}
	for seed := range uint64(6) {
		rng := rand.New(rand.NewPCG(seed, 1))
		q, ql := random(rng, 1+rng.IntN(90), 5, 12)
		g, gl := random(rng, 30+rng.IntN(200), 5, 9)
		compare := func(name string, recall []float64, err error, mean float64, err2 error, wantRecall []float64, wantMean float64) {
			t.Helper()
			if err := errors.Join(err, err2); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(wantRecall, recall); diff != "" {
				t.Errorf("seed %d, %s recall: %s", seed, name, diff)
			}
			if math.Abs(mean-wantMean) > 1e-9 {
				t.Errorf("seed %d, %s mAP %v, want %v", seed, name, mean, wantMean)
			}
		}
		recall, err := recallAt(q, ql, g, gl, ks...)
		mean, err2 := meanAP(q, ql, g, gl)
		wantRecall, wantMean := naive(q, ql, g, gl, false, ks)
		compare("two sets", recall, err, mean, err2, wantRecall, wantMean)

		recall, err = recallLeaveOneOut(g, gl, ks...)
		mean, err2 = meanAPLeaveOneOut(g, gl)
		wantRecall, wantMean = naive(g, gl, g, gl, true, ks)
		compare("leave-one-out", recall, err, mean, err2, wantRecall, wantMean)
	}
}

func TestTopK(t *testing.T) {
	got, err := TopK(angles(0, 90), angles(80, 10, 10, 300), 3)
	if err != nil {
		t.Fatal(err)
	}
	var order [][]int
	for _, list := range got {
		var row []int
		for _, m := range list {
			row = append(row, m.Index)
		}
		order = append(order, row)
	}
	if diff := cmp.Diff([][]int{{1, 2, 3}, {0, 1, 2}}, order); diff != "" {
		t.Error(diff)
	}
	if want := math.Cos(10 * math.Pi / 180); math.Abs(float64(got[0][0].Score)-want) > 1e-6 {
		t.Errorf("score %v, want %v", got[0][0].Score, want)
	}
	if got, err = TopK(angles(0), angles(1, 2), 5); err != nil || len(got[0]) != 2 {
		t.Errorf("small gallery: %v, %v", got, err)
	}
	if got, err = TopK(angles(0), Embeddings{Dim: 2}, 5); err != nil || len(got[0]) != 0 {
		t.Errorf("empty gallery: %v, %v", got, err)
	}
}

func TestTopKAgainstSorting(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 3))
	q, _ := random(rng, 70, 6, 4)
	g, _ := random(rng, 301, 6, 4)
	got, err := TopK(q, g, 17)
	if err != nil {
		t.Fatal(err)
	}
	for i := range q.Len() {
		want := make([]Match, g.Len())
		for j := range want {
			want[j].Index = j
			for d := range q.Dim {
				want[j].Score += q.Row(i)[d] * g.Row(j)[d]
			}
		}
		slices.SortStableFunc(want, func(a, b Match) int {
			switch {
			case a.Score > b.Score:
				return -1
			case a.Score < b.Score:
				return 1
			}
			return 0
		})
		if diff := cmp.Diff(want[:17], got[i]); diff != "" {
			t.Fatalf("query %d: %s", i, diff)
		}
	}
}

func TestRefusals(t *testing.T) {
	good, nan := angles(0, 90), angles(0, 90)
	nan.Data[3] = float32(math.NaN())
	for name, call := range map[string]func() error{
		"k 0":            func() error { _, err := recallAt(good, []int{1, 2}, good, []int{1, 2}, 0); return err },
		"labels missing": func() error { _, err := recallAt(good, []int{1}, good, []int{1, 2}, 1); return err },
		"dimensions": func() error {
			_, err := meanAP(good, []int{1, 2}, Embeddings{4, make([]float32, 4)}, []int{1})
			return err
		},
		"ragged":     func() error { _, err := TopK(Embeddings{2, make([]float32, 3)}, good, 1); return err },
		"no dim":     func() error { _, err := TopK(Embeddings{}, Embeddings{}, 1); return err },
		"nan":        func() error { _, err := TopK(good, nan, 1); return err },
		"top 0":      func() error { _, err := TopK(good, good, 0); return err },
		"all absent": func() error { _, err := recallAt(good, []int{1, 2}, good, []int{3, 4}, 1); return err },
		"all lone":   func() error { _, err := meanAPLeaveOneOut(good, []int{3, 4}); return err },
	} {
		if call() == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if _, err := recallLeaveOneOut(good, []int{3, 4}, 1); !errors.Is(err, ErrNoQuery) {
		t.Errorf("error %v, want ErrNoQuery", err)
	}
}

// The figures of the grocery photos: 2,485 queries, 2,640 in the gallery, 128 dimensions.
func BenchmarkRecall(b *testing.B) {
	rng := rand.New(rand.NewPCG(1, 1))
	q, ql := random(rng, 2485, 128, 81)
	g, gl := random(rng, 2640, 128, 81)
	b.Logf("%d processors", runtime.GOMAXPROCS(0))
	for b.Loop() {
		if _, err := recallAt(q, ql, g, gl, 1, 5); err != nil {
			b.Fatal(err)
		}
	}
}

func TestDot(t *testing.T) {
	for n := range 10 {
		a, b, want := make([]float64, n), make([]float64, n), 0.0
		for i := range n {
			a[i], b[i] = float64(i+1), float64(i-3)
			want += a[i] * b[i]
		}
		if got := Dot(a, b); got != want {
			t.Errorf("%d values: %g, want %g", n, got, want)
		}
	}
}
