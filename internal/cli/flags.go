package cli

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Flags is a command's set of flags. A usage text names the flag's value in back quotes ("write it to `FILE`"), and the
// name says how a shell completes it: FILE by files, FOLDER by folders, the values of OneOf by those, others not at all.
type Flags struct {
	*pflag.FlagSet
	required []string
	choices  map[string][]string // of the flags that have some
}

// Require says that these flags must be given and not be empty. What is missing is an ErrUsage before the command runs.
func (f *Flags) Require(names ...string) {
	for _, name := range names {
		must(f.SetAnnotation(name, cobra.BashCompOneRequiredFlag, []string{"true"}))
	}
	f.required = append(f.required, names...)
}

// OneOf says that a flag has one of these values, or the one it has when it is not given. Another is an ErrUsage before
// the command runs.
func (f *Flags) OneOf(name string, values ...string) {
	if f.choices == nil {
		f.choices = map[string][]string{}
	}
	f.choices[name] = values
}

// check refuses parsed flags that break what Require and OneOf say.
func (f *Flags) check() error {
	var missing []string
	for _, name := range f.required {
		if value := f.Lookup(name).Value.String(); value == "" || value == "[]" { // an empty list
			missing = append(missing, "--"+name)
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("%s missing", strings.Join(missing, " and "))
	}
	var faults []error
	f.Visit(func(flag *pflag.Flag) {
		if values, ok := f.choices[flag.Name]; ok && !slices.Contains(values, flag.Value.String()) {
			faults = append(faults, fmt.Errorf("--%s is %q, want %s", flag.Name, flag.Value, either(values)))
		}
	})
	return errors.Join(faults...)
}

// complete tells the shells' completion what values the flags have.
func (f *Flags) complete(cmd *cobra.Command) {
	f.VisitAll(func(flag *pflag.Flag) {
		values, some := f.choices[flag.Name]
		switch name, _ := valueName(flag); {
		case some:
			must(cmd.RegisterFlagCompletionFunc(flag.Name, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp)))
		case name == "FILE" || name == "":
		case name == "FOLDER":
			must(cmd.MarkFlagDirname(flag.Name))
		default:
			must(cmd.RegisterFlagCompletionFunc(flag.Name, cobra.NoFileCompletions))
		}
	})
}

// must panics on what only a wrongly written command can bring about: it names a flag that it did not declare.
func must(err error) {
	if err != nil {
		panic(fmt.Sprintf("cli: %v", err))
	}
}

// valueName returns the name of a flag's value, "" where it takes none, and its usage text without quotes.
func valueName(flag *pflag.Flag) (name, usage string) {
	name, usage = pflag.UnquoteUsage(flag)
	return strings.ToUpper(name), usage
}

// describe returns how a flag is given, such as "--out" and "FILE", and what it is for.
func describe(flag *pflag.Flag) (names, value, text string) {
	value, text = valueName(flag)
	names = "--" + flag.Name
	if flag.Shorthand != "" {
		names = "-" + flag.Shorthand + ", " + names
	}
	switch {
	case flag.Annotations[cobra.BashCompOneRequiredFlag] != nil:
		text += " (required)"
	case !slices.Contains([]string{"", "0", "0s", "false", "[]"}, flag.DefValue): // what is nothing needs no word
		text += " (default " + flag.DefValue + ")"
	}
	return names, value, text
}

// either joins names as "a, b, or c".
func either(names []string) string {
	if len(names) < 2 {
		return strings.Join(names, "")
	}
	last := len(names) - 1
	return strings.Join(names[:last], ", ") + ", or " + names[last]
}
