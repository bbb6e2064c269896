package xbm

import (
	"fmt"

	"github.com/gomlx/compute/shapes"
	"github.com/gomlx/gomlx/core/graph"
)

// Mining says which triplets of anchor, positive and negative are compared.
type Mining string

// The ways of mining.
const (
	// BatchHard takes each anchor's least similar positive and most similar negative (Hermans et al., arXiv 1703.07737).
	BatchHard Mining = "hard"
	// SemiHard takes all triplets whose negative is less similar than the positive, by at most the margin (Schroff et
	// al., CVPR 2015). It passes over the pairs once for each positive of the anchor that has most of them: made for
	// memories of some thousand entries, or of many small classes. It needs the go backend: XLA's (go-xla v0.4.0) takes
	// no reduction inside a loop and refuses the graph.
	SemiHard Mining = "semihard"
)

// Triplet is the triplet loss on cosine similarities: max(0, s(anchor, negative) - s(anchor, positive) + Margin),
// averaged over the triplets above zero.
//
// It equals pytorch-metric-learning's TripletMarginLoss(margin=Margin, distance=CosineSimilarity()) with
// BatchHardMiner(), or with TripletMarginMiner(margin=Margin, type_of_triplets="semihard"). One difference is meant: an
// anchor is never its own positive, where CrossBatchMemory lets BatchHardMiner choose it and then drops the triplet.
type Triplet struct {
	Margin float64
	Mining Mining
}

var _ Loss = Triplet{}

// Loss implements the interface.
func (t Triplet) Loss(anchors, labels, references, referenceLabels, allowed *node) *node {
	s := similarities(anchors, references)
	positive, negative := split(labels, referenceLabels, allowed)
	switch t.Mining {
	case BatchHard:
		return t.hard(s, positive, negative, anchors, references)
	case SemiHard:
		return t.semiHard(s, positive, negative, anchors, references)
	default:
		panic(fmt.Errorf("xbm: triplet mining is %q: take %s or %s", t.Mining, BatchHard, SemiHard))
	}
}

func (t Triplet) hard(s, positive, negative, anchors, references *node) *node {
	worst, positiveSim := smallest(s, positive)
	nearest, negativeSim := largest(s, negative)
	complete := graph.LogicalAnd(graph.LessThan(positiveSim, scalar(s, far)), graph.GreaterThan(negativeSim, scalar(s, -far)))
	violation := graph.MaxScalar(graph.AddScalar(graph.Sub(negativeSim, positiveSim), t.Margin), 0.0)
	each := graph.Where(complete, violation, graph.ZerosLike(violation))
	value := meanOfNonZero(each)

	take := func(index *node) *node { return graph.Gather(references, graph.InsertAxes(index, -1)) }
	difference := graph.ReduceSum(graph.Mul(anchors, graph.Sub(take(nearest), take(worst))), -1)
	counts := oneOrZero(graph.GreaterThan(each, graph.ZerosLike(each)))
	w := graph.Mul(counts, share(graph.ReduceAllSum(counts)))
	return withGradientOf(value, graph.ReduceAllSum(graph.Mul(graph.StopGradient(w), difference)))
}

// semiHard gives every pair the number of triplets that it takes part in, negative for pairs of one class: those are the
// weights of the pairs. It takes one positive of each anchor at a time, in the order of their similarity.
func (t Triplet) semiHard(s, positive, negative, anchors, references *node) *node {
	g := s.Graph()
	column := func(x *node) *node { return graph.InsertAxes(x, -1) }
	next := func(current *node) *node { // [B], far where no positive is left
		_, value := smallest(s, graph.LogicalAnd(positive, graph.GreaterThan(s, column(current))))
		return value
	}
	// Made here, where the loop's closures and what follows them both may use it: GoMLX keeps one node for a constant.
	zero, limit, margin := graph.ZerosLike(s), scalar(s, far), scalar(s, t.Margin)
	one := graph.Ones(g, shapes.Make(s.DType(), s.Shape().Dimensions[1]))
	total := func(x *node) *node { return column(graph.Einsum("br,r->b", x, one)) }
	first := next(graph.BroadcastToDims(scalar(s, -far), s.Shape().Dimensions[0]))
	state := func(g *graph.Graph) (current, w *node) {
		return graph.Parameter(g, "current", first.Shape()), graph.Parameter(g, "w", s.Shape())
	}
	goOn := graph.NewClosure(g, func(g *graph.Graph) []*node {
		current, _ := state(g)
		return []*node{graph.LessThan(graph.ReduceAllMin(current), limit)}
	})
	body := graph.NewClosure(g, func(g *graph.Graph) []*node {
		current, w := state(g)
		here := oneOrZero(graph.LogicalAnd(positive, graph.Equal(s, column(current))))
		gap := graph.Sub(column(current), s) // how much less similar the negative is
		semi := graph.LogicalAnd(graph.GreaterThan(gap, zero), graph.LessThan(gap, margin))
		triplets := oneOrZero(graph.LogicalAnd(negative, semi))
		pushed := graph.Mul(triplets, total(here))
		pulled := graph.Mul(here, total(triplets))
		return []*node{next(current), graph.Add(w, graph.Sub(pushed, pulled))}
	})
	w := graph.StopGradient(graph.While(goOn, body, first, zero)[1])
	count := graph.ReduceAllSum(perRow(graph.MaxScalar(w, 0.0)))
	each := share(count)
	mean := graph.Mul(each, graph.ReduceAllSum(weighted(w, anchors, references)))
	return graph.Add(mean, graph.MulScalar(graph.Mul(count, each), t.Margin))
}
