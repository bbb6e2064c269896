package main

import (
	"context"
	"fmt"
	"io"

	"xbmedge/internal/bundle"
	"xbmedge/internal/cli"
)

func signCommand() cli.Command {
	return cli.Command{
		Name: "sign", Args: "FILE", Summary: "sign a bundle",
		Long:     "Signs a bundle, in the place of a signature it has. Boards take it when the key's public half is in their model.keys.",
		Examples: "xbm-convert sign shelf.xbm --key release.key",
		Setup: func(f *cli.Flags) cli.Func {
			key := f.String("key", "", "secret key `FILE`, from xbm-convert keygen or minisign")
			out := f.String("out", "", "write the signed bundle to this `FILE`, instead of over the unsigned one")
			password := passwordFlag(f)
			f.Require("key")
			return func(_ context.Context, files []string, stdout, _ io.Writer) error {
				if len(files) != 1 {
					return cli.Usagef("sign takes one .xbm file")
				}
				b, err := bundle.Open(files[0])
				if err != nil {
					return err
				}
				secret, err := readSecretKey(*key, password)
				if err != nil {
					return err
				}
				if *out == "" {
					*out = files[0]
				}
				if err := b.Sign(*out, secret); err != nil {
					return err
				}
				_, err = fmt.Fprintf(stdout, "%s: %s version %d, signed with the key %s\n",
					*out, b.Manifest().Name, b.Manifest().Version, secret.Public().ID())
				return err
			}
		},
	}
}
