package cli

import (
	"context"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Program is a program of several commands. It has help, completion and, hidden, man besides them.
type Program struct {
	Name     string // of the executable
	Summary  string // one line
	Long     string // more, as a Command's
	Commands []Command
}

// Main is the function Main for this program.
func (p *Program) Main() { Main(p.Name, p.Run) }

// Run carries out the command that the first argument names. --version is short for the command version, if there is
// one.
func (p *Program) Run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	if len(args) > 0 && args[0] == "--version" && p.hasVersion() {
		args = slices.Concat([]string{"version"}, args[1:])
	}
	return program{p.build()}.run(ctx, args, stdout, stderr) //nolint:contextcheck // commands get the context from cobra
}

// build makes all commands.
func (p *Program) build() *cobra.Command {
	root := Command{Name: p.Name, Summary: p.Summary, Long: p.Long, Commands: p.Commands}.build()
	root.AddCommand(completion(root).build(), man(root).build())
	addHelp(root)
	if p.hasVersion() {
		root.Flags().Bool("version", false, "print the version") // for help: Run has dealt with it
	}
	return root
}

func (p *Program) hasVersion() bool {
	return slices.ContainsFunc(p.Commands, func(c Command) bool { return c.Name == "version" })
}

// program is one whose commands are made.
type program struct{ root *cobra.Command }

func (p program) run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	if len(args) > 0 && strings.HasPrefix(args[0], cobra.ShellCompRequestCmd) {
		plainUsages(p.root)
	}
	p.root.SetOut(stdout)
	p.root.SetErr(stderr)
	p.root.SetArgs(append([]string{}, args...)) // nil would be the process's own
	p.root.SetHelpFunc(func(cmd *cobra.Command, _ []string) { writeHelp(cmd.OutOrStdout(), cmd) })
	p.root.CompletionOptions.DisableDefaultCmd = true
	return p.root.ExecuteContext(ctx)
}

// plainUsages takes the quotes out of the flags' usage texts, which completions show as they are.
func plainUsages(cmd *cobra.Command) {
	cmd.Flags().VisitAll(func(flag *pflag.Flag) { _, flag.Usage = valueName(flag) })
	for _, sub := range cmd.Commands() {
		plainUsages(sub)
	}
}
