package main

import (
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"xbmedge/internal/conf"
	"xbmedge/internal/testdata"
	"xbmedge/training/internal/trainer"
)

// TestShippedConfigurations loads what configs/ holds for this program; train.yaml must show every default as it is.
func TestShippedConfigurations(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(testdata.Root(t), "configs", "train*.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if len(files) < 3 {
		t.Fatalf("only %v in configs", files)
	}
	for _, file := range files {
		cfg := trainer.DefaultConfig()
		set := []string{"network.weights=w.safetensors"}
		if filepath.Base(file) == "train-backbone.yaml" {
			set = []string{"teacher.weights=w.safetensors"}
		}
		if filepath.Base(file) == "train.yaml" {
			set = nil
			// Emptied first, so that only what the file holds is there.
			cfg = trainer.Config{}
		}
		if err := conf.Load(file, &cfg, "", set...); err != nil {
			t.Errorf("%s: %v", file, err)
		}
		if set == nil {
			if diff := cmp.Diff(trainer.DefaultConfig(), cfg); diff != "" {
				t.Errorf("%s differs from the defaults: %s", file, diff)
			}
		}
	}
}
