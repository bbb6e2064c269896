package trainer

import (
	"log/slog"
	"math"
	"math/rand/v2"
	"path/filepath"
	"testing"

	"github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/model"

	"xbmedge/internal/nn"
	"xbmedge/training/internal/engine"
)

// outputs runs a network, with running statistics or those of the batch.
func outputs(t *testing.T, net *nn.Network, w nn.Weights, x []float32, training bool) []float32 {
	t.Helper()
	e, err := engine.Open("go")
	if err != nil {
		t.Fatal(err)
	}
	exec, err := e.NewExec(model.NewStore(), func(_ *model.Scope, in []*graph.Node) []*graph.Node {
		f := engine.Forward{
			Training: training, Observe: func(string, *graph.Node, *graph.Node) {},
			Param: func(name string) *graph.Node {
				return graph.Const(in[0].Graph(), tensors.FromFlatDataAndDimensions(w[name].Data, w[name].Shape...))
			},
		}
		return []*graph.Node{f.Build(net, in[0])}
	})
	if err != nil {
		t.Fatal(err)
	}
	n := len(x) / net.Input.Size()
	out, err := exec.Call(tensors.FromFlatDataAndDimensions(x, n, net.Input.H, net.Input.W, net.Input.C))
	if err != nil {
		t.Fatal(err)
	}
	return tensors.MustCopyFlatData[float32](out[0])
}

// TestCalibratedNormsChangeNothing: a network whose batch norms had been folded computes the same with norms that have
// been measured, whether they use what was measured or, on the same inputs, the batch's statistics.
func TestCalibratedNormsChangeNothing(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	plain := nn.MobileNetV2(0.35, 32)
	w, err := plain.Init(rng)
	if err != nil {
		t.Fatal(err)
	}
	for i := range plain.Layers {
		if b := w[plain.Layers[i].Name+".bias"]; b != nil {
			for c := range b.Data {
				b.Data[c] = float32(rng.NormFloat64())
			}
		}
	}
	x := make([]float32, 8*plain.Input.Size())
	for i := range x {
		x[i] = 2*rng.Float32() - 1
	}
	want := outputs(t, plain, w, x, false)
	net, identity := plain.WithIdentityNorms(w)
	if !identityNorms(net, identity) {
		t.Error("identity norms are not seen to be that")
	}
	given := false
	measured, err := calibrated(t.Context(), net, identity, func() ([]float32, int, error) {
		if given {
			return nil, 0, nil
		}
		given = true
		return x, 8, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if identityNorms(net, measured) {
		t.Error("nothing was measured")
	}
	for name, got := range map[string][]float32{
		"identity": outputs(t, net, identity, x, false), "measured": outputs(t, net, measured, x, false),
		"of the batch": outputs(t, net, measured, x, true),
	} {
		worst := 0.0
		for i := range want {
			worst = max(worst, math.Abs(float64(got[i]-want[i])))
		}
		if worst > 1e-3 {
			t.Errorf("%s: off by %g", name, worst)
		}
	}
	worst := 0.0
	for i, v := range outputs(t, net, identity, x, true) {
		worst = max(worst, math.Abs(float64(v-want[i])))
	}
	if worst < 0.1 {
		t.Error("without measuring it would be the same: this test shows nothing")
	}
}

// TestStudentBeginsWithItsTeachersChannels: before it has learned anything its similarities are like its teacher's.
func TestStudentBeginsWithItsTeachersChannels(t *testing.T) {
	needTFLite(t)
	log := slog.New(slog.DiscardHandler)
	data, run := drawings(t, 6, 12), filepath.Join(t.TempDir(), "teacher")
	cfg := smallConfig()
	cfg.Network.Channels = []int{16, 32}
	cfg.Schedule = ScheduleConfig{Steps: 60, Evaluate: 60, Checkpoint: 60}
	if _, err := Start(t.Context(), Description{Data: data, Config: cfg}, run, &silent{}, log); err != nil {
		t.Fatal(err)
	}
	cfg.Network.Channels, cfg.Network.Views = []int{12, 28}, 1
	cfg.Teacher.Run, cfg.Optimizer.LearningRate, cfg.Loss.Weight, cfg.XBM.Size = run, 1e-9, 0, 0
	cfg.Teacher.Match = matchSimilarity
	cfg.Schedule = ScheduleConfig{Steps: 8, Evaluate: 8, Checkpoint: 8}
	loss := func(weights string) float64 {
		cfg.Network.Weights = weights
		p := &silent{}
		if _, err := Start(t.Context(), Description{Data: data, Config: cfg}, filepath.Join(t.TempDir(), "student"), p, log); err != nil {
			t.Fatal(err)
		}
		return p.lines[0].Loss
	}
	selected, fresh := loss(teacherWeights), loss(noWeights)
	t.Logf("off its teacher by %.4f with the teacher's channels, %.4f without", selected, fresh)
	if selected > 0.7*fresh {
		t.Errorf("off its teacher by %.4f with the teacher's channels, %.4f without", selected, fresh)
	}
}
