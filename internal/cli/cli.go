// Package cli is what the command lines of all programs have in common: a program is a name, a usage text and commands,
// each with flags of its own. It ends on SIGINT or SIGTERM by cancelling the command's context, and with exit code 0
// after success and help, 1 after a failure and 2 after a wrong command line.
package cli

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"
)

// Func carries out one command line, without the program's name. Results go to stdout, messages to stderr.
type Func func(ctx context.Context, args []string, stdout, stderr io.Writer) error

// Main runs the program on the process's own command line and ends the process. The first signal cancels the context,
// a second one ends the process at once.
func Main(name string, run Func) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	os.Exit(Execute(ctx, name, run, os.Args[1:], os.Stdout, os.Stderr))
}

// Execute runs the program, reports its error on stderr and returns the exit code.
func Execute(ctx context.Context, name string, run Func, args []string, stdout, stderr io.Writer) int {
	err := run(ctx, args, stdout, stderr)
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
		return 0
	case errors.Is(err, ErrUsage):
		fmt.Fprintf(stderr, "%s: %v: see `%s --help`\n", name, err, name)
		return 2
	case ctx.Err() != nil && errors.Is(err, context.Canceled):
		fmt.Fprintf(stderr, "%s: interrupted\n", name)
		return 1
	default:
		fmt.Fprintf(stderr, "%s: %v\n", name, err)
		return 1
	}
}

// ErrUsage is what errors about the command line itself are, for errors.Is; Usagef makes them.
var ErrUsage = errors.New("wrong command line")

// usageError is an ErrUsage that says only what is wrong: Execute adds where to look.
type usageError struct{ error }

func (e usageError) Unwrap() []error { return []error{e.error, ErrUsage} }

// Usagef is fmt.Errorf for an error that is an ErrUsage too.
func Usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// Program is a program of several commands.
type Program struct {
	Name     string // of the executable
	Usage    string // what help prints
	Commands map[string]Func
}

// Main is the function Main for this program.
func (p *Program) Main() { Main(p.Name, p.Run) }

// Run carries out the command that the first argument names. Help is always there, and --version is short for the
// command version.
func (p *Program) Run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	if len(args) == 0 {
		fmt.Fprint(stderr, p.Usage)
		return Usagef("no command")
	}
	name := args[0]
	switch name {
	case "help", "-h", "-help", "--help":
		_, err := io.WriteString(stdout, p.Usage)
		return err
	case "-version", "--version":
		name = "version"
	}
	command, ok := p.Commands[name]
	if !ok {
		return Usagef("unknown command %q", name)
	}
	return command(ctx, args[1:], stdout, stderr)
}

// Flags returns an empty set of flags for a command ("xbm-train fit") that neither exits nor panics.
func Flags(command string, stderr io.Writer) *flag.FlagSet {
	fs := flag.NewFlagSet(command, flag.ContinueOnError)
	fs.SetOutput(stderr)
	return fs
}

// Parse reads a command's flags, wherever they stand between its other arguments, and returns those; after "--" nothing
// is a flag. Its error is flag.ErrHelp, once the flags have been listed, or an ErrUsage.
func Parse(fs *flag.FlagSet, args []string) (rest []string, err error) {
	for {
		if err := fs.Parse(args); errors.Is(err, flag.ErrHelp) {
			return nil, err
		} else if err != nil {
			return nil, Usagef("%s: %w", fs.Name(), err)
		}
		if fs.NArg() == 0 {
			return rest, nil
		}
		if n := len(args) - fs.NArg(); n > 0 && args[n-1] == "--" {
			return append(rest, fs.Args()...), nil
		}
		rest = append(rest, fs.Arg(0))
		args = fs.Args()[1:]
	}
}

// ParseOnly is Parse for a command that has no arguments but flags.
func ParseOnly(fs *flag.FlagSet, args []string) error {
	rest, err := Parse(fs, args)
	if err == nil && len(rest) > 0 {
		return Usagef("%s: %q is not a flag", fs.Name(), rest[0])
	}
	return err
}

// Require refuses parsed flags of which one of these is empty.
func Require(fs *flag.FlagSet, names ...string) error {
	var missing []string
	for _, name := range names {
		if fs.Lookup(name).Value.String() == "" {
			missing = append(missing, "--"+name)
		}
	}
	if len(missing) > 0 {
		return Usagef("%s: %s missing", fs.Name(), strings.Join(missing, " and "))
	}
	return nil
}

// Version is that of the module the program was built from: a release, a commit, or "(devel)" where neither is known.
func Version() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}
