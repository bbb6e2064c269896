// Command xbm-convert turns a trained run into a TensorFlow Lite model for the board and measures what that costs.
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

const usage = `xbm-convert turns a trained network into a TensorFlow Lite model for the board.

  xbm-convert quantize --run RUN --calib DIR --out FILE   write an int8 model, calibrated on photos
  xbm-convert inspect FILE                                list a model's tensors and operators
  xbm-convert version                                     print the version

xbm-convert <command> -h lists a command's flags.
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
		fmt.Fprintln(os.Stderr, "xbm-convert:", err)
		os.Exit(2)
	default:
		fmt.Fprintln(os.Stderr, "xbm-convert:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	if len(args) == 0 {
		return fmt.Errorf("%w: name a command\n\n%s", errUsage, usage)
	}
	switch command, rest := args[0], args[1:]; command {
	case "quantize":
		return quantizeCommand(ctx, rest, stdout, stderr)
	case "inspect":
		return inspectCommand(rest, stdout, stderr)
	case "version", "--version":
		return versionCommand(stdout)
	case "help", "-h", "--help":
		_, err := io.WriteString(stdout, usage)
		return err
	default:
		return fmt.Errorf("%w: no command %q\n\n%s", errUsage, command, usage)
	}
}
