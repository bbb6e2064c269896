package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"text/tabwriter"

	"xbmedge/internal/cli"
	"xbmedge/training/internal/engine"
)

func enginesCommand() cli.Command {
	return cli.Command{
		Name: "engines", Summary: "list what can train here, and what to do for the rest",
		Long: `Lists the engines that the key backend takes: go is always there; XLA is several
times as fast and runs on GPUs, once its plugin is installed.`,
		Examples: "xbm-train engines",
		Setup: func(f *cli.Flags) cli.Func {
			asJSON := f.Bool("json", false, "print JSON")
			return func(_ context.Context, _ []string, stdout, _ io.Writer) error {
				return listEngines(stdout, *asJSON)
			}
		},
	}
}

func listEngines(out io.Writer, asJSON bool) error {
	list := engine.List()
	if asJSON {
		encoder := json.NewEncoder(out)
		encoder.SetIndent("", "  ")
		return encoder.Encode(list)
	}
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "ENGINE\tDEVICES\t")
	for _, e := range list {
		devices := fmt.Sprint(e.Devices)
		if !e.Ready {
			devices = "-"
		}
		fmt.Fprintf(table, "%s\t%s\t%s\n", e.Name, devices, e.Detail)
	}
	return table.Flush()
}
