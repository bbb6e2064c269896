package cli

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var errBroken = errors.New("the disk is full")

// program has one command with a flag, one that fails and version.
func program() *Program {
	return &Program{Name: "prog", Usage: "prog does things\n", Commands: map[string]Func{
		"do": func(_ context.Context, args []string, stdout, stderr io.Writer) error {
			fs := Flags("prog do", stderr)
			out := fs.String("out", "", "file to write")
			if err := ParseOnly(fs, args); err != nil {
				return err
			}
			if err := Require(fs, "out"); err != nil {
				return err
			}
			_, err := io.WriteString(stdout, *out)
			return err
		},
		"break": func(context.Context, []string, io.Writer, io.Writer) error { return errBroken },
		"version": func(_ context.Context, _ []string, w io.Writer, _ io.Writer) error {
			_, err := io.WriteString(w, "v1")
			return err
		},
	}}
}

func TestExitCodes(t *testing.T) {
	for _, tt := range []struct {
		args           string
		code           int
		stdout, stderr string // parts of them; "" where nothing must be said
	}{
		{"do --out f", 0, "f", ""},
		{"help", 0, "prog does things", ""},
		{"--help", 0, "prog does things", ""},
		{"-h", 0, "prog does things", ""},
		{"do --help", 0, "", "file to write"},
		{"version", 0, "v1", ""},
		{"--version", 0, "v1", ""},
		{"break", 1, "", "prog: the disk is full\n"},
		{"", 2, "", "prog does things\nprog: no command: see `prog --help`\n"},
		{"fly", 2, "", "prog: unknown command \"fly\": see `prog --help`\n"},
		{"do --fast", 2, "", "prog: prog do: flag provided but not defined: -fast: see"},
		{"do --out f extra", 2, "", `"extra" is not a flag`},
		{"do", 2, "", "--out missing"},
	} {
		var stdout, stderr bytes.Buffer
		code := Execute(t.Context(), "prog", program().Run, strings.Fields(tt.args), &stdout, &stderr)
		if code != tt.code || !said(stdout.String(), tt.stdout) || !said(stderr.String(), tt.stderr) {
			t.Errorf("%q: exit code %d, want %d; said %q and %q", tt.args, code, tt.code, stdout.String(), stderr.String())
		}
	}
}

func said(text, want string) bool {
	return strings.Contains(text, want) && (text == "") == (want == "")
}

func TestParse(t *testing.T) {
	for _, tt := range []struct {
		args string
		rest []string
		set  string
		n    int
	}{
		{"", nil, "", 0},
		{"-n 1 a b", []string{"a", "b"}, "", 1},
		{"a -n 1 b --set x=1 c --set=y=2", []string{"a", "b", "c"}, "x=1 y=2", 1},
		{"-n 1 -- a -n 2", []string{"a", "-n", "2"}, "", 1},
		{"a -- -n 2", []string{"a", "-n", "2"}, "", 0},
		{"- -n 1", []string{"-"}, "", 1},
	} {
		fs := Flags("prog do", io.Discard)
		n := fs.Int("n", 0, "")
		var set Settings
		fs.Var(&set, "set", "")
		rest, err := Parse(fs, strings.Fields(tt.args))
		if err != nil {
			t.Errorf("%q: %v", tt.args, err)
		}
		if diff := cmp.Diff(tt.rest, rest); diff != "" || *n != tt.n || set.String() != tt.set {
			t.Errorf("%q: n %d, set %q, %s", tt.args, *n, set, diff)
		}
	}
	for args, want := range map[string]error{"-n": ErrUsage, "-n x": ErrUsage, "a -m": ErrUsage, "a -h": flag.ErrHelp} {
		fs := Flags("prog do", io.Discard)
		fs.Int("n", 0, "")
		if _, err := Parse(fs, strings.Fields(args)); !errors.Is(err, want) {
			t.Errorf("%q: %v, want %v", args, err, want)
		}
	}
}

func TestUsagefKeepsTheCause(t *testing.T) {
	err := Usagef("no: %w", errBroken)
	if err.Error() != "no: the disk is full" || !errors.Is(err, errBroken) || !errors.Is(err, ErrUsage) {
		t.Errorf("%v", err)
	}
	if errors.Is(errBroken, ErrUsage) {
		t.Error("any error is about the command line")
	}
}

func TestVersion(t *testing.T) {
	if Version() == "" {
		t.Error("no version")
	}
}

func TestInterruptedIsSaidPlainly(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var stderr bytes.Buffer
	code := Execute(ctx, "x", func(ctx context.Context, _ []string, _, _ io.Writer) error {
		return fmt.Errorf("embed photos: %w", ctx.Err())
	}, nil, io.Discard, &stderr)
	if code != 1 || stderr.String() != "x: interrupted\n" {
		t.Errorf("exit code %d, %q; want 1 and that it was interrupted", code, stderr.String())
	}
}
