package main

import (
	"fmt"
	"io"
	"runtime/debug"
)

func versionCommand(out io.Writer) error {
	info, ok := debug.ReadBuildInfo()
	version := "unknown"
	if ok {
		version = info.Main.Version
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				version += " " + s.Value
			}
		}
	}
	_, err := fmt.Fprintf(out, "xbm-train %s\n", version)
	return err
}
