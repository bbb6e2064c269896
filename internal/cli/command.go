package cli

import (
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Command describes one command of a program.
type Command struct {
	Name     string // "enroll"
	Args     string // of its arguments, "NAME FILE|FOLDER..."; empty: it takes none, and one that is given is an ErrUsage
	Summary  string // one line: "print the version"
	Long     string // more, for help and the manual page: paragraphs in which back quotes are the only mark-up; may be empty
	Examples string // a command line each, or a comment; may be empty
	Hidden   bool   // from help, completion and the manual
	// Setup declares the flags and returns what carries the command out, which looks at the flags' variables: a method
	// value of a receiver that is no pointer would hold them as they were before the command line was read. Setup is
	// called for every command line, also for those of other commands. It is nil for a group of commands.
	Setup    func(f *Flags) Func
	Commands []Command // of a group
}

// Single is the program of one command only, without commands of its own.
func Single(c Command) Func { return program{c.build()}.run }

// build makes the command and those below it.
func (c Command) build() *cobra.Command {
	cmd := &cobra.Command{
		Short: c.Summary, Long: strings.Trim(c.Long, "\n"), Example: strings.Trim(c.Examples, "\n"), Hidden: c.Hidden,
		SilenceErrors: true, SilenceUsage: true, DisableAutoGenTag: true, DisableFlagsInUseLine: true,
		SuggestionsMinimumDistance: 2, // letters that differ
		Use:                        c.Name,
	}
	flags := &Flags{FlagSet: cmd.Flags()}
	flags.SortFlags = false // the order in which they are declared tells more
	cmd.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return inCommand(cmd.CommandPath(), Usagef("%s: %w", cmd.CommandPath(), err))
	})
	if c.Setup == nil {
		group(cmd)
	} else {
		c.leaf(cmd, flags)
	}
	addHelpFlag(cmd)
	flags.complete(cmd)
	for _, sub := range c.Commands {
		cmd.AddCommand(sub.build())
	}
	return cmd
}

// leaf makes cmd a command that does something.
func (c Command) leaf(cmd *cobra.Command, flags *Flags) {
	run := c.Setup(flags)
	cmd.Use = synopsis(c.Name, c.Args, flags.FlagSet)
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		var err error
		if c.Args == "" && len(args) > 0 {
			err = Usagef("%s: %q is not a flag", cmd.CommandPath(), args[0])
		} else if fault := flags.check(); fault != nil {
			err = Usagef("%s: %w", cmd.CommandPath(), fault)
		}
		return inCommand(cmd.CommandPath(), err)
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return inCommand(cmd.CommandPath(), run(cmd.Context(), args, cmd.OutOrStdout(), cmd.ErrOrStderr()))
	}
	if !strings.Contains(c.Args, "FILE") && !strings.Contains(c.Args, "FOLDER") {
		cmd.ValidArgsFunction = cobra.NoFileCompletions
	}
}

// synopsis is a command's usage in one line: its required flags, that there are others, and its arguments.
func synopsis(name, args string, flags *pflag.FlagSet) string {
	parts := []string{name}
	others := false
	flags.VisitAll(func(flag *pflag.Flag) {
		if flag.Annotations[cobra.BashCompOneRequiredFlag] == nil {
			others = true
			return
		}
		value, _ := valueName(flag)
		parts = append(parts, strings.TrimSpace("--"+flag.Name+" "+value))
	})
	if others {
		parts = append(parts, "[flags]")
	}
	if args != "" {
		parts = append(parts, args)
	}
	return strings.Join(parts, " ")
}

// group makes cmd one that only has others below it: it says which when none of them is named.
func group(cmd *cobra.Command) {
	cmd.Use += " COMMAND"
	cmd.ValidArgsFunction = cobra.NoFileCompletions
	cmd.Args = cobra.ArbitraryArgs
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) > 0 {
			return unknownCommand(cmd, args[0])
		}
		writeHelp(cmd.ErrOrStderr(), cmd)
		if !cmd.HasParent() {
			return Usagef("no command")
		}
		var names []string
		for _, sub := range available(cmd) {
			names = append(names, sub.Name())
		}
		return inCommand(cmd.CommandPath(), Usagef("%s: want %s", cmd.CommandPath(), either(names)))
	}
}

// unknownCommand is the error for a name that is none of cmd's commands, with those it may have been meant for.
func unknownCommand(cmd *cobra.Command, name string) error {
	in, guess := "", ""
	if cmd.HasParent() {
		in = cmd.CommandPath() + ": "
	}
	if near := cmd.SuggestionsFor(name); len(near) > 0 {
		guess = " (did you mean " + strings.Join(near, " or ") + "?)"
	}
	return inCommand(cmd.CommandPath(), Usagef("%sunknown command %q%s", in, name, guess))
}

// available returns the commands below cmd that are not hidden.
func available(cmd *cobra.Command) []*cobra.Command {
	var list []*cobra.Command
	for _, sub := range cmd.Commands() {
		if sub.IsAvailableCommand() {
			list = append(list, sub)
		}
	}
	return list
}
