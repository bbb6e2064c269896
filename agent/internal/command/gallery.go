package command

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"

	"xbmedge/internal/cli"
	"xbmedge/internal/gallery"
)

func galleryGroup() cli.Command {
	return cli.Command{
		Name: "gallery", Summary: "look at what is enrolled, and change it",
		Commands: []cli.Command{galleryList(), galleryRemove()},
	}
}

func galleryList() cli.Command {
	return cli.Command{
		Name: "list", Summary: "list what is enrolled",
		Examples: "xbm-agent gallery list --gallery things.gallery",
		Setup: func(f *cli.Flags) cli.Func {
			path := f.String("gallery", "", "gallery `FILE`")
			asJSON := f.Bool("json", false, "print JSON")
			f.Require("gallery")
			return func(_ context.Context, _ []string, stdout, _ io.Writer) error { return list(*path, *asJSON, stdout) }
		},
	}
}

func galleryRemove() cli.Command {
	return cli.Command{
		Name: "remove", Args: "ID...", Summary: "forget things",
		Long:     "Takes things out of the gallery. `xbm-agent gallery list` tells their ids.",
		Examples: "xbm-agent gallery remove --gallery things.gallery oat-milk",
		Setup: func(f *cli.Flags) cli.Func {
			path := f.String("gallery", "", "gallery `FILE`")
			f.Require("gallery")
			return func(_ context.Context, ids []string, stdout, _ io.Writer) error {
				if len(ids) == 0 {
					return cli.Usagef("gallery remove: want ids")
				}
				return remove(*path, ids, stdout)
			}
		},
	}
}

// listed is what `gallery list --json` prints.
type listed struct {
	Model      gallery.Model   `json:"model"`
	Threshold  float32         `json:"threshold"`
	Version    uint64          `json:"version"`
	N          int             `json:"n"`
	Identities []gallery.Entry `json:"identities"`
}

func list(path string, asJSON bool, stdout io.Writer) error {
	g, err := gallery.Read(path)
	if err != nil {
		return err
	}
	if asJSON {
		entries := g.Entries()
		if entries == nil {
			entries = []gallery.Entry{}
		}
		return json.NewEncoder(stdout).Encode(listed{g.Model(), g.Threshold(), g.Revision(), g.Len(), entries})
	}
	w := tabwriter.NewWriter(stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "ID\tNAME\tPICTURES\n")
	for _, e := range g.Entries() {
		fmt.Fprintf(w, "%s\t%s\t%d\n", e.ID, e.Name, e.Vectors)
	}
	_, err = fmt.Fprintf(stdout, "model %v, threshold %.3f, version %d\n", g.Model(), g.Threshold(), g.Revision())
	return errors.Join(err, w.Flush())
}

func remove(path string, ids []string, stdout io.Writer) error {
	g, err := gallery.Read(path)
	if err != nil {
		return err
	}
	for _, id := range ids {
		if err := g.Remove(id); err != nil {
			return err
		}
	}
	if err := g.Save(path); err != nil {
		return err
	}
	_, err = fmt.Fprintf(stdout, "removed %d; %d identities are left\n", len(ids), len(g.Entries()))
	return err
}
