package main

import (
	"log/slog"
	"path/filepath"
	"strings"
	"testing"

	"xbmedge/internal/conf"
	"xbmedge/internal/testdata"
	"xbmedge/internal/tflite"
	"xbmedge/training/internal/synth"
	"xbmedge/training/internal/trainer"
)

// TestRecipesRun trains two steps with every recipe in configs/, on small drawn pictures and the engine that is always
// there, and otherwise as it is written.
func TestRecipesRun(t *testing.T) {
	if testing.Short() {
		t.Skip("takes half a minute")
	}
	if err := tflite.Available(); err != nil {
		t.Skip(err)
	}
	dir := t.TempDir()
	o := synth.DefaultOptions(filepath.Join(dir, "data"))
	o.Products, o.Strangers, o.TrainViews, o.TestViews, o.Size, o.ClipSegments = 4, 1, 4, 1, 64, 0
	if err := synth.Generate(t.Context(), o, slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	all := []string{
		"backend=go", "precision=float32", "network.size=64", "network.deploy_size=0", "sampler.classes=2", "sampler.photos=2", "xbm.start_iter=1",
		"schedule.steps=2", "schedule.evaluate=2", "schedule.checkpoint=2", "data.cache=off",
	}
	taught := filepath.Join(dir, "train-demo.yaml") // the run of the first recipe
	for _, recipe := range []struct {
		file string
		set  []string
	}{
		{"train-demo.yaml", nil},
		{"train-folder.yaml", nil},
		{"train-mobile.yaml", []string{"network.weights=none", "network.freeze="}},
		{"train-sop-resnet50.yaml", []string{"network.weights=none", "data.holdout_classes=2"}},
		{"train-backbone.yaml", []string{"network.weights=none", "teacher.run=" + taught, "teacher.match=similarity"}},
		{"train-student.yaml", []string{"teacher.run=" + taught}},
	} {
		t.Run(recipe.file, func(t *testing.T) {
			d := trainer.Description{Data: o.Dir, Config: trainer.DefaultConfig()}
			file := filepath.Join(testdata.Root(t), "configs", recipe.file)
			if err := conf.Load(file, &d.Config, "", append(append([]string{}, all...), recipe.set...)...); err != nil {
				t.Fatal(err)
			}
			var steps counter
			result, err := trainer.Start(t.Context(), d, filepath.Join(dir, recipe.file), &steps, slog.New(slog.DiscardHandler))
			if err != nil {
				t.Fatal(err)
			}
			if result.Steps != 2 || steps != 2 {
				t.Errorf("%d steps, %d were told of", result.Steps, steps)
			}
		})
	}
	recipes, err := filepath.Glob(filepath.Join(testdata.Root(t), "configs", "train-*.yaml"))
	if err != nil || len(recipes) != 6 {
		t.Errorf("configs/ has %s: this test knows 6 of them (%v)", strings.Join(recipes, ", "), err)
	}
}

// counter counts the steps it is told of.
type counter int

func (c *counter) Prepare(string, float64)    {}
func (c *counter) Step(*trainer.StepReport)   { *c++ }
func (c *counter) Evaluated(*trainer.Metrics) {}
