// Command xbm-convert turns a trained run into a TensorFlow Lite model for the board and measures what that costs.
package main

import "xbmedge/internal/cli"

const usage = `xbm-convert turns a trained network into a TensorFlow Lite model for the board.

  xbm-convert quantize --run RUN --calib DIR --out FILE   write an int8 model, calibrated on photos
  xbm-convert inspect FILE                                list a model's tensors and operators
  xbm-convert version                                     print the version

xbm-convert <command> -h lists a command's flags.
`

func main() { newProgram().Main() }

func newProgram() *cli.Program {
	return &cli.Program{Name: "xbm-convert", Usage: usage, Commands: map[string]cli.Func{
		"quantize": quantizeCommand,
		"inspect":  inspectCommand,
		"version":  versionCommand,
	}}
}
