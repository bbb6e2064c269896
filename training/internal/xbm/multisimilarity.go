package xbm

import (
	"github.com/gomlx/gomlx/core/graph"
)

// MultiSimilarity is the multi-similarity loss with its mining (Wang et al., CVPR 2019): for each anchor, on cosine
// similarities s,
//
//	1/Alpha · log(1 + Σ_positive exp(-Alpha·(s-Base))) + 1/Beta · log(1 + Σ_negative exp(Beta·(s-Base))),
//
// averaged over the anchors. Of the pairs those count that are worth learning from: a positive less similar than the
// anchor's most similar negative plus Epsilon, and a negative more similar than its least similar positive less
// Epsilon. Epsilon below 0 switches that off.
//
// It equals pytorch-metric-learning's MultiSimilarityLoss(alpha=Alpha, beta=Beta, base=Base) with
// MultiSimilarityMiner(epsilon=Epsilon), with two differences. An anchor whose only positive in a memory is its own
// entry has none here, where CrossBatchMemory lets the miner choose negatives by it. And where mining leaves a single
// positive and a single negative pair in all, that returns zero and this their loss.
type MultiSimilarity struct {
	Alpha, Beta, Base, Epsilon float64
}

var _ Loss = MultiSimilarity{}

// Loss implements the interface. It panics while the graph is built where Alpha or Beta are too large for float32.
func (m MultiSimilarity) Loss(anchors, labels, references, referenceLabels, allowed *node) *node {
	checkExponent("alpha", m.Alpha*(1+m.Base))
	checkExponent("beta", m.Beta*(1-m.Base))
	s := similarities(anchors, references)
	positive, negative := split(labels, referenceLabels, allowed)
	if m.Epsilon >= 0 {
		positive, negative = m.mine(s, positive, negative)
	}
	// One exp for both kinds of pairs: it takes longer than all the rest.
	rate := graph.Where(positive, scalar(s, -m.Alpha), scalar(s, m.Beta))
	e := graph.Exp(graph.Mul(graph.AddScalar(s, -m.Base), rate))
	pull, pullLoss := m.side(e, positive, m.Alpha, anchors, references)
	push, pushLoss := m.side(e, negative, m.Beta, anchors, references)
	return withGradientOf(graph.ReduceAllMean(graph.Add(pullLoss, pushLoss)), graph.ReduceAllMean(graph.Sub(push, pull)))
}

// side returns the losses [B] of one kind of pairs, and a sum [B] of their similarities that has the losses' gradient
// towards them.
func (m MultiSimilarity) side(e, kept *node, rate float64, anchors, references *node) (sum, losses *node) {
	e = graph.Where(kept, e, scalar(e, 0))
	total := perRow(e)
	sum = graph.Div(weighted(e, anchors, references), graph.AddScalar(total, 1))
	return sum, graph.DivScalar(graph.Log1P(total), rate)
}

// mine keeps the pairs that are worth learning from. An anchor that lacks one kind of pairs keeps none of the other.
func (m MultiSimilarity) mine(s, positive, negative *node) (keptPositive, keptNegative *node) {
	_, worst := smallest(s, positive)
	_, nearest := largest(s, negative)
	below := graph.LessThan(s, graph.InsertAxes(graph.AddScalar(nearest, m.Epsilon), -1))
	above := graph.GreaterThan(s, graph.InsertAxes(graph.AddScalar(worst, -m.Epsilon), -1))
	return graph.LogicalAnd(positive, below), graph.LogicalAnd(negative, above)
}
