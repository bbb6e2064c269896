package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"xbmedge/agent/internal/config"
	"xbmedge/agent/internal/model"
	"xbmedge/internal/bundle/parity"
	"xbmedge/internal/cli"
)

// verifyFlags is the command line of verify.
type verifyFlags struct {
	source  func() (path string, set []string)
	keys    []string
	steps   float64
	timeout time.Duration
	json    bool
}

func verify() cli.Command {
	return cli.Command{
		Name: "verify", Args: "[FILE]", Summary: "check a bundle, and that this board computes what the host did",
		Long: `Checks the hashes and the signature of a bundle, and runs its golden images in a
process of their own, with a time limit: exact when every value of the output is the
host's, close when some differ by a few steps. Without FILE it takes the bundle of
the configuration. The keys are those of --key and of the configuration. The exit
code is 1 where anything is not as it should be.`,
		Examples: "xbm-agent verify\nxbm-agent verify shelf.xbm --key release.pub --json",
		Setup: func(f *cli.Flags) cli.Func {
			o := verifyFlags{source: sourceFlags(f)}
			f.StringArrayVar(&o.keys, "key", nil, "public `KEY`, or its file; may be repeated")
			f.Float64Var(&o.steps, "steps", parity.DefaultSteps, "let values of the output differ by this many `STEPS`")
			f.DurationVar(&o.timeout, "timeout", model.TrialLimit, "`TIME` for the golden images")
			f.BoolVar(&o.json, "json", false, "print JSON")
			return o.run
		},
	}
}

func (o *verifyFlags) run(ctx context.Context, files []string, stdout, _ io.Writer) error {
	if len(files) > 1 || !(o.steps > 0) || o.timeout <= 0 {
		return cli.Usagef("verify takes one FILE at most, and --steps and --timeout above 0")
	}
	path, keys := "", o.keys
	if source, set := o.source(); len(files) == 0 || source != "" {
		cfg, err := config.Read(source, set...)
		switch {
		case err == nil:
			path, keys = cfg.Model.Path, append(keys, cfg.Model.Keys...)
		case len(files) == 0 || !errors.Is(err, os.ErrPermission): // a FILE can be looked at without the service's keys
			return err
		}
	}
	if len(files) == 1 {
		path = files[0]
	}
	_, info, err := model.Load(path, keys)
	if err != nil {
		return err
	}
	if info.Bundle == nil {
		return fmt.Errorf("%s is a bare model without golden images: make a bundle of it with `xbm-convert bundle`", path)
	}
	v := parity.Verification{Signature: parity.Unsigned, KeyID: info.Bundle.KeyID()}
	switch {
	case info.KeyID != "":
		v.Signature = parity.Verified
	case v.KeyID != "":
		v.Signature = parity.Unverified
	}
	trial := model.Trial{Limit: o.timeout, Steps: o.steps}
	if v.Parity, err = trial.Run(ctx, info.Bundle); err != nil {
		return err
	}
	return v.Write(stdout, o.json)
}

// certify is what the process does that model.Trial starts.
func certify() cli.Command {
	return cli.Command{
		Name: model.ChildCommand, Summary: "run the golden images of the bundle on standard input", Hidden: true,
		Setup: func(f *cli.Flags) cli.Func {
			steps := f.Float64("steps", 0, "see verify")
			return func(ctx context.Context, _ []string, stdout, _ io.Writer) error {
				return model.Child(ctx, os.Stdin, stdout, *steps)
			}
		},
	}
}
