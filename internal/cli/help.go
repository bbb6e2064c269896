package cli

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// addHelp adds the command help, which tells more of the command that its arguments name.
func addHelp(root *cobra.Command) {
	root.InitDefaultHelpCmd()
	for _, cmd := range root.Commands() {
		if cmd.Name() != "help" {
			continue
		}
		cmd.Use, cmd.Short, cmd.Long = "help [COMMAND...]", "tell how a command is used", ""
		cmd.DisableFlagsInUseLine = true
		addHelpFlag(cmd)
		cmd.RunE = func(_ *cobra.Command, args []string) error {
			topic, rest, err := root.Find(args)
			if err != nil || len(rest) > 0 {
				return unknownCommand(topic, rest[0])
			}
			writeHelp(root.OutOrStdout(), topic)
			return nil
		}
	}
}

// addHelpFlag gives a command the flag with which cobra prints its help.
func addHelpFlag(cmd *cobra.Command) { cmd.Flags().BoolP("help", "h", false, "print this help") }

// writeHelp writes all that is to be known of a command.
func writeHelp(out io.Writer, cmd *cobra.Command) {
	fmt.Fprintf(out, "%s - %s\n", cmd.CommandPath(), cmd.Short)
	if cmd.Long != "" {
		fmt.Fprintf(out, "\n%s\n", cmd.Long)
	}
	fmt.Fprintf(out, "\nUsage:\n  %s\n", cmd.UseLine())
	if len(available(cmd)) > 0 {
		fmt.Fprintln(out, "\nCommands:")
		writeTable(out, func(row func(left, right string)) { listCommands(cmd, row) })
	}
	if cmd.Example != "" {
		fmt.Fprintf(out, "\nExamples:\n  %s\n", strings.ReplaceAll(cmd.Example, "\n", "\n  "))
	}
	fmt.Fprintln(out, "\nFlags:")
	writeTable(out, func(row func(left, right string)) {
		cmd.Flags().VisitAll(func(flag *pflag.Flag) {
			names, value, text := describe(flag)
			row(strings.TrimSpace(names+" "+value), text)
		})
	})
	if len(available(cmd)) > 0 {
		fmt.Fprintf(out, "\n`%s COMMAND --help` tells more of a command.\n", cmd.CommandPath())
	}
}

// listCommands gives a row to each command below cmd that does something.
func listCommands(cmd *cobra.Command, row func(left, right string)) {
	for _, sub := range available(cmd) {
		if len(available(sub)) > 0 {
			listCommands(sub, row)
			continue
		}
		row(sub.CommandPath(), sub.Short)
	}
}

// writeTable writes rows of two columns.
func writeTable(out io.Writer, rows func(row func(left, right string))) {
	table := tabwriter.NewWriter(out, 0, 0, 3, ' ', 0)
	rows(func(left, right string) { fmt.Fprintf(table, "  %s\t%s\n", left, right) })
	_ = table.Flush() // as fmt.Fprint: to a terminal, where nobody is left to tell
}
