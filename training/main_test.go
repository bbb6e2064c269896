package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"xbmedge/internal/cli"
)

// TestFlagsArrive: each command works on what its flags name, and says what it lacks.
func TestFlagsArrive(t *testing.T) {
	none := filepath.Join(t.TempDir(), "none")
	t.Setenv("XDG_CACHE_HOME", t.TempDir()) // holds no weights
	for _, tt := range []struct {
		args, want string
		usage      bool
	}{
		{"fit", "fit needs --data and --out, or --resume", true},
		{"fit --resume r --data d", "leave the other flags away", true},
		{"fit --resume " + none + " --set a=b", none, false},
		{"fit --resume " + none, none, false},
		{"fit --data d --out o --config " + none, none, false},
		{"fit --data d --out o --set nothing.such=1", "nothing.such", false},
		{"fit --data d --out o --weights torchvision-resnet50", "xbm-train weights get torchvision-resnet50", false},
		{"eval --run r", "eval needs --run and --data", true},
		{"eval --run r --data " + none, filepath.Join(none, "train"), false},
		{"eval --run r --queries q --gallery " + none, none, false},
		{"report --data d", "report needs --run", true},
		{"report --run " + none, none, false},
		{"clip --data d", "--out missing", true},
		{"clip --out o --data " + none, none, false},
		{"data info", "--data missing", true},
		{"data info --data " + none, none, false},
		{"clap", "(did you mean clip?)", true},
	} {
		var stdout, stderr bytes.Buffer
		err := newProgram().Run(t.Context(), strings.Fields(tt.args), &stdout, &stderr)
		if err == nil || !strings.Contains(err.Error(), tt.want) || errors.Is(err, cli.ErrUsage) != tt.usage {
			t.Errorf("%q: %v; want %q, a usage error: %v", tt.args, err, tt.want, tt.usage)
		}
	}
}

func TestVersion(t *testing.T) {
	var stdout, stderr bytes.Buffer
	if err := newProgram().Run(t.Context(), []string{"--version"}, &stdout, &stderr); err != nil || !strings.HasPrefix(stdout.String(), "xbm-train ") {
		t.Errorf("%v, %q", err, stdout.String())
	}
}

func TestDataInfo(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	out := filepath.Join(t.TempDir(), "info.json")
	var stdout, stderr bytes.Buffer
	for _, args := range []string{
		"synth --out " + dir + " --products 4 --train-views 3 --test-views 2 --strangers 0 --clip-segments 0",
		"data info --decode --classes --data " + dir + " --json " + out,
	} {
		stdout.Reset()
		if err := newProgram().Run(t.Context(), strings.Fields(args), &stdout, &stderr); err != nil {
			t.Fatalf("%s: %v", args, err)
		}
	}
	for _, want := range []string{"train  12      4        3 to 3", "test   8       4        2 to 2", "train"} {
		if !strings.Contains(stdout.String(), want) {
			t.Errorf("no %q in\n%s", want, stdout.String())
		}
	}
	if strings.Contains(stdout.String(), "\n- ") {
		t.Errorf("problems where there are none:\n%s", stdout.String())
	}
	var s struct{ Train, Test struct{ Photos int } }
	raw, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(raw, &s); err != nil || s.Train.Photos != 12 || s.Test.Photos != 8 {
		t.Errorf("%s holds %s (%v)", out, raw, err)
	}
}
