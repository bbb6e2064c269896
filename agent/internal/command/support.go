package command

import (
	"context"
	"fmt"
	"io"

	"xbmedge/agent/internal/doctor"
	"xbmedge/agent/internal/support"
	"xbmedge/internal/atomicfile"
	"xbmedge/internal/cli"
)

func supportBundle() cli.Command {
	return cli.Command{
		Name: "support-bundle", Summary: "gather what somebody who helps needs to know, into one file",
		Long: `Writes a .tar.gz with what the doctor says, the configuration, the state of the
system and the service, and the service's latest log. Passwords are masked
wherever they are seen; pictures, embeddings, the model and the names of enrolled
things are left out. README.txt in it tells more. Look through it before you pass it on.

Run it as root (sudo): others cannot read the log and the service's secrets, which
have to be known to be masked.`,
		Examples: "sudo xbm-agent support-bundle\nxbm-agent support-bundle --config agent.yaml --out report.tar.gz",
		Setup: func(f *cli.Flags) cli.Func {
			source := sourceFlags(f)
			out := f.String("out", "", "write this `FILE` (default xbm-agent-support-NODE-TIME.tar.gz in this folder)")
			return func(ctx context.Context, _ []string, stdout, stderr io.Writer) error {
				path, set := source()
				return writeBundle(ctx, path, set, *out, stdout, stderr)
			}
		},
	}
}

func writeBundle(ctx context.Context, path string, set []string, out string, stdout, stderr io.Writer) error {
	if out != "" {
		if err := atomicfile.Check(out); err != nil { // before the long work
			return err
		}
	}
	src := support.This(path, set)
	src.Version = currentVersions(ctx)
	src.Findings = doctor.Run(ctx, doctor.This(ctx), path, set...)
	bundle := support.Gather(ctx, src)
	if err := ctx.Err(); err != nil {
		return err
	}
	if out == "" {
		out = bundle.Name()
	}
	if err := bundle.Write(out); err != nil {
		return err
	}
	for _, line := range bundle.Missing() {
		fmt.Fprintf(stderr, "left out: %s\n", line)
	}
	_, err := fmt.Fprintf(stdout, "wrote %s; look through it before you pass it on\n", out)
	return err
}
