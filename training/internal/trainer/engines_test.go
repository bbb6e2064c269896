package trainer

import (
	"math"
	"math/rand/v2"
	"testing"

	"xbmedge/internal/nn"
	"xbmedge/internal/retrieval"
	"xbmedge/training/internal/engine"
)

// TestEnginesAgree trains the same steps on every engine that is there: one graph, written in three ways, on one or two
// devices. With memory, since it must see what every device makes, and with an old model.
func TestEnginesAgree(t *testing.T) {
	net := &nn.Network{Name: "small", Input: nn.Shape{H: 16, W: 16, C: 3}, Layers: []nn.Layer{
		{Name: "stem", Kind: nn.Conv, Inputs: []int{nn.Input}, Channels: 8, Kernel: 3, Stride: 2, Activation: nn.ReLU6, BatchNorm: true},
		{Name: "depthwise", Kind: nn.Depthwise, Inputs: []int{0}, Channels: 8, Kernel: 3, Stride: 1, Activation: nn.ReLU6, BatchNorm: true},
		{Name: "project", Kind: nn.Conv, Inputs: []int{1}, Channels: 8, Kernel: 1, Stride: 1, BatchNorm: true},
		{Name: "add", Kind: nn.Add, Inputs: []int{0, 2}, Channels: 8},
		{Name: "down", Kind: nn.Depthwise, Inputs: []int{3}, Channels: 8, Kernel: 3, Stride: 2, BatchNorm: true},
		{Name: "pool", Kind: nn.GlobalAvg, Inputs: []int{4}, Channels: 8},
	}}
	net = net.WithEmbedding(16)
	rng := rand.New(rand.NewPCG(5, 6))
	w, err := net.Init(rng)
	if err != nil {
		t.Fatal(err)
	}
	const batch, steps = 8, 4
	x := make([]float32, batch*net.Input.Size())
	for i := range x {
		x[i] = 2*rng.Float32() - 1
	}
	labels := []int32{0, 0, 1, 1, 2, 2, 3, 3}
	old := &references{labels: []int32{0, 1, 2, 3, 3}}
	old.Dim = 16
	for range old.labels {
		v := make([]float32, old.Dim)
		for k := range v {
			v[k] = rng.Float32() - 0.5
		}
		retrieval.Normalize(v)
		old.Data = append(old.Data, v...)
	}
	round := false
	train := func(t *testing.T, name, precision string) ([]float64, nn.Weights) {
		t.Helper()
		cfg := DefaultConfig()
		cfg.Optimizer.Name = "sgd" // Adam makes a whole step of what is noise around zero
		cfg.Backend, cfg.Precision, cfg.XBM = name, precision, MemoryConfig{Size: 20, StartIter: 1, Weight: 1}
		cfg.Network.Round, cfg.Network.RoundStart = round, 1
		cfg.Compatible = CompatibleConfig{Model: "old", Weight: 0.5}
		e, err := engine.Open(name)
		if err != nil {
			t.Skip(err)
		}
		defer e.Close()
		l, err := newLearner(e, net, w, 4, nil, old, &cfg)
		if err != nil {
			t.Fatal(err)
		}
		losses := make([]float64, steps)
		for i := range losses {
			o, err := l.step(x, labels, nil, 0.02)
			if err != nil {
				t.Fatal(err)
			}
			losses[i] = o.loss
		}
		if got := l.filled(); got != 20 {
			t.Errorf("the memory holds %d, want 20", got)
		}
		after, err := l.weights()
		if err != nil {
			t.Fatal(err)
		}
		return losses, after
	}
	want, weights := train(t, "go", precisionFull)
	if want[steps-1] >= want[1] {
		t.Errorf("nothing was learned: losses %v", want)
	}
	for _, c := range []struct {
		engine, precision string
		tolerance         float64
	}{
		{"xla:cpu", precisionFull, 1e-4}, {"xla:cpu×2", precisionFull, 1e-4}, {"xla:cpu", precisionMixed, 3e-2},
	} {
		t.Run(c.engine+" "+c.precision, func(t *testing.T) {
			got, after := train(t, c.engine, c.precision)
			for i := range got {
				if math.Abs(got[i]-want[i]) > c.tolerance {
					t.Errorf("losses %v, go has %v", got, want)
					break
				}
			}
			name, worst := "embedding.weight", 0.0
			for i, v := range after[name].Data {
				worst = max(worst, math.Abs(float64(v-weights[name].Data[i])))
			}
			if worst > c.tolerance || (worst > 1e-4) != (c.precision == precisionMixed) {
				t.Errorf("%s is off by %g", name, worst)
			}
		})
	}
	// With rounding, what is noise elsewhere may come to a whole step of int8.
	round = true
	rounded, _ := train(t, "go", precisionFull)
	t.Run("xla:cpu rounded", func(t *testing.T) {
		got, _ := train(t, "xla:cpu", precisionFull)
		for i := range got {
			if math.Abs(got[i]-rounded[i]) > 2e-2 {
				t.Errorf("losses %v, go has %v", got, rounded)
				break
			}
		}
		if math.Abs(rounded[steps-1]-want[steps-1]) < 1e-4 {
			t.Errorf("losses %v, the same without rounding", rounded)
		}
	})
}
