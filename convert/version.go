package main

import (
	"fmt"
	"io"
	"runtime/debug"

	"xbmedge/internal/tflite"
)

func versionCommand(out io.Writer) error {
	version := "unknown"
	if info, ok := debug.ReadBuildInfo(); ok {
		version = info.Main.Version
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				version += " " + s.Value
			}
		}
	}
	runtime := "without TensorFlow Lite"
	if tflite.Available() == nil {
		runtime = "with TensorFlow Lite " + tflite.Version()
	}
	_, err := fmt.Fprintf(out, "xbm-convert %s, %s\n", version, runtime)
	return err
}
