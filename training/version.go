package main

import (
	"context"
	"fmt"
	"io"

	"xbmedge/internal/cli"
)

func versionCommand(_ context.Context, args []string, stdout, stderr io.Writer) error {
	if err := cli.ParseOnly(cli.Flags("xbm-train version", stderr), args); err != nil {
		return err
	}
	_, err := fmt.Fprintf(stdout, "xbm-train %s\n", cli.Version())
	return err
}
