// Command xbm-train teaches a network to tell a person's things apart and measures how well it does.
package main

import "xbmedge/internal/cli"

func main() { newProgram().Main() }

func newProgram() *cli.Program {
	return &cli.Program{
		Name:    "xbm-train",
		Summary: "train an image embedding with cross-batch memory",
		Long: `Photos (JPEG or PNG) lie in one folder a class, or are named in a list. A trained run is measured with
eval, on photos it has not seen, and turned into a model with xbm-convert.`,
		Commands: []cli.Command{
			synthCommand(), clipCommand(), dataCommand(), weightsCommand(), fitCommand(), evalCommand(), reportCommand(), predictCommand(),
			exportCommand(), enginesCommand(), versionCommand(),
		},
	}
}
