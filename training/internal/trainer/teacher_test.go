package trainer

import (
	"errors"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
)

// TestStudentLearnsFromTeacher: without a single label a student of half the width comes close to a trained run, on
// pixels and on a frozen trunk's outputs alike.
func TestStudentLearnsFromTeacher(t *testing.T) {
	needTFLite(t)
	log := slog.New(slog.DiscardHandler)
	data, run := drawings(t, 6, 12), filepath.Join(t.TempDir(), "teacher")
	cfg := smallConfig()
	cfg.Schedule = ScheduleConfig{Steps: 60, Evaluate: 60, Checkpoint: 60}
	taught, err := Start(t.Context(), Description{Data: data, Config: cfg}, run, &silent{}, log)
	if err != nil {
		t.Fatal(err)
	}
	cfg.Seed = 2
	cfg.Network.Channels, cfg.Network.Views = []int{4, 8}, 6
	cfg.Loss.Weight, cfg.XBM.Size = 0, 0
	cfg.Teacher.Run = run
	cfg.Optimizer.LearningRate, cfg.Optimizer.EMA = 5e-3, 0.9
	for _, match := range []string{matchFeatures, matchSimilarity} {
		t.Run(match, func(t *testing.T) {
			cfg := cfg
			cfg.Teacher.Match = match
			cfg.Schedule = ScheduleConfig{Steps: 80, Evaluate: 20, Checkpoint: 40}
			p := &silent{}
			out := filepath.Join(t.TempDir(), "student")
			result, err := Start(t.Context(), Description{Data: data, Config: cfg}, out, p, log)
			if err != nil {
				t.Fatal(err)
			}
			first, last := p.lines[0].Loss, p.lines[len(p.lines)-1].Loss
			t.Logf("loss %.3f to %.3f; teacher %.3f, student %.3f mAP", first, last, taught.Best.MAP, result.Best.MAP)
			if last > first*0.8 {
				t.Errorf("the loss went from %.3f to %.3f only", first, last)
			}
			if result.Best.MAP < 0.8*taught.Best.MAP {
				t.Errorf("the student's mAP is %.3f, its teacher's %.3f", result.Best.MAP, taught.Best.MAP)
			}
		})
	}
}

func TestTeacherRefused(t *testing.T) {
	needTFLite(t)
	log := slog.New(slog.DiscardHandler)
	data, run := drawings(t, 4, 4), filepath.Join(t.TempDir(), "teacher")
	cfg := smallConfig()
	cfg.Schedule = ScheduleConfig{Steps: 2, Evaluate: 2, Checkpoint: 2}
	if _, err := Start(t.Context(), Description{Data: data, Config: cfg}, run, &silent{}, log); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		spoil func(c *Config)
		want  string
	}{
		"other dimensions": {func(c *Config) { c.Network.Embedding = 9 }, "the teacher's embeddings have 8 values, the network's 9"},
		"no views":         {func(c *Config) { c.Network.Views = 0 }, "network.views is 0"},
		"two teachers":     {func(c *Config) { c.Teacher.Weights = "w" }, "take one of them"},
		"no run":           {func(c *Config) { c.Teacher.Run = t.TempDir() }, "holds no finished run"},
		"no weights":       {func(c *Config) { c.Teacher.Run, c.Teacher.Weights = "", "/none" }, "/none"},
		"nothing to learn": {func(c *Config) { c.Teacher.Run, c.Loss.Weight = "", 0 }, "nothing would be learned"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := cfg
			cfg.Network.Views, cfg.Teacher.Run = 2, run
			c.spoil(&cfg)
			out := filepath.Join(t.TempDir(), "student")
			_, err := Start(t.Context(), Description{Data: data, Config: cfg}, out, &silent{}, log)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %q", err, c.want)
			}
		})
	}
}

// TestBrokenWeightsAreNotKept: a checkpoint of them would take the place of one that a run can go on from.
func TestBrokenWeightsAreNotKept(t *testing.T) {
	needTFLite(t)
	for name, schedule := range map[string]ScheduleConfig{
		"checkpoint": {Steps: 9, Evaluate: 9, Checkpoint: 1},
		"evaluation": {Steps: 9, Evaluate: 1, Checkpoint: 9},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := smallConfig()
			cfg.Optimizer.Name, cfg.Optimizer.Warmup, cfg.Optimizer.LearningRate, cfg.Schedule = "sgd", 0, 1e300, schedule
			run := filepath.Join(t.TempDir(), "run")
			_, err := Start(t.Context(), Description{Data: drawings(t, 4, 4), Config: cfg}, run, &silent{}, slog.New(slog.DiscardHandler))
			if err == nil || !errors.Is(err, errDiverged) || !strings.Contains(err.Error(), "start anew with another --out and a lower optimizer.learning_rate") {
				t.Errorf("error %v", err)
			}
			kept, err := filepath.Glob(filepath.Join(run, checkpoints, "*"))
			if err != nil || len(kept) > 0 {
				t.Errorf("kept %v, %v", kept, err)
			}
		})
	}
}

// TestDivergedRunSaysWhereAndGoesOn: the checkpoint from before stays, and a smaller rate saves the run.
func TestDivergedRunSaysWhereAndGoesOn(t *testing.T) {
	needTFLite(t)
	log := slog.New(slog.DiscardHandler)
	data, run := drawings(t, 6, 8), filepath.Join(t.TempDir(), "run")
	cfg := smallConfig()
	cfg.Optimizer.Name, cfg.Optimizer.Decay, cfg.Optimizer.Warmup = "sgd", decayStep, 0
	cfg.Optimizer.LearningRate, cfg.Optimizer.DecaySteps, cfg.Optimizer.DecayFactor = 1e25, []int{}, 1
	cfg.Optimizer.DecaySteps = []int{0}
	cfg.Optimizer.DecayFactor = 1e-27 // harmless …
	cfg.Network.BatchNorm = bnFrozen
	cfg.Schedule.Checkpoint = 2
	stopped := &silent{}
	_, err := Start(t.Context(), Description{Data: data, Config: cfg}, run, stopped, log)
	if err != nil {
		t.Fatal(err)
	}
	// … and then not, in the steps that are added.
	change := func(c *Config) error {
		c.Schedule.Steps, c.Optimizer.DecayFactor = 20, 1
		return nil
	}
	_, err = Resume(t.Context(), run, "", change, &silent{}, log)
	if err == nil || !strings.Contains(err.Error(), "training has diverged") || !strings.Contains(err.Error(), "checkpoint of step 12 is kept") ||
		!strings.Contains(err.Error(), "--resume "+run+" --set optimizer.learning_rate=") {
		t.Fatalf("error %v", err)
	}
	change = func(c *Config) error {
		c.Optimizer.LearningRate = 1e-3
		return nil
	}
	if _, err := Resume(t.Context(), run, "", change, &silent{}, log); err != nil {
		t.Errorf("with a smaller rate: %v", err)
	}
	change = func(c *Config) error {
		c.Network.Size = 32
		return nil
	}
	if _, err := Resume(t.Context(), run, "", change, &silent{}, log); err == nil || !strings.Contains(err.Error(), "start anew for the rest") {
		t.Errorf("another network: %v", err)
	}
}
