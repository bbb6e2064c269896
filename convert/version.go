package main

import (
	"context"
	"fmt"
	"io"

	"xbmedge/internal/cli"
	"xbmedge/internal/tflite"
)

func versionCommand() cli.Command {
	return cli.Command{
		Name: "version", Summary: "print the version",
		Setup: func(*cli.Flags) cli.Func { return version },
	}
}

func version(_ context.Context, _ []string, stdout, _ io.Writer) error {
	runtime := "without TensorFlow Lite"
	if tflite.Available() == nil {
		runtime = "with TensorFlow Lite " + tflite.Version()
	}
	_, err := fmt.Fprintf(stdout, "xbm-convert %s, %s\n", cli.Version(), runtime)
	return err
}
