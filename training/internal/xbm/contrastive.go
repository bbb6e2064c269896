package xbm

import (
	"fmt"

	"github.com/gomlx/gomlx/core/graph"
)

// Reduction says how the losses of pairs become one number.
type Reduction string

// The reductions.
const (
	// PerAnchor sums the pairs of an anchor and averages over the anchors, as in the XBM paper.
	PerAnchor Reduction = "per_anchor"
	// NonZero averages the positive and the negative pairs that contribute separately, so that neither outweighs the
	// other whatever the memory's size (AvgNonZeroReducer, the default of pytorch-metric-learning's contrastive loss).
	NonZero Reduction = "nonzero"
	// Mean averages all positive and all negative pairs separately (MeanReducer).
	Mean Reduction = "mean"
)

// Contrastive is the contrastive loss on cosine similarities s of L2-normalised embeddings: max(0, Positive-s) for
// pairs of one class, max(0, s-Negative) for pairs of two (Hadsell et al., CVPR 2006, in the form of the XBM paper).
//
// With NonZero or Mean it equals pytorch-metric-learning's ContrastiveLoss(pos_margin=Positive, neg_margin=Negative,
// distance=CosineSimilarity(power=Power)) with that reducer, except for a single positive and a single negative pair in
// all, of which that returns zero.
type Contrastive struct {
	Positive, Negative float64
	Reduction          Reduction
	Power              int // similarities are raised to it; 0 is 1
}

var _ Loss = Contrastive{}

// Loss implements the interface.
func (c Contrastive) Loss(anchors, labels, references, referenceLabels, allowed *node) *node {
	plain := similarities(anchors, references)
	s := c.raise(plain)
	positive, negative := split(labels, referenceLabels, allowed)
	pull := oneOrZero(graph.LogicalAnd(positive, graph.LessThan(s, scalar(s, c.Positive))))
	push := oneOrZero(graph.LogicalAnd(negative, graph.GreaterThan(s, scalar(s, c.Negative))))
	pulls, pushes := graph.ReduceAllSum(perRow(pull)), graph.ReduceAllSum(perRow(push))

	var eachPull, eachPush *node // what a contributing pair weighs
	switch c.Reduction {
	case NonZero:
		eachPull, eachPush = share(pulls), share(pushes)
	case Mean:
		eachPull = share(graph.ReduceAllSum(perRow(oneOrZero(positive))))
		eachPush = share(graph.ReduceAllSum(perRow(oneOrZero(negative))))
	case PerAnchor:
		eachPull = scalar(s, 1/float64(anchors.Shape().Dimensions[0]))
		eachPush = eachPull
	default:
		panic(fmt.Errorf("xbm: reduction is %q: take %s, %s or %s", c.Reduction, PerAnchor, NonZero, Mean))
	}
	// Σ push·(s-Negative) + Σ pull·(Positive-s), the margins taken out of the sums.
	w := graph.Sub(graph.Mul(push, eachPush), graph.Mul(pull, eachPull))
	margins := graph.Sub(graph.MulScalar(graph.Mul(pulls, eachPull), c.Positive),
		graph.MulScalar(graph.Mul(pushes, eachPush), c.Negative))
	if c.Power <= 1 {
		return graph.Add(graph.ReduceAllSum(weighted(w, anchors, references)), margins)
	}
	value := graph.Add(graph.ReduceAllSum(graph.Einsum("br,br->b", w, s)), margins)
	slope := graph.Mul(w, graph.MulScalar(power(plain, c.Power-1), c.Power))
	return withGradientOf(value, graph.ReduceAllSum(weighted(slope, anchors, references)))
}

func (c Contrastive) raise(s *node) *node {
	if c.Power <= 1 {
		return s
	}
	return power(s, c.Power)
}

// power multiplies x with itself: Pow is several times slower, and not defined below zero on every backend.
func power(x *node, n int) *node {
	y := x
	for range n - 1 {
		y = graph.Mul(y, x)
	}
	return y
}

// share is 1/count, or 1 where there is nothing to count.
func share(count *node) *node { return graph.Reciprocal(graph.MaxScalar(count, 1.0)) }

func scalar(like *node, value float64) *node { return graph.Scalar(like.Graph(), like.DType(), value) }
