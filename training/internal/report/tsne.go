package report

import (
	"context"
	"math"
	"runtime"
	"sync"

	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/gonum/stat"

	"xbmedge/internal/retrieval"
)

// point is a place on the map.
type point struct{ x, y float64 }

// principal returns the embeddings' first two principal components, scaled to a standard deviation of 1 along the
// first. Embeddings of less than two dimensions, or all alike, give what there is and 0 for the rest.
func principal(e retrieval.Embeddings) []point {
	n := e.Len()
	points := make([]point, n)
	data := mat.NewDense(n, e.Dim, nil)
	for i := range n {
		for k, v := range e.Row(i) {
			data.Set(i, k, float64(v))
		}
	}
	var pc stat.PC
	if n < 2 || !pc.PrincipalComponents(data, nil) {
		return points
	}
	variances := pc.VarsTo(nil)
	if variances[0] <= 1e-12 {
		return points
	}
	var vectors mat.Dense
	pc.VectorsTo(&vectors)
	_, columns := vectors.Dims()
	var projected mat.Dense
	projected.Mul(data, vectors.Slice(0, e.Dim, 0, min(2, columns)))
	mean := point{}
	for i := range n {
		points[i].x = projected.At(i, 0)
		if columns > 1 {
			points[i].y = projected.At(i, 1)
		}
		mean.x += points[i].x / float64(n)
		mean.y += points[i].y / float64(n)
	}
	scale := 1 / math.Sqrt(variances[0])
	for i := range points {
		points[i] = point{(points[i].x - mean.x) * scale, (points[i].y - mean.y) * scale}
	}
	return points
}

// What t-SNE is run with: the perplexity of its authors, and the exaggeration and learning rate of Belkina et al.
// ("Automated optimized parameters for t-distributed stochastic neighbor embedding", 2019), which need no tuning.
const (
	perplexity    = 30
	exaggeration  = 12
	exaggerated   = 200 // iterations with it
	iterations    = 600
	smallestRate  = 50
	startSpread   = 1e-4 // standard deviation of the start
	smallestGain  = 0.01
	momentumEarly = 0.5
	momentumLate  = 0.8
)

// tsne lays L2-normalised embeddings out in the plane so that near ones stay near (L. van der Maaten, G. Hinton,
// "Visualizing Data using t-SNE", JMLR 9, 2008). It is the exact method, n² work an iteration, on every processor. It
// starts from the principal components and draws no random numbers: equal input gives equal maps, and what is far
// apart keeps its rough order. Ctx ends it early, with ctx's error.
func tsne(ctx context.Context, e retrieval.Embeddings) ([]point, error) {
	n := e.Len()
	y := principal(e)
	for i := range y {
		y[i].x, y[i].y = y[i].x*startSpread, y[i].y*startSpread
	}
	p := affinities(e)
	speed, gain, gradient := make([]point, n), make([]point, n), make([]point, n)
	for i := range gain {
		gain[i] = point{1, 1}
	}
	rate := max(float64(n)/exaggeration/4, smallestRate)
	for iteration := range iterations {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		momentum, pull := momentumLate, 1.0
		if iteration < exaggerated {
			momentum, pull = momentumEarly, exaggeration
		}
		descend(gradient, y, p, pull)
		for i, g := range gradient {
			speed[i].x, gain[i].x = move(speed[i].x, gain[i].x, g.x, momentum, rate)
			speed[i].y, gain[i].y = move(speed[i].y, gain[i].y, g.y, momentum, rate)
			y[i].x += speed[i].x
			y[i].y += speed[i].y
		}
	}
	return y, nil
}

// move returns the new speed and gain of a coordinate. The gain grows while the gradient keeps its direction.
func move(speed, gain, gradient, momentum, rate float64) (newSpeed, newGain float64) {
	if (gradient > 0) == (speed > 0) {
		gain = max(gain*0.8, smallestGain)
	} else {
		gain += 0.2
	}
	return momentum*speed - rate*gain*gradient, gain
}

// descend computes the gradient of the Kullback-Leibler divergence, with the attraction multiplied by pull.
func descend(gradient, y []point, p [][]float32, pull float64) {
	n := len(y)
	attraction, repulsion, weight := make([]point, n), make([]point, n), make([]float64, n)
	rows(n, func(i int) {
		var a, r point
		sum, yi := 0.0, y[i]
		for j, pij := range p[i] {
			dx, dy := yi.x-y[j].x, yi.y-y[j].y
			q := 1 / (1 + dx*dx + dy*dy)
			sum += q
			f := float64(pij) * q
			a.x += f * dx
			a.y += f * dy
			q *= q
			r.x += q * dx
			r.y += q * dy
		}
		attraction[i], repulsion[i], weight[i] = a, r, sum-1 // without itself
	})
	total := 0.0
	for _, w := range weight {
		total += w
	}
	total = max(total, 1e-12)
	for i := range gradient {
		gradient[i].x = 4 * (pull*attraction[i].x - repulsion[i].x/total)
		gradient[i].y = 4 * (pull*attraction[i].y - repulsion[i].y/total)
	}
}

// affinities returns how near each is to each, [n][n], symmetric and of sum 1. Around every point the width of the
// Gaussian is such that about perplexity others count.
func affinities(e retrieval.Embeddings) [][]float32 {
	n := e.Len()
	conditional := make([][]float32, n)
	entropy := math.Log(min(perplexity, float64(n-1)/3))
	rows(n, func(i int) {
		squared := make([]float64, n)
		for j := range n {
			squared[j] = max(0, 2-2*float64(retrieval.Dot(e.Row(i), e.Row(j))))
		}
		conditional[i] = neighbourhood(squared, i, entropy)
	})
	p := make([][]float32, n)
	rows(n, func(i int) {
		p[i] = make([]float32, n)
		for j := range n {
			p[i][j] = (conditional[i][j] + conditional[j][i]) / float32(2*n)
		}
	})
	return p
}

// neighbourhood returns the probabilities with which point i picks each other as its neighbour, given the squared
// distances, at the precision that gives them this entropy (found by bisection).
func neighbourhood(squared []float64, i int, entropy float64) []float32 {
	p := make([]float32, len(squared))
	nearest := math.Inf(1)
	for j, d := range squared {
		if j != i {
			nearest = min(nearest, d)
		}
	}
	precision, low, high := 1.0, 0.0, math.Inf(1)
	for range 64 {
		sum, weighted := 0.0, 0.0
		for j, d := range squared {
			if j == i {
				continue
			}
			w := math.Exp(-precision * (d - nearest))
			p[j] = float32(w)
			sum += w
			weighted += w * (d - nearest)
		}
		for j := range p {
			p[j] /= float32(sum)
		}
		h := math.Log(sum) + precision*weighted/sum
		switch {
		case math.Abs(h-entropy) < 1e-5:
			return p
		case h > entropy:
			low = precision
		default:
			high = precision
		}
		if math.IsInf(high, 1) {
			precision *= 2
		} else {
			precision = (low + high) / 2
		}
	}
	return p
}

// rows calls do with 0 to n-1, on all processors.
func rows(n int, do func(i int)) {
	workers := min(runtime.GOMAXPROCS(0), n)
	var group sync.WaitGroup
	for w := range workers {
		group.Go(func() {
			for i := n * w / workers; i < n*(w+1)/workers; i++ {
				do(i)
			}
		})
	}
	group.Wait()
}
