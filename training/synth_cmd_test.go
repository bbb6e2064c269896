package main

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"xbmedge/internal/cli"
)

func TestSynthCommand(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "set")
	args := []string{
		"synth", "--out", dir, "--products", "2", "--strangers", "1", "--train-views", "2", "--test-views", "1", "--size", "32",
		"--clip-segments", "2", "--segment-frames", "4",
	}
	var stdout, stderr bytes.Buffer
	if err := newProgram().Run(t.Context(), args, &stdout, &stderr); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"train", "test", "strangers", "products.json", "clip.mjpeg", "clip.json"} {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			t.Error(err)
		}
	}
	if !strings.Contains(stdout.String(), "2 products × 2 photos") {
		t.Errorf("said %q", stdout.String())
	}
	if err := newProgram().Run(t.Context(), args, &stdout, &stderr); err == nil || errors.Is(err, cli.ErrUsage) {
		t.Errorf("second call into the same folder: %v", err)
	}
}

func TestSynthCommandUsage(t *testing.T) {
	for name, args := range map[string][]string{
		"no folder":    nil,
		"unknown flag": {"--out", "x", "--colour", "red"},
		"argument":     {"--out", "x", "y"},
		"one product":  {"--out", "x", "--products", "1"},
	} {
		var stdout, stderr bytes.Buffer
		if err := newProgram().Run(t.Context(), append([]string{"synth"}, args...), &stdout, &stderr); !errors.Is(err, cli.ErrUsage) {
			t.Errorf("%s: %v, want a usage error", name, err)
		}
	}
}
