package main

import (
	"context"
	"fmt"
	"io"

	"xbmedge/internal/bundle"
	"xbmedge/internal/cli"
)

func keygenCommand() cli.Command {
	return cli.Command{
		Name: "keygen", Summary: "make a pair of keys to sign bundles with",
		Long: `Writes KEY.key, which signs and which nobody else may have, and KEY.pub, which
boards verify with: name it in model.keys of their configuration. They are keys of
the program minisign. With a password the secret key is encrypted, which takes 1 GB
of memory for some seconds, also for each signature.`,
		Examples: "xbm-convert keygen --out release\nXBM_KEY_PASSWORD=… xbm-convert keygen --out release",
		Setup: func(f *cli.Flags) cli.Func {
			out := f.String("out", "", "`KEY`: write KEY.key and KEY.pub")
			password := passwordFlag(f)
			f.Require("out")
			return func(_ context.Context, _ []string, stdout, stderr io.Writer) error {
				text, err := password()
				if err != nil {
					return err
				}
				return keygen(*out, text, stdout, stderr)
			}
		},
	}
}

func keygen(out, password string, stdout, stderr io.Writer) error {
	public, secret, err := bundle.GenerateKey()
	if err != nil {
		return err
	}
	if err := secret.WriteFiles(out, password); err != nil {
		return err
	}
	if password == "" {
		fmt.Fprintf(stderr, "%s.key has no password (%s): whoever can read it can sign\n", out, keyPassword)
	}
	_, err = fmt.Fprintf(stdout, "%s.key signs; keep it, there is no other\n%s.pub verifies: %s\n", out, out, public)
	return err
}
