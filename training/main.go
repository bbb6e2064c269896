// Command xbm-train teaches a network to tell a person's things apart and measures how well it does.
package main

import "xbmedge/internal/cli"

const usage = `xbm-train trains an image embedding with cross-batch memory.

  xbm-train synth --out DIR             make a data set of drawn products and a clip to try things with
  xbm-train clip --data DIR --out DIR   make a clip of photos to try an agent on
  xbm-train fit --data DIR --out RUN    train; go on with a stopped run: fit --resume RUN
  xbm-train eval --run RUN --data DIR   measure retrieval on photos the run has not seen
  xbm-train version                     print the version

xbm-train <command> -h lists a command's flags.
`

func main() { newProgram().Main() }

func newProgram() *cli.Program {
	return &cli.Program{Name: "xbm-train", Usage: usage, Commands: map[string]cli.Func{
		"synth":   synthCommand,
		"clip":    clipCommand,
		"fit":     fitCommand,
		"eval":    evalCommand,
		"version": versionCommand,
	}}
}
