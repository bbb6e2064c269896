// Package command is xbm-agent's command line.
package command

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"strings"

	"xbmedge/agent/internal/config"
)

// ErrUsage is wrapped by errors that come of a wrong command line.
var ErrUsage = errors.New("see `xbm-agent help`")

const usage = `xbm-agent recognises enrolled things in what a camera sees and tells an MQTT broker.

  xbm-agent enroll --model M --gallery G NAME FILE|FOLDER...   enroll one thing from its pictures
  xbm-agent enroll --model M --gallery G --dir FOLDER          enroll one thing from each sub-folder
  xbm-agent gallery list --gallery G [--json]                  list what is enrolled
  xbm-agent gallery remove --gallery G ID...                   forget things
  xbm-agent once --model M --gallery G --image F [--json]      recognise one picture
  xbm-agent run --config F [--set key=value]... [--results F]  run the cameras
  xbm-agent listen [--broker URL] [--topic T] [--json]         print what arrives at a broker
  xbm-agent check --config F [--set key=value]...              check a configuration and what it names
  xbm-agent version [--json]                                   version and parts compiled in
  xbm-agent help

'xbm-agent COMMAND --help' lists a command's flags.
`

type commandFunc func(ctx context.Context, args []string, stdout, stderr io.Writer) error

// Run carries out one command line. Results go to stdout, messages to stderr.
func Run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	if len(args) == 0 {
		fmt.Fprint(stderr, usage)
		return fmt.Errorf("no command: %w", ErrUsage)
	}
	commands := map[string]commandFunc{
		"enroll": enroll, "gallery": galleryCommand, "once": once, "run": runAgent, "listen": listen, "check": check, "version": version,
	}
	switch args[0] {
	case "help", "-h", "-help", "--help":
		_, err := fmt.Fprint(stdout, usage)
		return err
	case "-version", "--version":
		args = append([]string{"version"}, args[1:]...)
	}
	command, ok := commands[args[0]]
	if !ok {
		return fmt.Errorf("unknown command %q: %w", args[0], ErrUsage)
	}
	err := command(ctx, args[1:], stdout, stderr)
	if errors.Is(err, flag.ErrHelp) {
		return nil
	}
	return err
}

// flags returns an empty flag set that does not exit.
func flags(name string, stderr io.Writer) *flag.FlagSet {
	fs := flag.NewFlagSet("xbm-agent "+name, flag.ContinueOnError)
	fs.SetOutput(stderr)
	return fs
}

// parse reads flags wherever they stand between the other arguments, and returns those.
func parse(fs *flag.FlagSet, args []string) ([]string, error) {
	var rest []string
	for {
		if err := fs.Parse(args); err != nil {
			if errors.Is(err, flag.ErrHelp) {
				return nil, err
			}
			return nil, fmt.Errorf("%w: %w", err, ErrUsage)
		}
		if fs.NArg() == 0 {
			return rest, nil
		}
		if n := len(args) - fs.NArg(); n > 0 && args[n-1] == "--" {
			return append(rest, fs.Args()...), nil
		}
		rest = append(rest, fs.Arg(0))
		args = fs.Args()[1:]
	}
}

// parseNone is parse for a command without other arguments.
func parseNone(fs *flag.FlagSet, args []string) error {
	rest, err := parse(fs, args)
	if err != nil {
		return err
	}
	if len(rest) > 0 {
		return fmt.Errorf("%s: %q is not a flag: %w", fs.Name(), rest[0], ErrUsage)
	}
	return nil
}

// required reports flags that were left empty; pairs of name and value.
func required(fs *flag.FlagSet, pairs ...string) error {
	var missing []string
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i+1] == "" {
			missing = append(missing, "--"+pairs[i])
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("%s: %s missing: %w", fs.Name(), strings.Join(missing, " and "), ErrUsage)
	}
	return nil
}

// settings collects repeated --set flags.
type settings []string

func (s *settings) String() string { return strings.Join(*s, " ") }

// Set adds one.
func (s *settings) Set(text string) error {
	*s = append(*s, text)
	return nil
}

func newLogger(w io.Writer, cfg config.Log) *slog.Logger {
	var level slog.Level
	if err := level.UnmarshalText([]byte(cfg.Level)); err != nil {
		level = slog.LevelInfo
	}
	options := &slog.HandlerOptions{Level: level}
	if cfg.Format == "json" {
		return slog.New(slog.NewJSONHandler(w, options))
	}
	return slog.New(slog.NewTextHandler(w, options))
}
