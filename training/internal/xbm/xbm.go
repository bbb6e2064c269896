// Package xbm is cross-batch memory for metric learning: a first-in-first-out memory of the embeddings and labels of
// the last batches, against which each batch is compared (Wang, Zhang, Huang, Scott: "Cross-Batch Memory for Embedding
// Learning", CVPR 2020, arXiv 1912.06798). Embeddings drift slowly, so those of some steps ago still are valid
// references, at the price of a matrix product instead of a larger batch.
//
// Everything here builds GoMLX graphs; the memory lives on the backend's device and no gradient flows into it.
//
// The go backend has to be made with "ops_sequential". By default its operations share two workers a core, a matrix
// product waits in one of them for others, and as many products at once as there are workers wait for ever (compute
// v0.1.3).
package xbm

import (
	"fmt"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	"github.com/gomlx/gomlx/core/graph"
)

type node = graph.Node

// Memory is a ring of the last embeddings.
type Memory struct {
	Embeddings *node // [M, D] float32, L2-normalised where filled
	Labels     *node // [M] int32
	Head       *node // scalar int32: the slot that is written next
	Filled     *node // scalar int32: how many slots hold an embedding
}

// Enqueue returns the memory after a batch of embeddings [B, D] and labels [B] int32 has taken the place of its B
// oldest entries, and the slot [B] int32 each of them went to. B may be anything up to M.
//
// Where the memory's nodes are variables that are set to the result, and nothing else in the graph reads them, the
// backend works in place: the cost is that of the batch, whatever the memory's size.
func (m Memory) Enqueue(embeddings, labels *node) (after Memory, slots *node) {
	return m.EnqueueIf(graph.Const(embeddings.Graph(), true), embeddings, labels)
}

// EnqueueIf is Enqueue where the scalar bool condition is true; where it is false the memory stays as it is, at no cost.
func (m Memory) EnqueueIf(condition, embeddings, labels *node) (after Memory, slots *node) {
	g := embeddings.Graph()
	size, batch := m.size(), embeddings.Shape().Dimensions[0]
	if batch > size {
		panic(fmt.Errorf("xbm: a memory of %d entries is smaller than the batch of %d", size, batch))
	}
	limit := graph.Const(g, int32(size))
	slots = graph.Mod(graph.Add(iota32(g, batch), m.Head), limit)
	rows := graph.InsertAxes(slots, -1)
	count := graph.MulScalar(graph.ConvertDType(condition, dtypes.Int32), batch)
	after = Memory{
		Embeddings: overwrite(condition, m.Embeddings, rows, graph.StopGradient(embeddings)),
		Labels:     overwrite(condition, m.Labels, rows, labels),
		Head:       graph.Mod(graph.Add(m.Head, count), limit),
		Filled:     graph.Min(graph.Add(m.Filled, count), limit),
	}
	return after, slots
}

// overwrite puts values [B, …] into the rows [B, 1] of x if the condition is true. Its two scatters run in place on a
// buffer that nobody else reads, where ScatterUpdate passes over all of x four times and a Where once more.
func overwrite(condition, x, rows, values *node) *node {
	lowest := graph.BroadcastToShape(graph.Const(x.Graph(), x.DType().LowestValue()), values.Shape())
	highest := graph.BroadcastToShape(graph.Const(x.Graph(), x.DType().HighestValue()), values.Shape())
	whole := graph.BroadcastToShape(condition, shapes.Make(dtypes.Bool, values.Shape().Dimensions...))
	cleared := graph.ScatterMin(x, rows, graph.Where(whole, lowest, highest), false, true)
	return graph.ScatterMax(cleared, rows, graph.Where(whole, values, lowest), false, true)
}

func (m Memory) size() int { return m.Embeddings.Shape().Dimensions[0] }

// Pairs returns which entries the members of a batch may be compared with: [B, M] bool, true for filled slots other
// than the member's own. Slots is what Enqueue returned for the batch, or nil if the batch is not in the memory.
func (m Memory) Pairs(batch int, slots *node) *node {
	g := m.Embeddings.Graph()
	filled := graph.ConvertDType(graph.LessThan(iota32(g, m.size()), m.Filled), dtypes.Int8)
	allowed := repeatRow(filled, batch)
	if slots != nil {
		own := graph.Stack([]*node{iota32(g, batch), slots}, -1)
		none := graph.BroadcastToDims(graph.Scalar(g, dtypes.Int8, 0), batch)
		allowed = graph.ScatterMin(allowed, own, none, true, true) // in place
	}
	return graph.Equal(allowed, graph.Scalar(g, dtypes.Int8, 1))
}

// repeatRow returns n rows [n, …] that all are x. (The go backend copies rows some ten times faster than it broadcasts.)
func repeatRow(x *node, n int) *node {
	rows := make([]*node, n)
	for i := range rows {
		rows[i] = graph.InsertAxes(x, 0)
	}
	return graph.Concatenate(rows, 0)
}

// OtherMembers returns the pairs of a batch with itself: [B, B] bool, true off the diagonal.
func OtherMembers(g *graph.Graph, batch int) *node {
	index := iota32(g, batch)
	return graph.NotEqual(graph.BroadcastToDims(graph.InsertAxes(index, -1), batch, batch),
		graph.BroadcastToDims(graph.InsertAxes(index, 0), batch, batch))
}

func iota32(g *graph.Graph, n int) *node {
	return graph.Iota(g, shapes.Make(dtypes.Int32, n), 0)
}
