// Package cli is what the command lines of all programs have in common: a program is a name and commands, each with
// flags of its own, and gets help, manual pages, completions for shells and a guess at a command that is misspelt. It is
// made of github.com/spf13/cobra, which nothing else imports.
//
// A program ends on SIGINT or SIGTERM by cancelling the command's context, and with exit code 0 after success and help,
// 1 after a failure and 2 after a wrong command line. An error may choose another: see Execute.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
)

// Func carries out one command. args are its arguments without flags. Results go to stdout, messages to stderr.
type Func func(ctx context.Context, args []string, stdout, stderr io.Writer) error

// Main runs the program on the process's own command line and ends the process. The first signal cancels the context,
// a second one ends the process at once.
func Main(name string, run Func) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	os.Exit(Execute(ctx, name, run, os.Args[1:], os.Stdout, os.Stderr))
}

// Execute runs the program, reports its error on stderr and returns the exit code. An error whose chain has one with a
// method ExitCode() int ends the program with that code, as long as it is from 1 to 255; so does, beware, an
// exec.ExitError, with the code of the program that was called.
func Execute(ctx context.Context, name string, run Func, args []string, stdout, stderr io.Writer) int {
	err := run(ctx, args, stdout, stderr)
	if err == nil {
		return 0
	}
	code := 1
	switch {
	case errors.Is(err, ErrUsage):
		code = 2
		fmt.Fprintf(stderr, "%s: %v: see `%s --help`\n", name, err, commandOf(err, name))
	case ctx.Err() != nil && errors.Is(err, context.Canceled):
		fmt.Fprintf(stderr, "%s: interrupted\n", name)
	default:
		fmt.Fprintf(stderr, "%s: %v\n", name, err)
	}
	var chosen interface{ ExitCode() int }
	if errors.As(err, &chosen) && chosen.ExitCode() >= 1 && chosen.ExitCode() <= 255 {
		code = chosen.ExitCode()
	}
	return code
}

// version is set by the linker in programs that are shipped: -X xbmedge/internal/cli.version=…
var version string

// Version is the one that a program was shipped as, or else that of the module it was built from: a release, a commit, or
// "(devel)" where neither is known.
func Version() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}
