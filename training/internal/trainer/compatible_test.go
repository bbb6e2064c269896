package trainer

import (
	"crypto/sha256"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"xbmedge/internal/atomicfile"
	"xbmedge/internal/bundle"
	"xbmedge/internal/bundle/bundletest"
)

// oldRun trains a model on the data, for others to be compatible with, and returns its float .tflite file.
func oldRun(t *testing.T, data string, cfg Config) string {
	t.Helper()
	run := filepath.Join(t.TempDir(), "old")
	if _, err := Start(t.Context(), Description{Data: data, Config: cfg}, run, &silent{}, slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	file, err := ReadModel(run)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(run, "old.tflite")
	if err := atomicfile.WriteBytes(path, 0o600, file); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestCompatibleFindsInTheOldGallery: a network of another width that began elsewhere finds its way among the old
// model's embeddings, which one that was trained alone does not.
func TestCompatibleFindsInTheOldGallery(t *testing.T) {
	needTFLite(t)
	data, cfg := drawings(t, 6, 12), smallConfig()
	cfg.Schedule = ScheduleConfig{Steps: 60, Evaluate: 60, Checkpoint: 60}
	old := oldRun(t, data, cfg)
	cfg.Seed, cfg.Network.Channels, cfg.Compatible.Model = 2, []int{12, 24}, old
	cfg.Schedule.Steps, cfg.Optimizer.LearningRate = 120, 5e-3
	for _, c := range []struct {
		name        string
		weight      float64
		lowest, top float64 // mAP in the old gallery
		holdout     float64
	}{
		{name: "compatible", weight: 4, lowest: 0.8, top: 1},
		{name: "on its own", weight: 1e-9, lowest: 0, top: 0.5},
		{name: "whole classes held back", weight: 4, lowest: 0.5, top: 1, holdout: 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := cfg
			cfg.Compatible.Weight, cfg.Data.HoldoutClasses = c.weight, c.holdout
			run := filepath.Join(t.TempDir(), "new")
			result, err := Start(t.Context(), Description{Data: data, Config: cfg}, run, &silent{}, slog.New(slog.DiscardHandler))
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("mAP %.3f, in the old gallery %.3f", result.Best.MAP, result.Best.CompatibleMAP)
			if got := result.Best.CompatibleMAP; got < c.lowest || got > c.top {
				t.Errorf("mAP in the old gallery is %.3f, want %g to %g", got, c.lowest, c.top)
			}
			e, err := folder(run).environment()
			if err != nil || e.Compatible == nil || e.Compatible.Dim != 8 || len(e.Compatible.SHA256) != 64 {
				t.Errorf("the environment says of the old model %+v, %v", e.Compatible, err)
			}
		})
	}
}

func TestCompatibleRunResumes(t *testing.T) {
	needTFLite(t)
	data, cfg := drawings(t, 6, 8), smallConfig()
	cfg.Compatible.Model = oldRun(t, data, cfg)
	cfg.Seed = 2
	d := Description{Data: data, Config: cfg}
	whole, stopped := wholeAndStopped(t, d)
	log := slog.New(slog.DiscardHandler)
	model, err := os.ReadFile(cfg.Compatible.Model)
	if err != nil {
		t.Fatal(err)
	}
	// Another model in its place is noticed.
	other := cfg
	other.Compatible.Model, other.Seed = "", 3
	replacement, err := os.ReadFile(oldRun(t, data, other))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(cfg.Compatible.Model, replacement, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Resume(t.Context(), stopped, "", nil, &silent{}, log); err == nil || !strings.Contains(err.Error(), "compatible.model") {
		t.Errorf("with another old model: %v", err)
	}
	if err := os.WriteFile(cfg.Compatible.Model, model, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Resume(t.Context(), stopped, "", nil, &silent{}, log); err != nil {
		t.Fatal(err)
	}
	want, got := readState(t, whole), readState(t, stopped)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error("the state differs after the interruption")
	}
	for _, name := range slices.Sorted(maps.Keys(want)) {
		if strings.HasPrefix(name, compatibleScope) {
			t.Errorf("%s fills the checkpoints", name)
		}
	}
}

// A bundle names the space of its model's embeddings, and the run remembers it for the bundle of the new model.
func TestCompatibleWithABundle(t *testing.T) {
	data, cfg := drawings(t, 4, 4), smallConfig()
	cfg.Schedule = ScheduleConfig{Steps: 2, Evaluate: 2, Checkpoint: 2}
	const space = "00112233445566778899aabbccddeeff"
	model := bundletest.Model(t, 3)
	cfg.Compatible.Model = bundletest.Write(t, model, nil, func(m *bundle.Manifest, _ *bundle.Parts) {
		m.SpaceID, cfg.Network.Embedding = space, m.Dim
	})
	run := filepath.Join(t.TempDir(), "new")
	if _, err := Start(t.Context(), Description{Data: data, Config: cfg}, run, &silent{}, slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	e, err := folder(run).environment()
	if err != nil || e.Compatible == nil || e.Compatible.SpaceID != space || e.Compatible.SHA256 != fmt.Sprintf("%x", sha256.Sum256(model)) {
		t.Errorf("the environment says of the old model %+v, %v", e.Compatible, err)
	}
}

func TestCompatibleRefused(t *testing.T) {
	needTFLite(t)
	data, cfg := drawings(t, 4, 4), smallConfig()
	cfg.Schedule = ScheduleConfig{Steps: 2, Evaluate: 2, Checkpoint: 2}
	cfg.Compatible.Model = oldRun(t, data, cfg)
	text := filepath.Join(t.TempDir(), "text.tflite")
	if err := os.WriteFile(text, []byte("no model"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		spoil func(c *Config)
		want  string
	}{
		"other dimensions": {func(c *Config) { c.Network.Embedding = 9 }, "of 8 values, the network of 9: set network.embedding to 8"},
		"no file":          {func(c *Config) { c.Compatible.Model = "/none.tflite" }, "name a bundle, a .tflite file or the folder of a run"},
		"no run":           {func(c *Config) { c.Compatible.Model = t.TempDir() }, "holds no finished run"},
		"no model":         {func(c *Config) { c.Compatible.Model = text }, "text.tflite"},
		"proxies":          {func(c *Config) { c.Loss.Name, c.XBM.Size = lossProxyAnchor, 0 }, "take another"},
		"no weight":        {func(c *Config) { c.Compatible.Weight = 0 }, "compatible.weight is 0"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := cfg
			c.spoil(&cfg)
			run := filepath.Join(t.TempDir(), "new")
			_, err := Start(t.Context(), Description{Data: data, Config: cfg}, run, &silent{}, slog.New(slog.DiscardHandler))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %q", err, c.want)
			}
		})
	}
}

func TestHalves(t *testing.T) {
	asking, among := halves([]int{0, 0, 1, 0, 1, 2}, []int{0, 1, 2, 3, 4, 5})
	if diff := cmp.Diff([][]int{{1, 4}, {0, 2, 3, 5}}, [][]int{asking, among}); diff != "" {
		t.Error(diff)
	}
}
