package optim

import (
	"encoding/json"
	"math"
	"os"
	"testing"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/gobackend"
	"github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/model"
)

// TestStepsEqualPyTorch takes three steps of a loss that has no stopping place, in two groups: a weight with decay and
// a bias without, at half the rate. testdata/vectors.py makes what PyTorch does.
func TestStepsEqualPyTorch(t *testing.T) {
	raw, err := os.ReadFile("testdata/vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var vectors map[string]struct{ Weight, Bias, Norms []float64 }
	if err := json.Unmarshal(raw, &vectors); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		cfg   Config
		decay float64
	}{
		"sgd":           {Config{Method: SGD, Momentum: 0.9}, 0.01},
		"sgd plain":     {Config{Method: SGD}, 0},
		"adam":          {Config{Method: Adam}, 0.01},
		"adamw":         {Config{Method: AdamW}, 0.01},
		"adamw clipped": {Config{Method: AdamW, ClipNorm: 0.5}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			want := vectors[name]
			weight, bias, norms := threeSteps(t, c.cfg, c.decay)
			for what, pair := range map[string][2][]float64{
				"weight": {weight, want.Weight}, "bias": {bias, want.Bias}, "norms": {norms, want.Norms},
			} {
				got, want := pair[0], pair[1]
				if len(got) != len(want) || len(want) == 0 {
					t.Fatalf("%s: %v, want %v", what, got, want)
				}
				for i := range want {
					if math.Abs(got[i]-want[i]) > 1e-5*max(1, math.Abs(want[i])) {
						t.Errorf("%s: %v, want %v", what, got, want)
						break
					}
				}
			}
		})
	}
}

// threeSteps returns the values after three steps and the norm of each gradient.
func threeSteps(t *testing.T, cfg Config, decay float64) (weight, bias, norms []float64) {
	t.Helper()
	backend, err := gobackend.New("ops_sequential")
	if err != nil {
		t.Fatal(err)
	}
	store := model.NewStore()
	w := store.VariableWithValue("/weight", []float32{0.5, -1, 2, 0.1}).SetTrainable(false)
	b := store.VariableWithValue("/bias", []float32{0.3, -0.2}).SetTrainable(false)
	o := New(cfg, store)
	exec := model.MustNewExec(backend, store, func(_ *model.Scope, step *graph.Node) *graph.Node {
		g := step.Graph()
		x, y := w.NodeValue(g), b.NodeValue(g)
		loss := graph.ReduceAllSum(graph.Mul(x, graph.Square(x)))
		loss = graph.Add(loss, graph.ReduceAllSum(graph.Mul(graph.Slice(x, graph.AxisRange(0, 2)), y)))
		loss = graph.Add(loss, graph.ReduceAllSum(graph.Square(y)))
		return o.Update(loss, graph.Const(g, float32(0.1)), step, []Param{{w, 1, decay}, {b, 0.5, 0}})
	})
	for step := range 3 {
		norms = append(norms, float64(tensors.ToScalar[float32](exec.MustCall(float32(step + 1))[0])))
	}
	return values(w), values(b), norms
}

func values(v *model.Variable) []float64 {
	var out []float64
	for _, x := range tensors.MustCopyFlatData[float32](v.MustValue()) {
		out = append(out, float64(x))
	}
	return out
}

// The average begins as the weights are and follows them, quickly at first: min(0.5, 2/11), min(0.5, 3/12), … stay.
func TestAverage(t *testing.T) {
	backend, err := gobackend.New("ops_sequential")
	if err != nil {
		t.Fatal(err)
	}
	store := model.NewStore()
	w := store.VariableWithValue("/w", []float32{8}).SetTrainable(false)
	o := New(Config{Method: SGD, EMA: 0.2}, store)
	exec := model.MustNewExec(backend, store, func(_ *model.Scope, step *graph.Node) *graph.Node {
		w.SetNodeValue(graph.Add(w.NodeValue(step.Graph()), graph.ScalarOne(step.Graph(), dtypes.Float32)))
		o.Average([]*model.Variable{w}, step)
		return step
	})
	want := 8.0
	for step := 1; step <= 3; step++ {
		exec.MustCall(float32(step))
		keep := min(0.2, float64(1+step)/float64(10+step))
		want = keep*want + (1-keep)*float64(8+step)
		if got := values(o.AverageOf(w))[0]; math.Abs(got-want) > 1e-6 {
			t.Errorf("after step %d: %g, want %g", step, got, want)
		}
	}
}
