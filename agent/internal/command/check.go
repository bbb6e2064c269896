package command

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"

	"xbmedge/agent/internal/config"
	"xbmedge/internal/cli"
)

// checkConfig does everything that run does before its first frame.
func checkConfig() cli.Command {
	return cli.Command{
		Name: "check-config", Summary: "check a configuration and what it names",
		Long: `Does everything that run does before its first frame: reads the configuration with
all that wins over it, and opens the model and the gallery. It does not ask
cameras and the broker, which may come later.`,
		Examples: "xbm-agent check-config --config agent.yaml",
		Setup: func(f *cli.Flags) cli.Func {
			source := sourceFlags(f)
			return func(ctx context.Context, _ []string, stdout, stderr io.Writer) error {
				path, set := source()
				cfg, err := config.Load(path, set...)
				if err != nil {
					return err
				}
				with, err := open(ctx, cfg, slog.New(slog.DiscardHandler))
				if err != nil {
					return err
				}
				if with.older != nil {
					fmt.Fprintf(stderr, "note: the gallery is of another model, %v; the agent makes it anew from its pictures when it starts\n", with.older.Model())
				}
				_, err = fmt.Fprintf(stdout, "good: node %s, model %s, %d identities, %d cameras\n",
					cfg.Node, with.model.Model().Name, len(cmp.Or(with.older, with.gallery).Entries()), len(cfg.Cameras))
				return errors.Join(err, with.model.Close())
			}
		},
	}
}
