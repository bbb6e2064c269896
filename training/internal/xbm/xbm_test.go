package xbm

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/gomlx/compute"
	"github.com/gomlx/compute/gobackend"
	"github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/google/go-cmp/cmp"
)

// backend returns a go backend that runs one operation after another: see the package's comment.
func backend(t testing.TB) compute.Backend {
	t.Helper()
	b, err := gobackend.New("ops_sequential")
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func floats(x *tensors.Tensor) []float32 { return tensors.MustCopyFlatData[float32](x) }
func ints(x *tensors.Tensor) []int32     { return tensors.MustCopyFlatData[int32](x) }

// entry is one element of the plain reference: a slice that grows at its end and is cut at its front.
type entry struct {
	embedding [2]float32
	label     int32
}

func TestEnqueueEqualsPlainQueue(t *testing.T) {
	for _, c := range []struct{ size, batch, steps int }{
		{8, 4, 5},   // wraps at a batch's end
		{10, 4, 9},  // M is no multiple of the batch: a batch lies across the end
		{7, 7, 3},   // each batch replaces everything
		{100, 3, 4}, // never full
		{5, 1, 12},
	} {
		t.Run(fmt.Sprintf("size %d batch %d", c.size, c.batch), func(t *testing.T) {
			exec := graph.MustNewExec(backend(t), func(in []*graph.Node) []*graph.Node {
				m := Memory{in[0], in[1], in[2], in[3]}
				after, slots := m.Enqueue(in[4], in[5])
				allowed := graph.ConvertDType(after.Pairs(c.batch, slots), in[1].DType())
				return []*graph.Node{after.Embeddings, after.Labels, after.Head, after.Filled, slots, allowed}
			})
			rng := rand.New(rand.NewPCG(3, 4))
			var queue []entry
			state := []*tensors.Tensor{
				tensors.FromFlatDataAndDimensions(make([]float32, 2*c.size), c.size, 2),
				tensors.FromFlatDataAndDimensions(make([]int32, c.size), c.size),
				tensors.FromScalar(int32(0)), tensors.FromScalar(int32(0)),
			}
			for range c.steps {
				var batch []entry
				var emb []float32
				var labels []int32
				for range c.batch {
					e := entry{[2]float32{rng.Float32(), rng.Float32()}, rng.Int32N(3)} // label 0 is a class like others
					batch = append(batch, e)
					emb = append(emb, e.embedding[:]...)
					labels = append(labels, e.label)
				}
				queue = append(queue, batch...)
				queue = queue[max(0, len(queue)-c.size):]
				out := exec.MustCall(state[0], state[1], state[2], state[3],
					tensors.FromFlatDataAndDimensions(emb, c.batch, 2), tensors.FromFlatDataAndDimensions(labels, c.batch))
				state = out[:4]

				gotEmb, gotLabels := floats(out[0]), ints(out[1])
				filled, head := int(ints(out[3])[0]), int(ints(out[2])[0])
				if filled != len(queue) {
					t.Fatalf("%d filled, want %d", filled, len(queue))
				}
				var got []entry // oldest first: from the head where the ring is full, else from slot 0
				for i := range filled {
					s := i
					if filled == c.size {
						s = (head + i) % c.size
					}
					got = append(got, entry{[2]float32{gotEmb[2*s], gotEmb[2*s+1]}, gotLabels[s]})
				}
				if diff := cmp.Diff(queue, got, cmp.AllowUnexported(entry{})); diff != "" {
					t.Fatal(diff)
				}
				slots, allowed := ints(out[4]), ints(out[5])
				for b := range c.batch {
					if got := (entry{[2]float32{gotEmb[2*slots[b]], gotEmb[2*slots[b]+1]}, gotLabels[slots[b]]}); got != batch[b] {
						t.Errorf("slot %d holds %v, want member %d, %v", slots[b], got, b, batch[b])
					}
					for s := range c.size {
						want := int32(0)
						if s < filled && s != int(slots[b]) {
							want = 1
						}
						if allowed[b*c.size+s] != want {
							t.Errorf("pair of member %d with slot %d: allowed %d, want %d", b, s, allowed[b*c.size+s], want)
						}
					}
				}
			}
		})
	}
}

// plainLoss is the contrastive loss written pair by pair.
func plainLoss(c Contrastive, anchors, refs [][]float64, la, lr []int32, allowed func(i, j int) bool) float64 {
	var pull, push, pulls, pushes float64
	for i, a := range anchors {
		for j, r := range refs {
			if !allowed(i, j) {
				continue
			}
			s := 0.0
			for k := range a {
				s += a[k] * r[k]
			}
			switch {
			case la[i] == lr[j] && c.Positive > s:
				pull, pulls = pull+c.Positive-s, pulls+1
			case la[i] != lr[j] && s > c.Negative:
				push, pushes = push+s-c.Negative, pushes+1
			}
		}
	}
	if c.Reduction == NonZero {
		return pull/math.Max(pulls, 1) + push/math.Max(pushes, 1)
	}
	return (pull + push) / float64(len(anchors))
}

func unitRows(rng *rand.Rand, n, dim int) [][]float64 {
	rows := make([][]float64, n)
	for i := range rows {
		norm := 0.0
		for range dim {
			v := rng.NormFloat64()
			rows[i] = append(rows[i], v)
			norm += v * v
		}
		for k := range rows[i] {
			rows[i][k] /= math.Sqrt(norm)
		}
	}
	return rows
}

func flat(rows [][]float64) *tensors.Tensor {
	var out []float64
	for _, r := range rows {
		out = append(out, r...)
	}
	f := make([]float32, len(out))
	for i, v := range out {
		f[i] = float32(v)
	}
	return tensors.FromFlatDataAndDimensions(f, len(rows), len(rows[0]))
}

func TestContrastiveEqualsPlainLossAndItsGradient(t *testing.T) {
	const batch, refs, dim = 6, 9, 5
	rng := rand.New(rand.NewPCG(5, 6))
	anchors, references := unitRows(rng, batch, dim), unitRows(rng, refs, dim)
	la, lr := []int32{0, 0, 1, 1, 2, 0}, []int32{0, 1, 2, 0, 1, 2, 2, 0, 3}
	allow := make([]bool, batch*refs)
	for i := range allow {
		allow[i] = rng.IntN(5) > 0
	}
	for _, c := range []Contrastive{
		{Positive: 1, Negative: 0.1, Reduction: PerAnchor},
		{Positive: 1, Negative: 0.1, Reduction: NonZero},
		{Positive: 0.9, Negative: 0, Reduction: PerAnchor},
		{Positive: 0.9, Negative: -0.2, Reduction: NonZero},
	} {
		exec := graph.MustNewExec(backend(t), func(in []*graph.Node) []*graph.Node {
			loss := c.Loss(in[0], in[1], in[2], in[3], in[4])
			return append([]*graph.Node{loss}, graph.Gradient(loss, in[0])...)
		})
		out := exec.MustCall(flat(anchors), la, flat(references), lr, tensors.FromFlatDataAndDimensions(allow, batch, refs))
		plain := func() float64 {
			return plainLoss(c, anchors, references, la, lr, func(i, j int) bool { return allow[i*refs+j] })
		}
		if got, want := float64(floats(out[0])[0]), plain(); math.Abs(got-want) > 1e-5 || want == 0 {
			t.Errorf("%+v: loss %g, want %g", c, got, want)
		}
		grad := floats(out[1])
		for i := range anchors {
			for k := range anchors[i] {
				const h = 1e-6
				old := anchors[i][k]
				anchors[i][k] = old + h
				up := plain()
				anchors[i][k] = old - h
				down := plain()
				anchors[i][k] = old
				if want := (up - down) / (2 * h); math.Abs(float64(grad[i*dim+k])-want) > 1e-4 {
					t.Errorf("%+v: d loss / d anchor[%d][%d] = %g, want %g", c, i, k, grad[i*dim+k], want)
				}
			}
		}
	}
}

// TestNoGradientIntoTheMemory: the loss against the memory must not see the batch through its own copy there.
func TestNoGradientIntoTheMemory(t *testing.T) {
	const size, batch, dim = 5, 4, 3
	rng := rand.New(rand.NewPCG(7, 8))
	rows := flat(unitRows(rng, batch, dim))
	labels := []int32{0, 0, 1, 1}
	exec := graph.MustNewExec(backend(t), func(in []*graph.Node) []*graph.Node {
		m := Memory{in[0], in[1], in[2], in[3]}
		after, slots := m.Enqueue(in[4], in[5])
		c := Contrastive{Positive: 1, Reduction: PerAnchor}
		through := c.Loss(in[4], in[5], after.Embeddings, after.Labels, after.Pairs(batch, slots))
		constant := c.Loss(in[4], in[5], in[6], after.Labels, after.Pairs(batch, slots))
		return append(graph.Gradient(through, in[4]), append(graph.Gradient(constant, in[4]), after.Embeddings)...)
	})
	empty := []any{tensors.FromFlatDataAndDimensions(make([]float32, size*dim), size, dim), make([]int32, size), int32(0), int32(0), rows, labels}
	out := exec.MustCall(append(empty, make2D(size, dim))...)
	out = exec.MustCall(append(empty, out[2])...)
	if diff := cmp.Diff(floats(out[1]), floats(out[0])); diff != "" {
		t.Error("gradient flows through the memory:", diff)
	}
}

func make2D(rows, cols int) *tensors.Tensor {
	return tensors.FromFlatDataAndDimensions(make([]float32, rows*cols), rows, cols)
}
