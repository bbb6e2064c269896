// Command xbm-convert turns a trained run into a TensorFlow Lite model for the board and measures what that costs.
package main

import "xbmedge/internal/cli"

func main() { newProgram().Main() }

func newProgram() *cli.Program {
	return &cli.Program{
		Name:    "xbm-convert",
		Summary: "turn a trained network into a TensorFlow Lite model for the board",
		Commands: []cli.Command{
			quantizeCommand(), inspectCommand(),
			bundleCommand(), keygenCommand(), signCommand(), verifyCommand(), unpackCommand(), diffCommand(),
			versionCommand(),
		},
	}
}
