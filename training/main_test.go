package main

import (
	"bytes"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"xbmedge/internal/cli"
)

// TestFlagsArrive: each command works on what its flags name, and says what it lacks.
func TestFlagsArrive(t *testing.T) {
	none := filepath.Join(t.TempDir(), "none")
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
		{"eval --run r", "eval needs --run and --data", true},
		{"eval --run r --data " + none, filepath.Join(none, "train"), false},
		{"eval --run r --queries q --gallery " + none, none, false},
		{"report --data d", "report needs --run", true},
		{"report --run " + none, none, false},
		{"clip --data d", "--out missing", true},
		{"clip --out o --data " + none, none, false},
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
