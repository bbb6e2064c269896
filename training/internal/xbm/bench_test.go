package xbm

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/model"
	"github.com/gomlx/gomlx/ml/train/optimizer"
)

const (
	benchBatch    = 64
	benchDim      = 128
	benchFeatures = 1280
	benchClasses  = 500
)

// headStep trains a layer 1280→128 with Adam on a batch of 64, through a full memory of some size (0: none): what
// testdata/bench_pml.py does in pytorch-metric-learning.
type headStep struct {
	loss Loss
	size int
	exec *model.Exec
	x    *tensors.Tensor
	y    []int32
}

func newHeadStep(b *testing.B, loss Loss, size int) *headStep {
	b.Helper()
	rng := rand.New(rand.NewPCG(1, 2))
	normal := func(rows, cols int, scale float64) *tensors.Tensor {
		values := make([]float32, rows*cols)
		for i := range values {
			values[i] = float32(rng.NormFloat64() * scale)
		}
		return tensors.FromFlatDataAndDimensions(values, rows, cols)
	}
	s := &headStep{loss: loss, size: size, x: normal(benchBatch, benchFeatures, 1)}
	for i := range benchBatch {
		s.y = append(s.y, int32(i/4))
	}
	store := model.NewStore()
	store.VariableWithValue("/head", normal(benchFeatures, benchDim, 1/math.Sqrt(benchFeatures)))
	if size > 0 {
		labels := make([]int32, size)
		for i := range labels {
			labels[i] = rng.Int32N(benchClasses)
		}
		for name, value := range map[string]*tensors.Tensor{
			"embeddings": normal(size, benchDim, 1/math.Sqrt(benchDim)), "labels": tensors.FromValue(labels),
			"head": tensors.FromScalar(int32(0)), "filled": tensors.FromScalar(int32(size)),
		} {
			store.VariableWithValue("/memory/"+name, value).SetTrainable(false)
		}
	}
	optimizer.LearningRateVar(store.RootScope(), dtypes.Float32, 1e-3)
	optimizer.GetGlobalStepVar(store)
	adam := optimizer.Adam().Done()
	s.exec = model.MustNewExec(backend(b), store, func(scope *model.Scope, x, y *graph.Node) *graph.Node {
		g := x.Graph()
		embeddings := graph.L2Normalize(graph.MatMul(x, store.GetVariable("/head").NodeValue(g)), -1)
		l := s.memoryLoss(store, embeddings, y)
		adam.UpdateGraph(scope, g, l)
		return l
	})
	return s
}

func (s *headStep) memoryLoss(store *model.Store, embeddings, y *graph.Node) *graph.Node {
	g := embeddings.Graph()
	if s.size == 0 {
		return s.loss.Loss(embeddings, y, embeddings, y, OtherMembers(g, benchBatch))
	}
	var vars [4]*model.Variable
	for i, name := range []string{"embeddings", "labels", "head", "filled"} {
		vars[i] = store.GetVariable("/memory/" + name)
	}
	m := Memory{vars[0].NodeValue(g), vars[1].NodeValue(g), vars[2].NodeValue(g), vars[3].NodeValue(g)}
	m, slots := m.Enqueue(embeddings, y)
	for i, value := range []*graph.Node{m.Embeddings, m.Labels, m.Head, m.Filled} {
		vars[i].SetNodeValue(value)
	}
	return s.loss.Loss(embeddings, y, m.Embeddings, m.Labels, m.Pairs(benchBatch, slots))
}

func (s *headStep) run() {
	s.exec.MustCall(s.x, s.y)[0].MustFinalizeAll()
}

// BenchmarkMemoryStep measures a whole step of a head alone: forward, enqueue, loss, gradients, Adam.
func BenchmarkMemoryStep(b *testing.B) {
	for name, loss := range map[string]Loss{
		"contrastive":      Contrastive{Positive: 1, Negative: 0.1, Reduction: NonZero},
		"triplet hard":     Triplet{Margin: 0.2, Mining: BatchHard},
		"triplet semihard": Triplet{Margin: 0.2, Mining: SemiHard},
		"multi-similarity": MultiSimilarity{Alpha: 2, Beta: 50, Base: 0.5, Epsilon: 0.1},
	} {
		for _, size := range []int{0, 1024, 8192, 55000} {
			b.Run(fmt.Sprintf("%s memory %d", name, size), func(b *testing.B) {
				s := newHeadStep(b, loss, size)
				s.run()
				var steps []float64
				before := cpuTime(b)
				for b.Loop() {
					start := time.Now()
					s.run()
					steps = append(steps, time.Since(start).Seconds()*1e3)
				}
				slices.Sort(steps)
				b.ReportMetric(steps[len(steps)/2], "median-ms")
				b.ReportMetric((cpuTime(b)-before).Seconds()*1e3/float64(b.N), "cpu-ms/op")
			})
		}
	}
}

// cpuTime is what all threads have used: on a machine shared with others it tells more than the clock on the wall.
func cpuTime(b *testing.B) time.Duration {
	b.Helper()
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
