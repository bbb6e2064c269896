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

func galleryCommand(_ context.Context, args []string, stdout, stderr io.Writer) error {
	fs := cli.Flags("xbm-agent gallery", stderr)
	path := fs.String("gallery", "", "gallery file")
	asJSON := fs.Bool("json", false, "print JSON")
	rest, err := cli.Parse(fs, args)
	if err != nil {
		return err
	}
	if err := cli.Require(fs, "gallery"); err != nil {
		return err
	}
	switch {
	case len(rest) == 1 && rest[0] == "list":
		return galleryList(*path, *asJSON, stdout)
	case len(rest) > 1 && rest[0] == "remove":
		return galleryRemove(*path, rest[1:], stdout)
	}
	return cli.Usagef("gallery: want list, or remove and ids")
}

// listed is what `gallery list --json` prints.
type listed struct {
	Model      gallery.Model   `json:"model"`
	Threshold  float32         `json:"threshold"`
	Version    uint64          `json:"version"`
	N          int             `json:"n"`
	Identities []gallery.Entry `json:"identities"`
}

func galleryList(path string, asJSON bool, stdout io.Writer) error {
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

func galleryRemove(path string, ids []string, stdout io.Writer) error {
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
