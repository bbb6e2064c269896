package trainer

import (
	"math/rand/v2"
	"testing"

	"xbmedge/internal/nn"
	"xbmedge/training/internal/engine"
)

func BenchmarkStep(b *testing.B) {
	for _, c := range []struct {
		name string
		net  *nn.Network
		size int // of the memory
	}{
		{"smallcnn 64", nn.SmallCNN(64, 32, 64, 128, 256).WithEmbedding(128), 1024},
		{"mobilenetv2 tail from 15 memory 0", tail(b, "features.15.add"), 0},
		{"mobilenetv2 tail from 15 memory 55000", tail(b, "features.15.add"), 55000},
		{"mobilenetv2 tail from 16 memory 0", tail(b, "features.16.add"), 0},
		{"mobilenetv2 tail from 16 memory 55000", tail(b, "features.16.add"), 55000},
		{"mobilenetv2 head memory 1024", tail(b, "pool"), 1024},
		{"mobilenetv2 head memory 55000", tail(b, "pool"), 55000},
	} {
		b.Run(c.name, func(b *testing.B) {
			cfg := DefaultConfig()
			cfg.XBM = MemoryConfig{Size: c.size, Weight: 1}
			rng := rand.New(rand.NewPCG(1, 1))
			w, err := c.net.Init(rng)
			if err != nil {
				b.Fatal(err)
			}
			l := openLearner(b, c.net, w, &cfg)
			const batch = 64
			x := make([]float32, batch*c.net.Input.Size())
			for i := range x {
				x[i] = rng.Float32()
			}
			labels := make([]int32, batch)
			for i := range labels {
				labels[i] = int32(i / 4)
			}
			if _, err := l.step(x, labels, nil, 1e-3); err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				if _, err := l.step(x, labels, nil, 1e-3); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(batch*b.N)/b.Elapsed().Seconds(), "images/s")
		})
	}
}

func tail(tb testing.TB, freeze string) *nn.Network {
	tb.Helper()
	_, tail, err := nn.MobileNetV2(1, 224).WithEmbedding(128).Split(freeze)
	if err != nil {
		tb.Fatal(err)
	}
	return tail
}

func openLearner(tb testing.TB, net *nn.Network, w nn.Weights, cfg *Config) *learner {
	tb.Helper()
	e, err := engine.Open(cfg.Backend)
	if err != nil {
		tb.Fatal(err)
	}
	l, err := newLearner(e, net, w, 4, nil, nil, cfg)
	if err != nil {
		tb.Fatal(err)
	}
	return l
}
