package cli

import (
	"errors"
	"fmt"
)

// ErrUsage is what errors about the command line itself are, for errors.Is; Usagef makes them.
var ErrUsage = errors.New("wrong command line")

// usageError is an ErrUsage that says only what is wrong: Execute adds where to look.
type usageError struct{ error }

func (e usageError) Unwrap() []error { return []error{e.error, ErrUsage} }

// Usagef is fmt.Errorf for an error that is an ErrUsage too.
func Usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// commandError remembers of which command the help tells more. It reads as the error alone.
type commandError struct {
	error
	command string // "xbm-agent gallery list"
}

func (e commandError) Unwrap() error { return e.error }

// inCommand marks an ErrUsage with its command; other errors stay as they are.
func inCommand(command string, err error) error {
	if !errors.Is(err, ErrUsage) {
		return err
	}
	return commandError{err, command}
}

// commandOf returns the command an error was marked with, or the program's name.
func commandOf(err error, program string) string {
	var c commandError
	if errors.As(err, &c) {
		return c.command
	}
	return program
}
