package main

import (
	"context"
	"fmt"
	"io"

	"xbmedge/internal/cli"
)

func versionCommand() cli.Command {
	return cli.Command{
		Name: "version", Summary: "print the version",
		Setup: func(*cli.Flags) cli.Func { return version },
	}
}

func version(_ context.Context, _ []string, stdout, _ io.Writer) error {
	_, err := fmt.Fprintf(stdout, "xbm-train %s\n", cli.Version())
	return err
}
