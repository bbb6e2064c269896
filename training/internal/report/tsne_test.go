package report

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"testing"

	"xbmedge/internal/retrieval"
)

// TestMapKeepsClustersApart: two clusters in 16 dimensions lie apart in the plane, in both layouts.
func TestMapKeepsClustersApart(t *testing.T) {
	set := clustered(rand.New(rand.NewPCG(5, 5)), 16, 40, 0.1, "a", "b")
	byTSNE, err := tsne(t.Context(), set.Embeddings)
	if err != nil {
		t.Fatal(err)
	}
	for name, points := range map[string][]point{"t-SNE": byTSNE, "principal components": principal(set.Embeddings)} {
		var centre [2]point
		for i, p := range points {
			l := set.Labels[i]
			centre[l].x += p.x / 40
			centre[l].y += p.y / 40
		}
		radius := 0.0
		for i, p := range points {
			c := centre[set.Labels[i]]
			radius = max(radius, math.Hypot(p.x-c.x, p.y-c.y))
		}
		if d := math.Hypot(centre[0].x-centre[1].x, centre[0].y-centre[1].y); !(d > 2*radius) {
			t.Errorf("%s: clusters of radius %.3g lie %.3g apart", name, radius, d)
		}
	}
}

// TestPrincipal: points on a line that is stretched along one axis and a little along another.
func TestPrincipal(t *testing.T) {
	e := retrieval.Embeddings{Dim: 3, Data: []float32{0, 0, -2, 0, 1, 0, 0, 0, 2, 0, -1, 0}}
	got := principal(e)
	// Variances are 8/3 and 2/3: scaled to 1, the first coordinates are ±√1.5 and the second ±√1.5/2.
	long, short := math.Sqrt(1.5), math.Sqrt(1.5)/2
	for i, want := range []point{{long, 0}, {0, short}, {long, 0}, {0, short}} {
		if math.Abs(math.Abs(got[i].x)-want.x) > 1e-6 || math.Abs(math.Abs(got[i].y)-want.y) > 1e-6 {
			t.Errorf("point %d at %v, want ±%v", i, got[i], want)
		}
	}
	if got[0].x*got[2].x > 0 || got[1].y*got[3].y > 0 {
		t.Errorf("%v: opposite points lie on one side", got)
	}
}

// TestAffinities: each row has the perplexity asked for, and all sum to one.
func TestAffinities(t *testing.T) {
	set := clustered(rand.New(rand.NewPCG(6, 6)), 8, 50, 0.5, "a", "b", "c")
	squared := make([]float64, set.Len())
	for j := range squared {
		squared[j] = 2 - 2*float64(retrieval.Dot(set.Row(0), set.Row(j)))
	}
	entropy := 0.0
	for j, p := range neighbourhood(squared, 0, math.Log(perplexity)) {
		if p > 0 {
			entropy -= float64(p) * math.Log(float64(p))
		}
		if j == 0 && p != 0 {
			t.Errorf("a point is its own neighbour, by %v", p)
		}
	}
	if got := math.Exp(entropy); math.Abs(got-perplexity) > 0.01 {
		t.Errorf("perplexity %.4f, want %d", got, perplexity)
	}
	sum := 0.0
	p := affinities(set.Embeddings)
	for i, row := range p {
		for j, v := range row {
			sum += float64(v)
			if v != p[j][i] {
				t.Fatalf("p[%d][%d] is %v, p[%d][%d] is %v", i, j, v, j, i, p[j][i])
			}
		}
	}
	if math.Abs(sum-1) > 1e-4 {
		t.Errorf("affinities sum to %v", sum)
	}
}

// TestGradient holds the gradient to differences of the Kullback-Leibler divergence it is said to be of.
func TestGradient(t *testing.T) {
	set := clustered(rand.New(rand.NewPCG(8, 8)), 8, 5, 0.5, "a", "b", "c")
	p := affinities(set.Embeddings)
	rng := rand.New(rand.NewPCG(2, 2))
	y := make([]point, set.Len())
	for i := range y {
		y[i] = point{rng.NormFloat64(), rng.NormFloat64()}
	}
	divergence := func() float64 {
		total, sum := 0.0, 0.0
		q := func(i, j int) float64 {
			dx, dy := y[i].x-y[j].x, y[i].y-y[j].y
			return 1 / (1 + dx*dx + dy*dy)
		}
		for i := range y {
			for j := range y {
				if i != j {
					total += q(i, j)
				}
			}
		}
		for i := range y {
			for j := range y {
				if i != j && p[i][j] > 0 {
					sum += float64(p[i][j]) * math.Log(float64(p[i][j])/(q(i, j)/total))
				}
			}
		}
		return sum
	}
	gradient := make([]point, len(y))
	descend(gradient, y, p, 1)
	const h = 1e-5
	for i := range y {
		y[i].x += h
		above := divergence()
		y[i].x -= 2 * h
		below := divergence()
		y[i].x += h
		if want := (above - below) / (2 * h); math.Abs(gradient[i].x-want) > 1e-6 {
			t.Errorf("gradient of point %d is %v, want %v", i, gradient[i].x, want)
		}
	}
}

func TestMapOfFewOrEqualPoints(t *testing.T) {
	for _, e := range []retrieval.Embeddings{
		{Dim: 3, Data: make([]float32, 3)},
		{Dim: 3, Data: make([]float32, 3*20)},
		{Dim: 1, Data: []float32{1, 1, -1, 1, -1, 1, 1, -1, 1, 1, 1, -1}},
		{Dim: 2, Data: []float32{1, 0, 0, 1}},
	} {
		points := principal(e)
		if e.Len() >= fewest {
			var err error
			if points, err = tsne(t.Context(), e); err != nil {
				t.Fatal(err)
			}
		}
		scale := fit(points)
		for _, p := range points {
			if m := scale(p); !(m.X >= 0 && m.X <= mapWidth && m.Y >= 0 && m.Y <= mapHeight) {
				t.Errorf("%d points of %d dimensions: one at %v, drawn at %v", e.Len(), e.Dim, p, m)
			}
		}
	}
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	set := clustered(rand.New(rand.NewPCG(5, 5)), 4, 10, 0.1, "a", "b")
	if _, err := tsne(cancelled, set.Embeddings); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled, it returned %v", err)
	}
}
