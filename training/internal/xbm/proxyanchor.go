package xbm

import (
	"math"
	"math/rand/v2"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
)

// ProxyAnchor is the proxy-anchor loss (Kim et al., CVPR 2020): each class has a proxy, a point that is learnt with the
// network and pulls the batch's members of its class and pushes all others. It needs no pairs and so no memory.
//
// It equals pytorch-metric-learning's ProxyAnchorLoss(margin=Margin, alpha=Alpha).
type ProxyAnchor struct {
	Margin, Alpha float64
}

// Loss compares L2-normalised embeddings [B, D] of classes labels [B] int32, 0 to C-1, with proxies [C, D] of any
// length, and returns a scalar. The gradient flows into both. It panics while the graph is built where Alpha is too
// large for float32.
func (p ProxyAnchor) Loss(embeddings, labels, proxies *node) *node {
	checkExponent("alpha", p.Alpha*(1+p.Margin))
	classes := proxies.Shape().Dimensions[0]
	s := graph.Einsum("bd,cd->bc", embeddings, graph.L2Normalize(proxies, -1))
	own := graph.OneHot(labels, classes, dtypes.Float32)
	others := graph.OneMinus(own)
	side := func(mask *node, rate float64) *node { // [C]
		e := graph.Exp(graph.MulScalar(graph.AddScalar(s, math.Copysign(p.Margin, rate)), rate))
		return graph.Log1P(graph.ReduceSum(graph.Mul(mask, e), 0))
	}
	pull, push := side(own, -p.Alpha), side(others, p.Alpha)
	present := graph.ReduceAllSum(graph.ReduceMax(own, 0)) // classes in the batch
	return graph.Add(graph.Div(graph.ReduceAllSum(pull), present), graph.DivScalar(graph.ReduceAllSum(push), classes))
}

// Proxies returns the proxies [classes, dim] float32 to begin with: normally distributed with variance 2/classes, as
// Kim et al. and pytorch-metric-learning do.
func Proxies(classes, dim int, rng *rand.Rand) *tensors.Tensor {
	values := make([]float32, classes*dim)
	for i := range values {
		values[i] = float32(rng.NormFloat64() * math.Sqrt(2/float64(classes)))
	}
	return tensors.FromFlatDataAndDimensions(values, classes, dim)
}
