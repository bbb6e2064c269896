// Command xbm-stream reads one camera without OpenCV for xbm-agent, which starts it, and starts it again. Nobody else needs
// to. It is `xbm-agent capture` without all the rest of that program, in less than half the memory.
package main

import (
	"context"
	"io"
	"os"

	"xbmedge/agent/internal/capture"
	"xbmedge/internal/cli"
)

func main() { cli.Main("xbm-stream", run) }

func run(ctx context.Context, args []string, _, stderr io.Writer) error {
	if len(args) > 0 {
		return cli.Usagef("xbm-stream takes no arguments; xbm-agent starts it")
	}
	return capture.Child(ctx, os.Stdin, stderr, nil)
}
