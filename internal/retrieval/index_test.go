package retrieval

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// unitVectors are n vectors of length 1 around a few centres, so that many score nearly alike.
func unitVectors(rng *rand.Rand, n, dim int, spread float32) Embeddings {
	centres := make([]float32, 7*dim)
	for i := range centres {
		centres[i] = float32(rng.NormFloat64())
	}
	e := Embeddings{Dim: dim, Data: make([]float32, n*dim)}
	for i := range n {
		row := e.Row(i)
		for d := range row {
			row[d] = centres[i%7*dim+d] + spread*float32(rng.NormFloat64())
		}
		Normalize(row)
	}
	return e
}

// nearestInFloat is what Nearest has to find.
func nearestInFloat(e Embeddings, sizes []int, query []float32, k int, skip []bool) []Match {
	var all []Match
	at := 0
	for g, size := range sizes {
		score := float32(-2)
		for i := at; i < at+size; i++ {
			score = max(score, Dot(query, e.Row(i)))
		}
		at += size
		if skip == nil || !skip[g] {
			all = append(all, Match{g, score})
		}
	}
	slices.SortStableFunc(all, func(a, b Match) int {
		switch {
		case a.Score > b.Score:
			return -1
		case a.Score < b.Score:
			return 1
		}
		return 0
	})
	return all[:min(k, len(all))]
}

func TestNearestIsExact(t *testing.T) {
	for _, tt := range []struct {
		n, dim, k, most int
		spread          float32
		skip            bool
	}{
		{1, 1, 3, 1, 1, false},
		{50, 3, 2, 4, 0.001, false}, // all nearly one point: the codes tell nothing apart
		{700, 128, 5, 40, 0.3, false},
		{700, 128, 5, 40, 0.3, true},
		{3000, 37, 3, 1, 0.02, false},
		{600, 17, 1, 9, 0, false}, // many equal ones
	} {
		t.Run(fmt.Sprintf("%d×%d", tt.n, tt.dim), func(t *testing.T) {
			rng := rand.New(rand.NewPCG(uint64(tt.n), uint64(tt.dim)))
			e := unitVectors(rng, tt.n, tt.dim, tt.spread)
			var sizes []int
			for left := tt.n; left > 0; left -= sizes[len(sizes)-1] {
				sizes = append(sizes, min(left, 1+rng.IntN(tt.most)))
			}
			x, err := NewIndex(e, sizes)
			if err != nil {
				t.Fatal(err)
			}
			var skip []bool
			if tt.skip {
				skip = make([]bool, len(sizes))
				for i := range skip {
					skip[i] = rng.IntN(3) == 0
				}
			}
			s := x.NewSearch(tt.k)
			queries := unitVectors(rng, 60, tt.dim, 0.5)
			for q := range queries.Len() {
				query := queries.Row(q)
				if q%4 == 0 {
					query = e.Row(rng.IntN(tt.n))
				}
				want := nearestInFloat(e, sizes, query, tt.k, skip)
				if diff := cmp.Diff(want, s.Nearest(nil, query, skip)); diff != "" {
					t.Fatalf("query %d (-want +got):\n%s", q, diff)
				}
			}
		})
	}
}

func TestCodesAreExact(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for _, dim := range []int{16, 48, 512} {
		query, codes := make([]int16, dim), make([]int8, 5*dim)
		for i := range query {
			query[i] = int16(rng.IntN(255) - 127)
		}
		for i := range codes {
			codes[i] = int8(rng.IntN(255) - 127)
		}
		want, plain, vector := make([]int32, 5), make([]int32, 5), make([]int32, 5)
		for i := range want {
			for d := range query {
				want[i] += int32(query[d]) * int32(codes[i*dim+d])
			}
		}
		codesPlain(plain, query, codes)
		if diff := cmp.Diff(want, plain); diff != "" {
			t.Errorf("plain, %d values:\n%s", dim, diff)
		}
		if !vectorUnit() {
			continue
		}
		codesVector(vector, query, codes)
		if diff := cmp.Diff(want, vector); diff != "" {
			t.Errorf("vector unit, %d values:\n%s", dim, diff)
		}
	}
}

func TestNearestAllocatesNothing(t *testing.T) {
	e := unitVectors(rand.New(rand.NewPCG(1, 1)), 300, 32, 0.3)
	x, err := NewIndex(e, slices.Repeat([]int{3}, 100))
	if err != nil {
		t.Fatal(err)
	}
	s, dst := x.NewSearch(4), make([]Match, 0, 5)
	if n := testing.AllocsPerRun(50, func() { s.Nearest(dst, e.Row(7), nil) }); n != 0 {
		t.Errorf("%v allocations a search", n)
	}
}

func TestNewIndexRefuses(t *testing.T) {
	e := Embeddings{Dim: 2, Data: []float32{1, 0, 0, 1}}
	for name, build := range map[string]func() (*Index, error){
		"no values":     func() (*Index, error) { return NewIndex(Embeddings{}, nil) },
		"empty group":   func() (*Index, error) { return NewIndex(e, []int{2, 0}) },
		"other number":  func() (*Index, error) { return NewIndex(e, []int{1}) },
		"half a vector": func() (*Index, error) { return NewIndex(Embeddings{Dim: 2, Data: []float32{1, 0, 1}}, []int{1}) },
	} {
		if _, err := build(); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}

func BenchmarkNearest(b *testing.B) {
	for _, n := range []int{1000, 10_000, 100_000} {
		e := unitVectors(rand.New(rand.NewPCG(1, 1)), n, 128, 2)
		x, err := NewIndex(e, slices.Repeat([]int{20}, n/20))
		if err != nil {
			b.Fatal(err)
		}
		queries := unitVectors(rand.New(rand.NewPCG(2, 2)), 16, 128, 2)
		s, dst := x.NewSearch(3), make([]Match, 0, 4)
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				s.Nearest(dst, queries.Row(i%16), nil)
				i++
			}
		})
	}
}
