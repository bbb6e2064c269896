package engine

import (
	"math"
	"testing"

	"github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/model"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// vectors runs a graph of float32 vectors on the go backend.
func vectors(t *testing.T, build func(in []*node) []*node, inputs ...*tensors.Tensor) [][]float32 {
	t.Helper()
	e, err := Open("go")
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	exec, err := e.NewExec(model.NewStore(), func(_ *model.Scope, in []*node) []*node { return build(in) })
	if err != nil {
		t.Fatal(err)
	}
	var out [][]float32
	err = Try(func() {
		results, err := exec.Call(inputs...)
		if err != nil {
			panic(err)
		}
		for _, r := range results {
			out = append(out, tensors.MustCopyFlatData[float32](r))
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestRoundWeight(t *testing.T) {
	// Two outputs: steps of 1 and of 0.01; the third is switched off.
	w := tensors.FromFlatDataAndDimensions([]float32{127, 3.4, -3.6, -1.27, 0.004, 0.016, 0, 0, 0}, 3, 3)
	got := vectors(t, func(in []*node) []*node {
		y := RoundWeight(in[0])
		return []*node{y, graph.Gradient(graph.ReduceAllSum(graph.Square(y)), in[0])[0]}
	}, w)
	want := []float32{127, 3, -4, -1.27, 0, 0.02, 0, 0, 0}
	near := cmpopts.EquateApprox(0, 1e-5)
	if diff := cmp.Diff(want, got[0], near); diff != "" {
		t.Error(diff)
	}
	slope := make([]float32, len(want)) // as if it had not been rounded
	for i, v := range want {
		slope[i] = 2 * v
	}
	if diff := cmp.Diff(slope, got[1], near); diff != "" {
		t.Errorf("gradient: %s", diff)
	}
}

func TestRoundActivation(t *testing.T) {
	for _, c := range []struct {
		name           string
		low, high      float32
		y, want, slope []float32
	}{
		{"both sides", -1, 1.55, []float32{-3, -1, -0.004, 0.004, 0.016, 1.55, 9}, []float32{-1, -1, 0, 0, 0.02, 1.55, 1.55}, []float32{0, 1, 1, 1, 1, 1, 0}},
		{"above zero", 0.5, 2.55, []float32{-1, 0.244, 2.55, 3}, []float32{0, 0.24, 2.55, 2.55}, []float32{0, 1, 1, 0}},
		{"always zero", 0, 0, []float32{0}, []float32{0}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := vectors(t, func(in []*node) []*node {
				y := RoundActivation(in[0], in[1], in[2])
				return []*node{y, graph.Gradient(graph.ReduceAllSum(y), in[0])[0]}
			}, tensors.FromFlatDataAndDimensions(c.y, len(c.y)), tensors.FromScalar(c.low), tensors.FromScalar(c.high))
			if diff := cmp.Diff(c.want, got[0], cmpopts.EquateApprox(0, 1e-5)); diff != "" {
				t.Error(diff)
			}
			for i, s := range c.slope {
				edge := math.Abs(float64(c.y[i]-c.want[i])) < 1e-6 // there the derivative is anything from 0 to 1
				if !edge && got[1][i] != s {
					t.Errorf("at %g the gradient is %g, want %g", c.y[i], got[1][i], s)
				}
			}
		})
	}
}
