package retrieval

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"testing"

	"xbmedge/internal/npy"
)

// readVectors reads a set that testdata/accuracy.py made, scaled to length one.
func readVectors(t testing.TB, name string) (Embeddings, []int) {
	t.Helper()
	_, dim, data, err := npy.ReadMatrix(filepath.Join("testdata", name+".npy"))
	if err != nil {
		t.Fatal(err)
	}
	labels, err := npy.ReadLabels(filepath.Join("testdata", name+"_labels.npy"))
	if err != nil {
		t.Fatal(err)
	}
	e := Embeddings{Dim: dim, Data: data}
	for i := range e.Len() {
		Normalize(e.Row(i))
	}
	return e, labels
}

// part returns vectors from to last-1.
func part(e Embeddings, from, last int) Embeddings {
	return Embeddings{Dim: e.Dim, Data: e.Data[from*e.Dim : last*e.Dim]}
}

// calculated is what AccuracyCalculator gives.
type calculated[T any] struct {
	MAP          T `json:"mean_average_precision"`
	MAPAtR       T `json:"mean_average_precision_at_r"`
	RPrecision   T `json:"r_precision"`
	PrecisionAt1 T `json:"precision_at_1"`
}

// TestAgainstAccuracyCalculator compares with pytorch-metric-learning 2.9, on vectors from a generator and on a random
// projection of MobileNetV2's features of grocery photos.
func TestAgainstAccuracyCalculator(t *testing.T) {
	text, err := os.ReadFile("testdata/expected.json")
	if err != nil {
		t.Fatal(err)
	}
	var expected map[string]map[string]struct {
		calculated[float64]
		PerClass calculated[[]float64] `json:"per_class"`
	}
	if err := json.Unmarshal(text, &expected); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"random", "grocery"} {
		set, labels := readVectors(t, name)
		third := set.Len() / 3
		for protocol, evaluate := range map[string]func() (*Evaluation, error){
			"self": func() (*Evaluation, error) { return EvaluateLeaveOneOut(t.Context(), set, labels, Options{}) },
			"pair": func() (*Evaluation, error) {
				return Evaluate(t.Context(), part(set, 0, third), labels[:third], part(set, third, set.Len()), labels[third:], Options{})
			},
		} {
			t.Run(name+"/"+protocol, func(t *testing.T) {
				e, err := evaluate()
				if err != nil {
					t.Fatal(err)
				}
				want := expected[name][protocol]
				near(t, "mAP", e.MAP, want.MAP)
				near(t, "mAP@R", e.MAPAtR, want.MAPAtR)
				near(t, "R-precision", e.RPrecision, want.RPrecision)
				near(t, "precision@1", e.PrecisionAt1, want.PrecisionAt1)
				near(t, "recall@1", e.Recall[0], want.PrecisionAt1)
				if name == "random" && protocol == "self" && e.Lone != 2 {
					t.Errorf("%d lone queries, want the two made so", e.Lone)
				}
				if len(e.Classes) < 20 || len(e.Classes) != len(want.PerClass.MAP) {
					t.Fatalf("%d classes, want %d", len(e.Classes), len(want.PerClass.MAP))
				}
				for i, c := range e.Classes {
					near(t, fmt.Sprintf("class %d mAP", c.Label), c.MAP, want.PerClass.MAP[i])
					near(t, fmt.Sprintf("class %d mAP@R", c.Label), c.MAPAtR, want.PerClass.MAPAtR[i])
					near(t, fmt.Sprintf("class %d R-precision", c.Label), c.RPrecision, want.PerClass.RPrecision[i])
					near(t, fmt.Sprintf("class %d precision@1", c.Label), c.PrecisionAt1, want.PerClass.PrecisionAt1[i])
				}
			})
		}
	}
}

func near(t *testing.T, what string, got, want float64) {
	t.Helper()
	if !(math.Abs(got-want) <= 1e-9) {
		t.Errorf("%s is %.10f, want %.10f", what, got, want)
	}
}

// TestAgainstThePaper compares re-ranked distances with testdata/rerank.py.
func TestAgainstThePaper(t *testing.T) {
	set, labels := readVectors(t, "random")
	queries, gallery := part(set, 0, 50), part(set, 50, 150)
	for _, r := range []Rerank{{20, 6, 0.3}, {5, 1, 0}, {7, 3, 0.85}} {
		name := fmt.Sprintf("rerank_%d_%d_%g", r.K1, r.K2, r.Lambda)
		_, _, want, err := npy.ReadMatrix(filepath.Join("testdata", name+".npy"))
		if err != nil {
			t.Fatal(err)
		}
		s := search{queries, gallery, labels[:50], labels[50:150], false}
		re, err := newReranker(t.Context(), r, s, nil)
		if err != nil {
			t.Fatal(err)
		}
		err = forEachQuery(t.Context(), queries, newPanels(gallery), nil, func() func(int, []float32) {
			rescore := re.scorer()
			return func(q int, scores []float32) {
				rescore(q, scores)
				for g, score := range scores {
					if d := math.Abs(float64(-score - want[q*100+g])); d > 1e-5 {
						t.Errorf("%s: query %d, gallery %d: %g, want %g", name, q, g, -score, want[q*100+g])
					}
				}
			}
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}
