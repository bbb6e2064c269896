package xbm

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/google/go-cmp/cmp"
)

// memoryLoss returns a step's graph: enqueue, compare, gradient towards the embeddings.
func memoryLoss(loss Loss) func(in []*graph.Node) []*graph.Node {
	return func(in []*graph.Node) []*graph.Node {
		after, slots := Memory{in[0], in[1], in[2], in[3]}.Enqueue(in[4], in[5])
		batch := in[4].Shape().Dimensions[0]
		l := loss.Loss(in[4], in[5], after.Embeddings, after.Labels, after.Pairs(batch, slots))
		return append([]*graph.Node{l}, graph.Gradient(l, in[4])...)
	}
}

func TestEnqueueIfNotLeavesTheMemory(t *testing.T) {
	exec := graph.MustNewExec(backend(t), func(in []*graph.Node) []*graph.Node {
		m, _ := Memory{in[0], in[1], in[2], in[3]}.EnqueueIf(in[6], in[4], in[5])
		return []*graph.Node{m.Embeddings, m.Labels, m.Head, m.Filled}
	})
	rng := rand.New(rand.NewPCG(11, 12))
	const size, batch, dim = 7, 3, 4
	before := []any{flat(unitRows(rng, size, dim)), []int32{0, 5, 0, 1, 2, -3, 0}, int32(6), int32(7)}
	for _, c := range []struct {
		enqueue      bool
		head         int32
		labels       []int32
		changedLines []int
	}{
		{false, 6, []int32{0, 5, 0, 1, 2, -3, 0}, nil},
		{true, 2, []int32{8, 9, 0, 1, 2, -3, 7}, []int{6, 0, 1}},
	} {
		rows := unitRows(rng, batch, dim)
		out := exec.MustCall(append(before, flat(rows), []int32{7, 8, 9}, c.enqueue)...)
		want := floats(before[0].(*tensors.Tensor))
		for i, line := range c.changedLines {
			copy(want[line*dim:], floats(flat(rows[i:i+1])))
		}
		got := []any{floats(out[0]), ints(out[1]), ints(out[2])[0], ints(out[3])[0]}
		if diff := cmp.Diff([]any{want, c.labels, c.head, int32(size)}, got); diff != "" {
			t.Errorf("enqueue %v: %s", c.enqueue, diff)
		}
	}
}

// TestLargeMemory compares with sums written pair by pair, at a size that takes other matrix kernels than the vectors.
func TestLargeMemory(t *testing.T) {
	const batch, size, filled, dim = 24, 5003, 4500, 33
	rng := rand.New(rand.NewPCG(13, 14))
	anchors, refs := unitRows(rng, batch, dim), unitRows(rng, size, dim)
	labels, refLabels := make([]int32, batch), make([]int32, size)
	for i := range labels {
		labels[i] = rng.Int32N(20)
	}
	for i := range refLabels {
		refLabels[i] = rng.Int32N(20)
	}
	const head = 4490 // the batch fills the memory further
	c := Contrastive{Positive: 1, Negative: -0.1, Reduction: NonZero}
	exec := graph.MustNewExec(backend(t), memoryLoss(c))
	out := exec.MustCall(flat(refs), refLabels, int32(head), int32(filled), flat(anchors), labels)

	for i := range anchors { // as Enqueue does
		refs[head+i], refLabels[head+i] = anchors[i], labels[i]
	}
	allowed := func(i, j int) bool { return j < filled+batch && j != head+i }
	if got, want := float64(floats(out[0])[0]), plainLoss(c, anchors, refs, labels, refLabels, allowed); !near(got, want) {
		t.Errorf("loss %g, want %g", got, want)
	}
	grad := floats(out[1])
	for i, want := range plainGradient(c, anchors, refs, labels, refLabels, allowed) {
		for k := range want {
			if got := float64(grad[i*dim+k]); math.Abs(got-want[k]) > 1e-6 {
				t.Errorf("gradient[%d][%d] = %g, want %g", i, k, got, want[k])
			}
		}
	}
}

// plainGradient is plainLoss's towards the anchors, for NonZero.
func plainGradient(c Contrastive, anchors, refs [][]float64, la, lr []int32, allowed func(i, j int) bool) [][]float64 {
	pull, push := make([][]float64, len(anchors)), make([][]float64, len(anchors))
	var pulls, pushes float64
	for i, a := range anchors {
		pull[i], push[i] = make([]float64, len(a)), make([]float64, len(a))
		for j, r := range refs {
			s := 0.0
			for k := range a {
				s += a[k] * r[k]
			}
			into := pull[i]
			switch {
			case !allowed(i, j):
				continue
			case la[i] == lr[j] && s < c.Positive:
				pulls++
			case la[i] != lr[j] && s > c.Negative:
				pushes++
				into = push[i]
			default:
				continue
			}
			for k := range r {
				into[k] += r[k]
			}
		}
	}
	for i := range push {
		for k := range push[i] {
			push[i][k] = push[i][k]/max(pushes, 1) - pull[i][k]/max(pulls, 1)
		}
	}
	return push
}

// everyLoss is one of each kind, the contrastive one with a margin that pairs of unfilled, zero entries violate.
func everyLoss() []Loss {
	return []Loss{
		Contrastive{Positive: 1, Negative: -0.5, Reduction: PerAnchor},
		Contrastive{Positive: 1, Negative: -0.5, Reduction: NonZero},
		Contrastive{Positive: 1, Negative: -0.5, Reduction: Mean},
		Contrastive{Positive: 1, Negative: -0.5, Reduction: NonZero, Power: 3},
		Triplet{Margin: 0.3, Mining: BatchHard},
		Triplet{Margin: 0.3, Mining: SemiHard},
		MultiSimilarity{Alpha: 2, Beta: 50, Base: 0.5, Epsilon: 0.1},
		MultiSimilarity{Alpha: 2, Beta: 50, Base: 0.5, Epsilon: -1},
	}
}

// TestUnfilledSlotsCountForNothing: what lies in them must not matter, of whatever class, and 0 is a class.
func TestUnfilledSlotsCountForNothing(t *testing.T) {
	const size, batch, dim = 11, 4, 3
	rng := rand.New(rand.NewPCG(15, 16))
	rows := flat(unitRows(rng, batch, dim))
	b := backend(t)
	for _, loss := range everyLoss() {
		exec := graph.MustNewExec(b, memoryLoss(loss))
		run := func(junk [][]float64, junkLabel int32, labels []int32) [][]float32 {
			lr := make([]int32, size)
			for i := range lr {
				lr[i] = junkLabel
			}
			out := exec.MustCall(flat(junk), lr, int32(0), int32(0), rows, labels)
			return [][]float32{floats(out[0]), floats(out[1])}
		}
		zeros := make([][]float64, size)
		for i := range zeros {
			zeros[i] = make([]float64, dim)
		}
		want := run(zeros, 0, []int32{0, 0, 1, 1})
		if semi, ok := loss.(Triplet); !ok || semi.Mining != SemiHard {
			if want[0][0] <= 0 {
				t.Errorf("%+v: the loss is %g, the test would prove nothing", loss, want[0][0])
			}
		}
		for _, other := range [][][]float32{
			run(unitRows(rng, size, dim), 0, []int32{0, 0, 1, 1}),
			run(unitRows(rng, size, dim), 1, []int32{0, 0, 1, 1}),
			run(zeros, 9, []int32{0, 0, 1, 1}),
			run(zeros, 0, []int32{5, 5, 7, 7}), // the same partition without a class 0
		} {
			if diff := cmp.Diff(want, other); diff != "" {
				t.Errorf("%+v: %s", loss, diff)
			}
		}
	}
}

// TestNeverNaN holds every loss, and its gradient, against embeddings that divide by zero, tie, and are alone.
func TestNeverNaN(t *testing.T) {
	const size, batch, dim = 6, 4, 3
	equal, opposite, zero := [][]float64{}, [][]float64{}, [][]float64{}
	for i := range batch {
		equal = append(equal, []float64{1, 0, 0})
		opposite = append(opposite, []float64{float64(1 - 2*(i%2)), 0, 0})
		zero = append(zero, []float64{0, 0, 0})
	}
	b := backend(t)
	for _, loss := range everyLoss() {
		exec := graph.MustNewExec(b, memoryLoss(loss))
		for name, rows := range map[string][][]float64{"equal": equal, "opposite": opposite, "zero": zero} {
			for _, labels := range [][]int32{{0, 0, 0, 0}, {0, 1, 2, 3}, {0, 0, 1, 1}, {0, 1, 0, 1}} {
				t.Run(fmt.Sprintf("%T %+v %s %v", loss, loss, name, labels), func(t *testing.T) {
					out := exec.MustCall(make2D(size, dim), make([]int32, size), int32(4), int32(0), flat(rows), labels)
					for _, v := range append(floats(out[0]), floats(out[1])...) {
						if math.IsNaN(float64(v)) || math.IsInf(float64(v), 0) {
							t.Fatalf("loss %v, gradient %v", floats(out[0]), floats(out[1]))
						}
					}
				})
			}
		}
	}
}

// TestRefusals: what cannot be computed is said while the graph is built, with what to change.
func TestRefusals(t *testing.T) {
	b := backend(t)
	for want, loss := range map[string]Loss{
		"lower beta":                   MultiSimilarity{Alpha: 2, Beta: 200, Base: 0.5},
		"lower alpha":                  MultiSimilarity{Alpha: 60, Beta: 50, Base: 0.5},
		"take hard or semihard":        Triplet{Margin: 0.1, Mining: "easy"},
		"take per_anchor, nonzero":     Contrastive{Reduction: "sum"},
		"smaller than the batch of 24": Contrastive{Reduction: Mean},
	} {
		batch := 4
		if want == "smaller than the batch of 24" {
			batch = 24
		}
		exec := graph.MustNewExec(b, memoryLoss(loss))
		_, err := exec.Call(make2D(6, 2), make([]int32, 6), int32(0), int32(0), make2D(batch, 2), make([]int32, batch))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: error %v, want one with %q", loss, err, want)
		}
	}
}

func TestProxies(t *testing.T) {
	const classes, dim = 50, 64
	first := Proxies(classes, dim, rand.New(rand.NewPCG(1, 2)))
	if diff := cmp.Diff([]int{classes, dim}, first.Shape().Dimensions); diff != "" {
		t.Fatal(diff)
	}
	var squares float64
	for _, v := range floats(first) {
		squares += float64(v) * float64(v)
	}
	if got, want := squares/(classes*dim), 2.0/classes; math.Abs(got/want-1) > 0.1 {
		t.Errorf("variance %g, want %g", got, want)
	}
	if diff := cmp.Diff(floats(first), floats(Proxies(classes, dim, rand.New(rand.NewPCG(1, 2))))); diff != "" {
		t.Error("the same seed gave other proxies:", diff)
	}
}
