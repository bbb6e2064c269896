package engine

import (
	"github.com/gomlx/gomlx/core/graph"
)

// RoundWeight rounds a weight [O, …] as int8 holds it, symmetric with a scale for each output, and lets the gradient
// through as if it had not (a straight-through estimator; Jacob et al., Quantization and Training of Neural Networks for
// Efficient Integer-Arithmetic-Only Inference, CVPR 2018, arXiv 1712.05877). Where a batch norm is worked into the
// weight later, by a factor for each output, it is rounded alike.
func RoundWeight(w *node) *node {
	axes := make([]int, w.Rank()-1)
	for i := range axes {
		axes[i] = i + 1
	}
	plain := graph.StopGradient(w)
	largest := graph.ReduceAndKeep(graph.Abs(plain), graph.ReduceMax, axes...)
	scale := graph.MaxScalar(graph.DivScalar(largest, 127), tiny)
	rounded := graph.Mul(graph.Round(graph.Div(plain, scale)), scale)
	return graph.Add(w, graph.StopGradient(graph.Sub(rounded, plain)))
}

// tiny keeps scales above zero.
const tiny = 1e-12

// RoundActivation rounds values as int8 does that spreads its 256 steps over low to high, scalars, widened to hold zero,
// which is one of the steps. The gradient passes as if nothing were rounded, but not where a value is cut off.
func RoundActivation(y, low, high *node) *node {
	low, high = graph.MinScalar(low, 0.0), graph.MaxScalar(high, 0.0)
	scale := graph.MaxScalar(graph.DivScalar(graph.Sub(high, low), 255), tiny)
	zero := graph.ClipScalar(graph.Round(graph.AddScalar(graph.Neg(graph.Div(low, scale)), -128)), -128, 127)
	lowest := graph.Mul(scale, graph.AddScalar(graph.Neg(zero), -128))
	highest := graph.Mul(scale, graph.AddScalar(graph.Neg(zero), 127))
	cut := graph.Min(graph.Max(y, graph.StopGradient(lowest)), graph.StopGradient(highest))
	plain := graph.StopGradient(cut)
	rounded := graph.Mul(graph.Round(graph.Div(plain, scale)), scale)
	return graph.Add(cut, graph.StopGradient(graph.Sub(rounded, plain)))
}
