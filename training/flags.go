package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
)

func newFlags(command string, stderr io.Writer) *flag.FlagSet {
	flags := flag.NewFlagSet("xbm-train "+command, flag.ContinueOnError)
	flags.SetOutput(stderr)
	return flags
}

// parse reads a command's flags; arguments that are no flags are refused.
func parse(flags *flag.FlagSet, args []string) error {
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return err
		}
		return fmt.Errorf("%w: %w", errUsage, err)
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("%w: %s takes no %q", errUsage, flags.Name(), flags.Arg(0))
	}
	return nil
}
