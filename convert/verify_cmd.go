package main

import (
	"context"
	"io"

	"xbmedge/internal/bundle"
	"xbmedge/internal/bundle/parity"
	"xbmedge/internal/cli"
)

func verifyCommand() cli.Command {
	return cli.Command{
		Name: "verify", Args: "FILE", Summary: "check a bundle: hashes, signature, and parity on this machine",
		Long: `Reads the whole bundle and checks every hash, checks the signature when --key is
given, and runs the golden images: exact when this machine computes just what the
one did that made the bundle, close when values differ by a few steps. The exit
code is 1 where anything is not as it should be. xbm-agent verify does the same on
the board.`,
		Examples: "xbm-convert verify shelf.xbm --key release.pub",
		Setup: func(f *cli.Flags) cli.Func {
			keys := f.StringArray("key", nil, "public `KEY`, or its file; may be repeated")
			steps := f.Float64("steps", parity.DefaultSteps, "let values of the output differ by this many `STEPS`")
			asJSON := f.Bool("json", false, "print JSON")
			return func(ctx context.Context, files []string, stdout, _ io.Writer) error {
				if len(files) != 1 || !(*steps > 0) {
					return cli.Usagef("verify takes one .xbm file, and --steps above 0")
				}
				return verify(ctx, files[0], *keys, *steps, *asJSON, stdout)
			}
		},
	}
}

func verify(ctx context.Context, path string, keyTexts []string, steps float64, asJSON bool, stdout io.Writer) error {
	keys, err := bundle.ParsePublicKeys(keyTexts)
	if err != nil {
		return err
	}
	b, err := bundle.Open(path)
	if err != nil {
		return err
	}
	v := parity.Verification{Signature: parity.Unsigned, KeyID: b.KeyID()}
	if v.KeyID != "" {
		v.Signature = parity.Unverified
	}
	if len(keys) > 0 {
		if err := b.Verify(keys); err != nil {
			return err
		}
		v.Signature = parity.Verified
	}
	if v.Parity, err = parity.Certify(ctx, b, parity.Options{Steps: steps}); err != nil {
		return err
	}
	return v.Write(stdout, asJSON)
}
