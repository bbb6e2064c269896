package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var errBroken = errors.New("the disk is full")

// codeError is an error with an exit code of its own.
type codeError int

func (e codeError) Error() string { return "the answer is no" }

func (e codeError) ExitCode() int { return int(e) }

// failing is a command that ends with err.
func failing(name string, err error) Command {
	return Command{Name: name, Summary: "fail", Setup: func(*Flags) Func {
		return func(context.Context, []string, io.Writer, io.Writer) error { return err }
	}}
}

// printing is a command that prints what text returns of its arguments; declare may add flags.
func printing(name, args string, declare func(f *Flags), text func(args []string) string) Command {
	return Command{Name: name, Args: args, Summary: "print " + name, Setup: func(f *Flags) Func {
		declare(f)
		return func(_ context.Context, args []string, stdout, _ io.Writer) error {
			_, err := io.WriteString(stdout, text(args))
			return err
		}
	}}
}

func none(*Flags) {}

// testProgram has commands of every kind.
func testProgram() *Program {
	var out, kind string
	do := printing("do", "", func(f *Flags) {
		f.StringVar(&out, "out", "", "`FILE` to write")
		f.StringVar(&kind, "kind", "plain", "what `KIND` of *it*")
		f.Int("depth", 0, "how deep")
		f.Bool("fast", false, "be fast")
		f.String("folder", "", "`FOLDER` to look in")
		f.Require("out")
		f.OneOf("kind", "plain", "fancy")
	}, func([]string) string { return out + kind })
	do.Long = "Does it.\n\nThen `stops`."
	do.Examples = "prog do --out 'f'"
	secret := printing("secret", "", none, func([]string) string { return "found" })
	secret.Hidden = true
	words := func(args []string) string { return strings.Join(args, "+") }
	return &Program{Name: "prog", Summary: "do things", Long: "It does them well.", Commands: []Command{
		do,
		secret,
		failing("break", errBroken),
		failing("refuse", fmt.Errorf("asked: %w", codeError(3))),
		failing("overflow", codeError(256)),
		failing("zero", codeError(0)),
		failing("mistake", Usagef("mistaken")),
		{Name: "list", Summary: "keep a list", Commands: []Command{
			printing("add", "WORD...", none, words),
			printing("remove", "FILE...", none, words),
		}},
		printing("version", "", none, func([]string) string { return "v1" }),
	}}
}

func TestExitCodes(t *testing.T) {
	for _, tt := range []struct {
		args           string
		code           int
		stdout, stderr string // parts of them; "" where nothing must be said
	}{
		{"do --out f", 0, "fplain", ""},
		{"do --out=f --kind fancy", 0, "ffancy", ""},
		{"list add a b", 0, "a+b", ""},
		{"help", 0, "prog - do things\n\nIt does them well.", ""},
		{"--help", 0, "prog - do things", ""},
		{"-h", 0, "prog - do things", ""},
		{"do --help", 0, "FILE to write", ""},
		{"do -h", 0, "FILE to write", ""},
		{"help do", 0, "FILE to write", ""},
		{"help help", 0, "print this help", ""},
		{"help list add", 0, "prog list add - print add", ""},
		{"version", 0, "v1", ""},
		{"--version", 0, "v1", ""},
		{"secret", 0, "found", ""},
		{"break", 1, "", "prog: the disk is full\n"},
		{"refuse", 3, "", "prog: asked: the answer is no\n"},
		{"overflow", 1, "", "prog: the answer is no\n"},
		{"zero", 1, "", "prog: the answer is no\n"},
		{"", 2, "", "\nprog: no command: see `prog --help`\n"},
		{"fly", 2, "", "prog: unknown command \"fly\": see `prog --help`\n"},
		{"help fly", 2, "", "prog: unknown command \"fly\": see `prog --help`\n"},
		{"help list fly", 2, "", "prog: prog list: unknown command \"fly\": see `prog list --help`\n"},
		{"braek", 2, "", "prog: unknown command \"braek\" (did you mean break?): see `prog --help`\n"},
		{"secre", 2, "", "prog: unknown command \"secre\": see `prog --help`\n"},
		{"list", 2, "", "prog: prog list: want add, or remove: see `prog list --help`\n"},
		{"list remvoe x", 2, "", "prog: prog list: unknown command \"remvoe\" (did you mean remove?): see `prog list --help`\n"},
		{"do --quick", 2, "", "prog: prog do: unknown flag: --quick: see `prog do --help`\n"},
		{"do --depth x", 2, "", "--depth"},
		{"do --depth", 2, "", "--depth"},
		{"do --out f extra", 2, "", `prog do: "extra" is not a flag: see`},
		{"do", 2, "", "prog do: --out missing: see"},
		{"do --out=", 2, "", "prog do: --out missing: see"},
		{"do --out f --kind odd", 2, "", `prog do: --kind is "odd", want plain, or fancy: see`},
		{"mistake", 2, "", "prog: mistaken: see `prog mistake --help`\n"},
	} {
		var stdout, stderr bytes.Buffer
		code := Execute(t.Context(), "prog", testProgram().Run, strings.Fields(tt.args), &stdout, &stderr)
		if code != tt.code || !said(stdout.String(), tt.stdout) || !said(stderr.String(), tt.stderr) {
			t.Errorf("%q: exit code %d, want %d; said %q and %q", tt.args, code, tt.code, stdout.String(), stderr.String())
		}
	}
}

func said(text, want string) bool {
	return strings.Contains(text, want) && (text == "") == (want == "")
}

func TestArgumentsAndFlags(t *testing.T) {
	for _, tt := range []struct {
		args string
		rest []string
		set  string
		n    int
	}{
		{"", nil, "", 0},
		{"--n 1 a b", []string{"a", "b"}, "", 1},
		{"a --n 1 b --set x=1 c --set=y=2", []string{"a", "b", "c"}, "x=1 y=2", 1},
		{"--n 1 -- a --n 2", []string{"a", "--n", "2"}, "", 1},
		{"a -- --n 2", []string{"a", "--n", "2"}, "", 0},
		{"- --n 1", []string{"-"}, "", 1},
	} {
		n, set, rest, err := runSingle(t, tt.args)
		if err != nil {
			t.Errorf("%q: %v", tt.args, err)
		}
		if diff := cmp.Diff(tt.rest, rest); diff != "" || n != tt.n || set != tt.set {
			t.Errorf("%q: n %d, set %q, %s", tt.args, n, set, diff)
		}
	}
	for args, want := range map[string]error{"--n": ErrUsage, "--n x": ErrUsage, "a --m": ErrUsage, "a -m": ErrUsage, "a -h": nil} {
		if _, _, _, err := runSingle(t, args); !errors.Is(err, want) {
			t.Errorf("%q: %v, want %v", args, err, want)
		}
	}
}

// runSingle runs a program of one command with the flags --n and --set and returns what these were given.
func runSingle(t *testing.T, args string) (n int, set string, rest []string, err error) {
	t.Helper()
	run := Single(Command{Name: "prog", Args: "[WORD...]", Summary: "do one thing", Setup: func(f *Flags) Func {
		number := f.Int("n", 0, "")
		var settings Settings
		f.Var(&settings, "set", "")
		return func(_ context.Context, args []string, _, _ io.Writer) error {
			n, set = *number, settings.String()
			rest = append(rest, args...)
			return nil
		}
	}})
	err = run(t.Context(), strings.Fields(args), io.Discard, io.Discard)
	return n, set, rest, err
}

func TestRequireNamesAllThatIsMissing(t *testing.T) {
	run := Single(printing("prog", "", func(f *Flags) {
		f.String("in", "", "")
		f.String("out", "", "")
		f.StringSlice("parts", nil, "")
		f.Require("in", "out")
		f.Require("parts")
	}, func([]string) string { return "" }))
	err := run(t.Context(), []string{"--out", ""}, io.Discard, io.Discard)
	if err == nil || err.Error() != "prog: --in and --out and --parts missing" || !errors.Is(err, ErrUsage) {
		t.Errorf("error %v", err)
	}
	if err := run(t.Context(), []string{"--out", "o", "--in=i", "--parts", "a,b"}, io.Discard, io.Discard); err != nil {
		t.Error(err)
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
