package command

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"

	"xbmedge/agent/internal/control"
	"xbmedge/agent/internal/curator"
	"xbmedge/internal/cli"
	"xbmedge/internal/npy"
)

func galleryReject() cli.Command {
	return cli.Command{
		Name: "reject", Args: "EVENT|PICTURE|EMBEDDING", Summary: "say that something was taken for a thing and is not it",
		Long: `Keeps a counter-example of the thing: from then on what is at least as like it as like
the thing's own pictures is not given the thing's name. EVENT is the event_id of one of
the latest match events of the agent that runs, PICTURE a file, EMBEDDING a .npy file
with one row. It is refused where one of the thing's own pictures would no longer be
recognised. ` + "`xbm-agent gallery unreject`" + ` takes it back.`,
		Examples: `xbm-agent gallery reject --gallery things.gallery --as oat-milk 1795593600.123456-k3x9qa
xbm-agent gallery reject --gallery things.gallery --as oat-milk --model m.tflite wrong.jpg`,
		Setup: func(f *cli.Flags) cli.Func {
			var t target
			t.flags(f)
			t.modelFlags(f)
			as := f.String("as", "", "`ID` of the thing that it was taken for")
			f.Require("as")
			return func(ctx context.Context, args []string, stdout, stderr io.Writer) error {
				if len(args) != 1 {
					return cli.Usagef("gallery reject: want one event, picture or embedding")
				}
				r, err := rejection(*as, args[0])
				if err != nil {
					return err
				}
				return t.change(ctx, r, func(o *curator.Outcome) string {
					return fmt.Sprintf("kept as counter-example %d of %s", o.Vector, o.ID)
				}, stdout, stderr)
			}
		},
	}
}

// rejection is the request to keep what is named as a counter-example.
func rejection(id, what string) (*control.Request, error) {
	r := &control.Request{Op: "reject", ID: id}
	if strings.HasSuffix(what, ".npy") {
		rows, _, data, err := npy.ReadMatrix(what)
		if err == nil && rows != 1 {
			err = fmt.Errorf("%s has %d rows; want one, the embedding", what, rows)
		}
		r.Embedding = data
		return r, err
	}
	data, err := os.ReadFile(what)
	switch {
	case err == nil:
		r.Pictures = []control.Picture{{Name: what, Data: data}}
	case os.IsNotExist(err) && !strings.ContainsAny(what, `/\`):
		r.Event = what
	default:
		return nil, fmt.Errorf("reject: %w", err)
	}
	return r, nil
}
