// Command xbm-train teaches a network to tell a person's things apart and measures how well it does.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

const usage = `xbm-train trains an image embedding with cross-batch memory.

  xbm-train synth --out DIR             make a data set of drawn products and a clip to try things with
  xbm-train clip --data DIR --out DIR   make a clip of photos to try an agent on
  xbm-train fit --data DIR --out RUN    train; go on with a stopped run: fit --resume RUN
  xbm-train eval --run RUN --data DIR   measure retrieval on photos the run has not seen
  xbm-train version                     print the version

xbm-train <command> -h lists a command's flags.
`

// errUsage is wrapped by errors about the command line itself.
var errUsage = errors.New("usage")

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
		return
	case errors.Is(err, errUsage):
		fmt.Fprintln(os.Stderr, "xbm-train:", err)
		os.Exit(2)
	default:
		fmt.Fprintln(os.Stderr, "xbm-train:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	if len(args) == 0 {
		return fmt.Errorf("%w: name a command\n\n%s", errUsage, usage)
	}
	switch command, rest := args[0], args[1:]; command {
	case "synth":
		return synthCommand(ctx, rest, stdout, stderr)
	case "clip":
		return clipCommand(ctx, rest, stdout, stderr)
	case "fit":
		return fitCommand(ctx, rest, stdout, stderr)
	case "eval":
		return evalCommand(ctx, rest, stdout, stderr)
	case "version", "--version":
		return versionCommand(stdout)
	case "help", "-h", "--help":
		_, err := io.WriteString(stdout, usage)
		return err
	default:
		return fmt.Errorf("%w: no command %q\n\n%s", errUsage, command, usage)
	}
}
