package xbm

import (
	"fmt"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	"github.com/gomlx/gomlx/core/graph"
)

// Loss compares a batch with references: the batch itself, a Memory, or any other embeddings.
//
// It takes anchors [B, D], L2-normalised, their labels [B] int32, references [R, D] with labels [R], and the pairs
// [B, R] bool that may be compared (Memory.Pairs, OtherMembers), and returns a scalar, which is zero where nothing
// contributes. Neither it nor its gradient is ever NaN for finite embeddings. The gradient also flows into references
// that depend on what is trained, as those of a batch with itself do; a Memory does not.
type Loss interface {
	Loss(anchors, labels, references, referenceLabels, allowed *node) *node
}

// far is above every similarity, also where rounding lifts that of equal vectors over 1.
const far = 4.0

// similarities returns the cosine similarities [B, R] of L2-normalised embeddings, as numbers without gradient: the
// losses decide with them which pairs count and how much, and weighted carries that back.
func similarities(anchors, references *node) *node {
	return graph.StopGradient(graph.Einsum("bd,rd->br", anchors, references))
}

// weighted returns Σ_r w[b,r]·s[b,r], [B], s being the similarities of anchors and references. The weights w [B, R] are
// constants, so the gradient towards s is w: an anchor's is w·references, which is computed here already. This keeps
// automatic differentiation, and the many matrices it would make, away from the [B, R] pairs.
func weighted(w, anchors, references *node) *node {
	pulled := graph.Einsum("br,rd->bd", graph.StopGradient(w), references)
	return graph.ReduceSum(graph.Mul(anchors, pulled), -1)
}

// withGradientOf returns value with the gradient of another node of its shape.
func withGradientOf(value, other *node) *node {
	return graph.Add(graph.StopGradient(value), graph.Sub(other, graph.StopGradient(other)))
}

// split divides the pairs that are allowed into those of one class and those of two, [B, R] bool each.
func split(labels, referenceLabels, allowed *node) (positive, negative *node) {
	// A scalar at a time: the go backend compares with it several times faster than it broadcasts.
	rows := make([]*node, labels.Shape().Dimensions[0])
	for i := range rows {
		rows[i] = graph.InsertAxes(graph.Equal(referenceLabels, graph.Slice(labels, graph.AxisElem(i))), 0)
	}
	positive = graph.LogicalAnd(allowed, graph.Concatenate(rows, 0))
	return positive, graph.LogicalXor(allowed, positive)
}

// perRow sums a matrix [B, R] over its columns, [B]. (On the go backend a product with ones takes a tenth of ReduceSum.)
func perRow(x *node) *node {
	ones := graph.Ones(x.Graph(), shapes.Make(x.DType(), x.Shape().Dimensions[1]))
	return graph.Einsum("br,r->b", x, ones)
}

func oneOrZero(mask *node) *node { return graph.ConvertDType(mask, dtypes.Float32) }

// smallest returns for each row of x [B, R] the index [B] int32 and the value [B] of its smallest element among those
// where mask is true. Rows without any have a value of far.
func smallest(x, mask *node) (index, value *node) {
	masked := graph.Where(mask, x, graph.Scalar(x.Graph(), dtypes.Float32, far))
	index = graph.ArgMin(masked, -1)
	rows := iota32(x.Graph(), x.Shape().Dimensions[0])
	return index, graph.Gather(masked, graph.Stack([]*node{rows, index}, -1))
}

// largest is smallest's opposite: rows without any have a value of -far.
func largest(x, mask *node) (index, value *node) {
	index, value = smallest(graph.Neg(x), mask)
	return index, graph.Neg(value)
}

// meanOfNonZero averages the losses [B] that are above zero; with none it is zero.
func meanOfNonZero(losses *node) *node {
	count := graph.ReduceAllSum(oneOrZero(graph.GreaterThan(losses, graph.ZerosLike(losses))))
	return graph.Div(graph.ReduceAllSum(losses), graph.MaxScalar(count, 1.0))
}

// checkExponent panics where exp would leave float32 for some similarity, sums over a large memory included.
func checkExponent(name string, largest float64) {
	const limit = 70
	if largest > limit {
		panic(fmt.Errorf("xbm: the loss's exponents reach %.3g, float32 ends at %d: lower %s", largest, limit, name))
	}
}
