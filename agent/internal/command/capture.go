package command

import (
	"context"
	"io"
	"log/slog"
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
				log := slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
				return capture.Child(ctx, os.Stdin, nil, log)
			}
		},
	}
}
