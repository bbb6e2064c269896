package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"

	"xbmedge/agent/internal/control"
	"xbmedge/agent/internal/curator"
	"xbmedge/internal/cli"
)

// galleryCommand is a command that asks for one change. request makes it of the arguments; said is what to tell of it.
func galleryCommand(c cli.Command, request func(args []string) (*control.Request, error), said func(*curator.Outcome) string) cli.Command {
	c.Setup = func(f *cli.Flags) cli.Func {
		var t target
		t.flags(f)
		return func(ctx context.Context, args []string, stdout, stderr io.Writer) error {
			r, err := request(args)
			if err != nil {
				return err
			}
			return t.change(ctx, r, said, stdout, stderr)
		}
	}
	return c
}

// change asks for one change and tells what came of it.
func (t *target) change(ctx context.Context, r *control.Request, said func(*curator.Outcome) string, stdout, stderr io.Writer) (err error) {
	s, err := t.open(ctx, stderr)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	out, err := s.ask(ctx, r)
	if err != nil {
		return err
	}
	for _, w := range out.Warnings {
		fmt.Fprintf(stderr, "note: %s\n", w)
	}
	_, err = fmt.Fprintln(stdout, said(out))
	return err
}

func number(args []string, what string) (uint64, error) {
	if len(args) != 1 {
		return 0, cli.Usagef("%s: want one number", what)
	}
	n, err := strconv.ParseUint(args[0], 10, 64)
	if err != nil || n == 0 {
		return 0, cli.Usagef("%s: %q is no embedding's number; `xbm-agent gallery show` tells them", what, args[0])
	}
	return n, nil
}

func galleryRemove() cli.Command {
	removed := 0
	return galleryCommand(cli.Command{
		Name: "remove", Args: "ID...", Summary: "forget things",
		Long:     "Takes things out of the gallery. `xbm-agent gallery list` tells their ids.",
		Examples: "xbm-agent gallery remove --gallery things.gallery oat-milk",
	}, func(ids []string) (*control.Request, error) {
		if len(ids) == 0 {
			return nil, cli.Usagef("gallery remove: want ids")
		}
		removed = len(ids)
		return &control.Request{Op: "remove", IDs: ids}, nil
	}, func(o *curator.Outcome) string {
		return fmt.Sprintf("removed %d; %d embeddings are left", removed, o.N)
	})
}

// galleryRm is galleryRemove by the name that a shell's user tries first.
func galleryRm() cli.Command {
	c := galleryRemove()
	c.Name, c.Hidden = "rm", true
	return c
}

func galleryForget() cli.Command {
	return galleryCommand(cli.Command{
		Name: "forget", Args: "NUMBER", Summary: "forget one embedding, such as that of a wrong picture",
		Long:     "Takes one embedding or counter-example out of the gallery. `xbm-agent gallery show` tells the numbers.",
		Examples: "xbm-agent gallery forget --gallery things.gallery 17",
	}, func(args []string) (*control.Request, error) {
		n, err := number(args, "gallery forget")
		return &control.Request{Op: "forget", Vector: n}, err
	}, func(o *curator.Outcome) string { return fmt.Sprintf("forgotten; %d embeddings are left", o.N) })
}

func galleryRename() cli.Command {
	return galleryCommand(cli.Command{
		Name: "rename", Args: "ID NAME", Summary: "give a thing another name",
		Long:     "Changes the name for people. The id stays, as topics and histories know the thing by it.",
		Examples: "xbm-agent gallery rename --gallery things.gallery oat-milk \"Oat drink\"",
	}, func(args []string) (*control.Request, error) {
		if len(args) != 2 {
			return nil, cli.Usagef("gallery rename: want an id and a name")
		}
		return &control.Request{Op: "rename", ID: args[0], Name: args[1]}, nil
	}, func(o *curator.Outcome) string { return o.ID + " renamed" })
}

func galleryName() cli.Command {
	return galleryCommand(cli.Command{
		Name: "name", Args: "STRANGER NAME", Summary: "say what a stranger is, such as unknown-7",
		Long: "Enrolls what a running agent has told as unknown-7, by the pictures it remembers of it. With the name of a\n" +
			"thing that is enrolled, that thing gets them. From the next frame on it is told by its name.",
		Examples: "xbm-agent gallery name --gallery things.gallery unknown-7 Bob",
	}, func(args []string) (*control.Request, error) {
		if len(args) != 2 {
			return nil, cli.Usagef("gallery name: want a stranger's id, such as unknown-7, and a name")
		}
		return &control.Request{Op: "name", ID: args[0], Name: args[1]}, nil
	}, func(o *curator.Outcome) string {
		return fmt.Sprintf("enrolled as %s with %d embeddings; threshold %.3f", o.ID, o.Added, o.Threshold)
	})
}

func galleryMerge() cli.Command {
	return galleryCommand(cli.Command{
		Name: "merge", Args: "ID OTHER...", Summary: "make one thing of several",
		Long:     "The first thing gets the embeddings of the others, which are then gone.",
		Examples: "xbm-agent gallery merge --gallery things.gallery oat-milk oat-drink",
	}, func(args []string) (*control.Request, error) {
		if len(args) < 2 {
			return nil, cli.Usagef("gallery merge: want at least two ids")
		}
		return &control.Request{Op: "merge", ID: args[0], IDs: args[1:]}, nil
	}, func(o *curator.Outcome) string { return "merged into " + o.ID })
}

func galleryUnreject() cli.Command {
	return galleryCommand(cli.Command{
		Name: "unreject", Args: "NUMBER", Summary: "take a counter-example back",
		Examples: "xbm-agent gallery unreject --gallery things.gallery 18",
	}, func(args []string) (*control.Request, error) {
		n, err := number(args, "gallery unreject")
		return &control.Request{Op: "unreject", Vector: n}, err
	}, func(*curator.Outcome) string { return "taken back" })
}

func galleryThreshold() cli.Command {
	return galleryCommand(cli.Command{
		Name: "threshold", Args: "[ID] COSINE", Summary: "set the threshold of the gallery, or one thing's own",
		Long:     "An ID makes it that thing's own threshold; 0 makes it the gallery's again.",
		Examples: "xbm-agent gallery threshold --gallery things.gallery 0.72\nxbm-agent gallery threshold --gallery things.gallery oat-milk 0.8",
	}, func(args []string) (*control.Request, error) {
		if len(args) != 1 && len(args) != 2 {
			return nil, cli.Usagef("gallery threshold: want a cosine, or an id and a cosine")
		}
		r := &control.Request{Op: "threshold"}
		if len(args) == 2 {
			r.ID = args[0]
		}
		t, err := strconv.ParseFloat(args[len(args)-1], 32)
		if err != nil {
			return nil, cli.Usagef("gallery threshold: %q is no cosine", args[len(args)-1])
		}
		value := float32(t)
		r.Threshold = &value
		return r, nil
	}, func(o *curator.Outcome) string {
		if o.ID != "" {
			return "threshold of " + o.ID + " set"
		}
		return fmt.Sprintf("threshold %.3f", o.Threshold)
	})
}
