package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"xbmedge/internal/atomicfile"
	"xbmedge/internal/bundle"
	"xbmedge/internal/cli"
)

func unpackCommand() cli.Command {
	return cli.Command{
		Name: "unpack", Args: "FILE", Summary: "write the parts of a bundle into a folder",
		Long: `Checks the bundle's hashes and writes its parts into a new folder. There
minisign -Vm manifest.json -P KEY verifies the signature without this program.`,
		Examples: "xbm-convert unpack shelf.xbm --out shelf",
		Setup: func(f *cli.Flags) cli.Func {
			out := f.String("out", "", "the `FOLDER` to make")
			f.Require("out")
			return func(_ context.Context, files []string, stdout, _ io.Writer) error {
				if len(files) != 1 {
					return cli.Usagef("unpack takes one .xbm file")
				}
				return unpack(files[0], *out, stdout)
			}
		},
	}
}

// unpack writes into a folder beside out, which takes its name at the end: a folder that is there is whole.
func unpack(path, out string, stdout io.Writer) (err error) {
	b, err := bundle.Open(path)
	if err != nil {
		return err
	}
	if _, err := os.Lstat(out); err == nil {
		return fmt.Errorf("unpack: %s is there already; name a new folder", out)
	}
	folder, err := os.MkdirTemp(filepath.Dir(filepath.Clean(out)), ".unpack-*")
	if err != nil {
		return fmt.Errorf("unpack: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(folder)) }() // nothing, once it is renamed
	n := 0
	err = b.Files(func(name string, data []byte) error {
		n++
		target := filepath.Join(folder, filepath.FromSlash(name))        // names of parts stay below the folder: see bundle
		if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil { //nolint:gosec // meant to be read by others
			return fmt.Errorf("unpack: %w", err)
		}
		return atomicfile.WriteBytes(target, 0o644, data)
	})
	if err != nil {
		return err
	}
	if err := errors.Join(os.Chmod(folder, 0o755), os.Rename(folder, out)); err != nil { //nolint:gosec // as above
		return fmt.Errorf("unpack: %w", err)
	}
	_, err = fmt.Fprintf(stdout, "%d files in %s\n", n, out)
	return err
}
