package command

import (
	"context"
	"io"
	"os"

	"xbmedge/agent/internal/capture"
	"xbmedge/internal/cli"
)

// captureCommand is what the agent calls for each camera that needs no OpenCV where there is no xbm-stream, which is the
// same in less memory; xbm-capture is the same with OpenCV.
func captureCommand() cli.Command {
	return cli.Command{
		Name: "capture", Summary: "read one camera for the agent, which starts this", Hidden: true,
		Setup: func(*cli.Flags) cli.Func {
			return func(ctx context.Context, _ []string, _, stderr io.Writer) error {
				return capture.Child(ctx, os.Stdin, stderr, nil)
			}
		},
	}
}
