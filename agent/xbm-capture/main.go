// Command xbm-capture reads one camera with OpenCV for xbm-agent, which starts it, and starts it again. Nobody else needs
// to. `xbm-capture --version` prints what is compiled in.
package main

import (
	"context"
	"fmt"
	"io"
	"os"

	"xbmedge/agent/internal/capture"
	"xbmedge/camera/opencv"
	"xbmedge/internal/cli"
)

func main() { cli.Main("xbm-capture", run) }

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	switch {
	case len(args) == 1 && args[0] == "--version":
		_, err := fmt.Fprintln(stdout, opencv.Version())
		return err
	case len(args) > 0:
		return cli.Usagef("xbm-capture takes no arguments but --version; xbm-agent starts it")
	}
	return capture.Child(ctx, os.Stdin, stderr, opencv.Open)
}
