package main

import (
	"context"
	"fmt"
	"io"

	"xbmedge/internal/cli"
	"xbmedge/internal/tflite"
)

func versionCommand(_ context.Context, args []string, stdout, stderr io.Writer) error {
	if err := cli.ParseOnly(cli.Flags("xbm-convert version", stderr), args); err != nil {
		return err
	}
	runtime := "without TensorFlow Lite"
	if tflite.Available() == nil {
		runtime = "with TensorFlow Lite " + tflite.Version()
	}
	_, err := fmt.Fprintf(stdout, "xbm-convert %s, %s\n", cli.Version(), runtime)
	return err
}
