package engine

import (
	"math"

	"github.com/gomlx/gomlx/core/graph"

	"xbmedge/internal/nn"
)

// maxPool takes the largest of what the kernel covers: of shifted views one after another, for which every backend has
// gradients, or with the backend's own operation.
func (f *Forward) maxPool(l *nn.Layer, x *node, out nn.Shape) *node {
	pad := paddings(l, x)
	if f.Lowering == Native {
		return graph.MaxPool(x).Window(l.Kernel).Strides(l.Stride).PaddingPerDim(pad).Done()
	}
	const lowest = -math.MaxFloat32
	views := slide(l, fill(fill(x, 1, pad[0], lowest), 2, pad[1], lowest), out)
	largest := views[0]
	for _, v := range views[1:] {
		largest = graph.Max(largest, v)
	}
	return largest
}

// avgPool sums shifted views and divides by how many of them lie on the map.
func avgPool(l *nn.Layer, x *node, out nn.Shape) *node {
	n, h, w, c := x.Shape().Dimensions[0], x.Shape().Dimensions[1], x.Shape().Dimensions[2], x.Shape().Dimensions[3]
	if l.Kernel == l.Stride && out.H*l.Stride == h && out.W*l.Stride == w {
		return graph.ReduceMean(graph.Reshape(x, n, out.H, l.Kernel, out.W, l.Kernel, c), 2, 4)
	}
	views := shifts(l, x, out)
	sum := views[0]
	for _, v := range views[1:] {
		sum = graph.Add(sum, v)
	}
	rows, columns := covered(l, h, out.H), covered(l, w, out.W)
	share := make([][][][]float32, 1)
	share[0] = make([][][]float32, out.H)
	for y := range share[0] {
		share[0][y] = make([][]float32, out.W)
		for x := range share[0][y] {
			share[0][y][x] = []float32{1 / float32(rows[y]*columns[x])}
		}
	}
	return graph.Mul(sum, graph.Const(x.Graph(), share))
}

// covered returns, for every output position along an axis of size, how many kernel positions meet the map.
func covered(l *nn.Layer, size, outs int) []int {
	before, _ := l.Pads(size)
	counts := make([]int, outs)
	for o := range counts {
		first := o*l.Stride - before
		counts[o] = min(first+l.Kernel, size) - max(first, 0)
	}
	return counts
}

// generalisedMean pools over height and width; power is [1]. Powers are written with logarithms, whose gradient by both
// arguments GoMLX knows.
func generalisedMean(x, power *node) *node {
	n, c := x.Shape().Dimensions[0], x.Shape().Dimensions[3]
	p := graph.Reshape(power, 1, 1, 1, 1)
	raised := graph.Exp(graph.Mul(p, graph.Log(graph.MaxScalar(x, nn.GeMFloor))))
	mean := graph.Reshape(graph.ReduceMean(raised, 1, 2), n, 1, 1, c)
	return graph.Exp(graph.Div(graph.Log(mean), p))
}
