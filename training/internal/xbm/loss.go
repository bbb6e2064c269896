package xbm

import (
	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/gomlx/core/graph"
)

// Reduction says how the losses of pairs become one number.
type Reduction string

// The reductions.
const (
	// PerAnchor sums the pairs of an anchor and averages over the anchors, as in the XBM paper.
	PerAnchor Reduction = "per_anchor"
	// NonZero averages the positive and the negative pairs that contribute separately, so that neither outweighs the
	// other whatever the memory's size (the default of pytorch-metric-learning's contrastive loss).
	NonZero Reduction = "nonzero"
)

// Contrastive is the contrastive loss on cosine similarities s of L2-normalised embeddings: max(0, Positive-s) for
// pairs of one class, max(0, s-Negative) for pairs of two (Hadsell et al., CVPR 2006, in the form of the XBM paper).
type Contrastive struct {
	Positive, Negative float64
	Reduction          Reduction
}

// Loss compares anchors [B, D], labels [B] int32, with references [R, D], labels [R], over the pairs [B, R] bool that
// are allowed, and returns a scalar. With no contributing pair it is zero.
func (c Contrastive) Loss(anchors, labels, references, referenceLabels, allowed *node) *node {
	batch, refs := anchors.Shape().Dimensions[0], references.Shape().Dimensions[0]
	similarity := graph.Einsum("bd,rd->br", anchors, references)
	same := graph.Equal(graph.BroadcastToDims(graph.InsertAxes(labels, -1), batch, refs),
		graph.BroadcastToDims(graph.InsertAxes(referenceLabels, 0), batch, refs))
	positive := graph.ConvertDType(graph.LogicalAnd(allowed, same), dtypes.Float32)
	negative := graph.ConvertDType(graph.LogicalAnd(allowed, graph.LogicalNot(same)), dtypes.Float32)
	pull := graph.Mul(positive, graph.MaxScalar(graph.AddScalar(graph.Neg(similarity), c.Positive), 0.0))
	push := graph.Mul(negative, graph.MaxScalar(graph.AddScalar(similarity, -c.Negative), 0.0))
	if c.Reduction == NonZero {
		return graph.Add(nonZeroMean(pull), nonZeroMean(push))
	}
	return graph.DivScalar(graph.ReduceAllSum(graph.Add(pull, push)), batch)
}

func nonZeroMean(losses *node) *node {
	count := graph.ReduceAllSum(graph.ConvertDType(graph.GreaterThan(losses, graph.ZerosLike(losses)), dtypes.Float32))
	return graph.Div(graph.ReduceAllSum(losses), graph.MaxScalar(count, 1.0))
}
