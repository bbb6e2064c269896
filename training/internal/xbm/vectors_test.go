package xbm

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"testing"

	"github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
)

// vector is a case of testdata/vectors.json, which testdata/vectors.py explains.
type vector struct {
	Name, Kind      string
	Parameters      json.RawMessage
	References      [][]float32
	ReferenceLabels []int32 `json:"reference_labels"`
	Memory          int
	Proxies         [][]float32
	ProxyGradient   [][]float32 `json:"proxy_gradient"`
	Steps           []struct {
		Embeddings [][]float32
		Labels     []int32
		Loss       float64
		Gradient   [][]float32
	}
}

func readVectors(t *testing.T) []vector {
	t.Helper()
	data, err := os.ReadFile("testdata/vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var vectors []vector
	if err := json.Unmarshal(data, &vectors); err != nil {
		t.Fatal(err)
	}
	return vectors
}

// loss reads a case's loss; JSON keys are the fields' names, case ignored.
func (v *vector) loss(t *testing.T) Loss {
	t.Helper()
	read := func(into any) {
		if err := json.Unmarshal(v.Parameters, into); err != nil {
			t.Fatal(err)
		}
	}
	switch v.Kind {
	case "contrastive":
		var c Contrastive
		read(&c)
		return c
	case "triplet":
		var c Triplet
		read(&c)
		return c
	case "multi_similarity":
		var c MultiSimilarity
		read(&c)
		return c
	}
	t.Fatalf("no loss is called %q", v.Kind)
	return nil
}

// near reports whether two numbers are equal to 1e-5, relative to those above 1.
func near(a, b float64) bool { return math.Abs(a-b) <= 1e-5*max(1, math.Abs(b)) }

func compare(t *testing.T, what string, got []float32, want [][]float32) {
	t.Helper()
	dim := len(want[0])
	for i := range want {
		for k, w := range want[i] {
			if g := got[i*dim+k]; !near(float64(g), float64(w)) {
				t.Errorf("%s[%d][%d] = %g, want %g", what, i, k, g, w)
			}
		}
	}
}

// TestLossesEqualPyTorchMetricLearning replays its losses and gradients, through the L2 norm that precedes them.
func TestLossesEqualPyTorchMetricLearning(t *testing.T) {
	b := backend(t)
	contributing := map[string]int{}
	for _, v := range readVectors(t) {
		if v.Kind == "proxy_anchor" {
			continue
		}
		t.Run(fmt.Sprintf("%s %s %s", v.Kind, v.Parameters, v.Name), func(t *testing.T) {
			loss := v.loss(t)
			batch, dim := len(v.Steps[0].Labels), len(v.Steps[0].Embeddings[0])
			size := max(v.Memory, 1)
			exec := graph.MustNewExec(b, func(in []*graph.Node) []*graph.Node {
				g, x, labels := in[0].Graph(), graph.L2Normalize(in[0], -1), in[1]
				m := Memory{in[2], in[3], in[4], in[5]}
				refs, refLabels, allowed := x, labels, OtherMembers(g, batch)
				switch {
				case v.References != nil:
					refs = graph.L2Normalize(graph.Const(g, v.References), -1)
					refLabels = graph.Const(g, v.ReferenceLabels)
					allowed = graph.BroadcastToDims(graph.Const(g, true), batch, len(v.References))
				case v.Memory > 0:
					var slots *graph.Node
					m, slots = m.Enqueue(x, labels)
					refs, refLabels, allowed = m.Embeddings, m.Labels, m.Pairs(batch, slots)
				}
				l := loss.Loss(x, labels, refs, refLabels, allowed)
				return append([]*graph.Node{l, m.Embeddings, m.Labels, m.Head, m.Filled}, graph.Gradient(l, in[0])...)
			})
			state := []*tensors.Tensor{
				make2D(size, dim), tensors.FromFlatDataAndDimensions(make([]int32, size), size),
				tensors.FromScalar(int32(0)), tensors.FromScalar(int32(0)),
			}
			for i, s := range v.Steps {
				out := exec.MustCall(s.Embeddings, s.Labels, state[0], state[1], state[2], state[3])
				if got := float64(floats(out[0])[0]); !near(got, s.Loss) {
					t.Errorf("step %d: loss %g, want %g", i, got, s.Loss)
				}
				compare(t, fmt.Sprintf("step %d: gradient", i), floats(out[5]), s.Gradient)
				state = out[1:5]
				if s.Loss > 0.01 {
					contributing[v.Kind]++
				}
			}
		})
	}
	for _, kind := range []string{"contrastive", "triplet", "multi_similarity"} {
		if contributing[kind] < 10 {
			t.Errorf("only %d steps of %s have a loss", contributing[kind], kind)
		}
	}
}

func TestProxyAnchorEqualsPyTorchMetricLearning(t *testing.T) {
	b := backend(t)
	checked := 0
	for _, v := range readVectors(t) {
		if v.Kind != "proxy_anchor" {
			continue
		}
		checked++
		t.Run(fmt.Sprintf("%s %s", v.Parameters, v.Name), func(t *testing.T) {
			var p ProxyAnchor
			if err := json.Unmarshal(v.Parameters, &p); err != nil {
				t.Fatal(err)
			}
			exec := graph.MustNewExec(b, func(in []*graph.Node) []*graph.Node {
				l := p.Loss(graph.L2Normalize(in[0], -1), in[1], in[2])
				return append([]*graph.Node{l}, graph.Gradient(l, in[0], in[2])...)
			})
			s := v.Steps[0]
			out := exec.MustCall(s.Embeddings, s.Labels, v.Proxies)
			if got := float64(floats(out[0])[0]); !near(got, s.Loss) {
				t.Errorf("loss %g, want %g", got, s.Loss)
			}
			compare(t, "gradient", floats(out[1]), s.Gradient)
			compare(t, "proxies' gradient", floats(out[2]), v.ProxyGradient)
		})
	}
	if checked == 0 {
		t.Error("vectors.json holds no proxy_anchor")
	}
}
