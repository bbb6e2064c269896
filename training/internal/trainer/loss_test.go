package trainer

import (
	"log/slog"
	"path/filepath"
	"strings"
	"testing"

	"xbmedge/training/internal/engine"
)

// TestEveryLossLearns trains a little with each of them, and so with each kind of state in the store.
func TestEveryLossLearns(t *testing.T) {
	needTFLite(t)
	data := drawings(t, 6, 12)
	for name, change := range map[string]func(c *Config){
		lossContrastive:                func(*Config) {},
		lossTriplet:                    func(*Config) {},
		lossTriplet + " semihard":      func(c *Config) { c.Loss.Triplet.Mining = "semihard" },
		lossMultiSimilarity:            func(*Config) {},
		lossProxyAnchor:                func(c *Config) { c.XBM.Size = 0 },
		lossContrastive + " gem, neck": func(c *Config) { c.Network.Pooling, c.Network.Neck = "gem", 12 },
		lossContrastive + " conv head": func(c *Config) { c.Network.Head = headConv },
	} {
		t.Run(name, func(t *testing.T) {
			c := smallConfig()
			c.Loss.Name, _, _ = strings.Cut(name, " ")
			c.Schedule = ScheduleConfig{Steps: 50, Evaluate: 25, Checkpoint: 25}
			change(&c)
			result, err := Start(t.Context(), Description{Data: data, Config: c}, filepath.Join(t.TempDir(), "run"), &silent{}, slog.New(slog.DiscardHandler))
			if err != nil {
				t.Fatal(err)
			}
			if result.Best.MAP < 0.7 { // chance is about 0.2
				t.Errorf("mAP %.3f", result.Best.MAP)
			}
		})
	}
}

func TestMemoryThatHasNoRoom(t *testing.T) {
	c := smallConfig()
	c.XBM.Size = 1<<24 - 1
	c.Sampler.Classes = 1 << 16
	p, err := newParts(&c)
	if err != nil {
		t.Fatal(err)
	}
	e, err := engine.Open("go")
	if err != nil {
		t.Fatal(err)
	}
	if _, known := e.FreeMemory(); !known {
		t.Skip("this machine does not say what memory is free")
	}
	if _, err = newLearner(e, p.tail, p.weights, 4, nil, nil, &c); err == nil || !strings.Contains(err.Error(), "lower xbm.size") {
		t.Errorf("error %v", err)
	}
	c.XBM.Size = 0
	c.Sampler = SamplerConfig{Classes: 1 << 8, Photos: 1 << 20}
	if _, err = newLearner(e, p.tail, p.weights, 4, nil, nil, &c); err == nil || !strings.Contains(err.Error(), "or sampler.classes") {
		t.Errorf("a batch without memory: error %v", err)
	}
}

func TestNothingThatLearns(t *testing.T) {
	c := smallConfig()
	c.Network.Embedding, c.Optimizer.Rates = 0, RatesConfig{Head: 1}
	p, err := newParts(&c)
	if err != nil {
		t.Fatal(err)
	}
	e, err := engine.Open("go")
	if err != nil {
		t.Fatal(err)
	}
	if _, err = newLearner(e, p.tail, p.weights, 4, nil, nil, &c); err == nil || !strings.Contains(err.Error(), "set optimizer.rates") {
		t.Errorf("error %v", err)
	}
}
