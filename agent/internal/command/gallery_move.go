package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"xbmedge/agent/internal/control"
	"xbmedge/agent/internal/curator"
	"xbmedge/internal/cli"
	"xbmedge/internal/gallery"
)

func galleryExport() cli.Command {
	return cli.Command{
		Name: "export", Args: "FILE", Summary: "copy a gallery, checked and whole, to another file",
		Examples: "xbm-agent gallery export --gallery things.gallery backup.gallery",
		Setup: func(f *cli.Flags) cli.Func {
			path := f.String("gallery", "", "gallery `FILE`")
			f.Require("gallery")
			return func(_ context.Context, args []string, stdout, stderr io.Writer) error {
				if len(args) != 1 {
					return cli.Usagef("gallery export: want one file")
				}
				if sameFile(*path, args[0]) {
					return fmt.Errorf("gallery export: %s is the gallery itself; name another file", args[0])
				}
				g, err := readGallery(*path, stderr)
				if err != nil {
					return err
				}
				if err := g.Save(args[0]); err != nil {
					return err
				}
				_, err = fmt.Fprintf(stdout, "wrote %s: %d identities, %d embeddings\n", args[0], len(g.Entries()), g.Len())
				return err
			}
		},
	}
}

func galleryImport() cli.Command {
	return cli.Command{
		Name: "import", Args: "FILE", Summary: "add what another gallery of the same model holds",
		Long: `Things that are in both get the embeddings of both, and the name in FILE. Their
thresholds stay as they are here. To take a gallery as it is, copy the file.`,
		Examples: "xbm-agent gallery import --gallery things.gallery others.gallery",
		Setup: func(f *cli.Flags) cli.Func {
			var t target
			t.flags(f)
			t.modelFlags(f)
			return func(ctx context.Context, args []string, stdout, stderr io.Writer) error {
				if len(args) != 1 {
					return cli.Usagef("gallery import: want one file")
				}
				return t.importFrom(ctx, args[0], stdout, stderr)
			}
		},
	}
}

func (t *target) importFrom(ctx context.Context, path string, stdout, stderr io.Writer) (err error) {
	from, err := readGallery(path, stderr)
	if err != nil {
		return err
	}
	s, err := t.open(ctx, stderr)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	into, err := gallery.Read(t.gallery)
	if err != nil {
		return fmt.Errorf("%w; to begin with a gallery, copy it", err)
	}
	if err := into.CheckSame(from); err != nil {
		return fmt.Errorf("gallery import %s: %w", path, err)
	}
	requests, err := imports(from)
	if err != nil {
		return err
	}
	at := 0
	outs, err := s.do(ctx, func() (*control.Request, error) {
		if at == len(requests) {
			return nil, nil //nolint:nilnil // the end
		}
		at++
		return requests[at-1], nil
	})
	if err != nil {
		return err
	}
	added := 0
	for _, o := range outs {
		added += o.Added
		for _, w := range o.Warnings {
			fmt.Fprintf(stderr, "note: %s\n", w)
		}
	}
	_, err = fmt.Fprintf(stdout, "%d identities imported, %d embeddings are new\n", len(from.Entries()), added)
	return err
}

// maxSamples is how many embeddings with their pictures go into one request.
const maxSamples = 100

// imports are the requests that add all of a gallery.
func imports(from *gallery.Gallery) ([]*control.Request, error) {
	var requests []*control.Request
	for _, e := range from.Entries() {
		own, rejected, err := from.Samples(e.ID)
		if err != nil {
			return nil, err
		}
		for ; len(own) > 0; own = own[min(len(own), maxSamples):] {
			r := &control.Request{Op: "add", ID: e.ID, Name: e.Name}
			for _, s := range own[:min(len(own), maxSamples)] {
				r.Samples = append(r.Samples, control.Sample(s))
			}
			requests = append(requests, r)
		}
		for _, s := range rejected {
			requests = append(requests, &control.Request{Op: "reject", ID: e.ID, Samples: []control.Sample{control.Sample(s)}})
		}
	}
	return requests, nil
}

func galleryReembed() cli.Command {
	return cli.Command{
		Name: "reembed", Summary: "move a gallery to another model, from the kept pictures",
		Long: `Makes all embeddings anew with --model. Names, ids and numbers stay; the threshold is
set by what is enrolled. Embeddings without a picture are left out and told; a thing
that has none with a picture is an error.

What was before is kept beside it. An agent does the same by itself when it starts or is
reloaded with another model. While one runs with the gallery, this command only writes a new
one, with --out.`,
		Examples: "xbm-agent gallery reembed --gallery things.gallery --model new.tflite --out new.gallery",
		Setup: func(f *cli.Flags) cli.Func {
			var t target
			t.flags(f)
			t.modelFlags(f)
			out := f.String("out", "", "write the new gallery to this `FILE`; without it the gallery itself is changed")
			f.Require("model")
			return func(ctx context.Context, _ []string, stdout, stderr io.Writer) error {
				return t.reembed(ctx, *out, stdout, stderr)
			}
		},
	}
}

func (t *target) reembed(ctx context.Context, out string, stdout, stderr io.Writer) error {
	if _, err := os.Stat(t.gallery); err != nil {
		return fmt.Errorf("gallery reembed: %w", err)
	}
	kept := ""
	said := func(o *curator.Outcome) string {
		for _, left := range o.Refused {
			fmt.Fprintf(stderr, "left out: %s: %s\n", left.Name, left.Why)
		}
		text := fmt.Sprintf("%d embeddings are of model %v now, %d were left out; threshold %.3f", o.N, o.Model, len(o.Refused), o.Threshold)
		if kept = o.Kept; out == "" {
			text += "; what was before is kept as " + kept
		}
		return text
	}
	if out == "" {
		client, _, err := t.agent(ctx)
		if err != nil {
			return err
		}
		if client != nil {
			return errors.Join(errors.New("gallery reembed: an agent runs with this gallery and its model; give --out, and reload the agent with both"), client.Close())
		}
	} else {
		if _, err := os.Stat(out); err == nil {
			return fmt.Errorf("gallery reembed: %s is there already; name a new file", out)
		}
		g, err := readGallery(t.gallery, stderr)
		if err == nil {
			err = g.Save(out)
		}
		if err != nil {
			return err
		}
		t.gallery = out
	}
	t.socket = "none"
	err := t.change(ctx, &control.Request{Op: "reembed"}, said, stdout, stderr)
	switch {
	case err != nil && out != "":
		err = errors.Join(err, os.Remove(out)) // it is of the old model
	case err == nil && out != "":
		err = os.Remove(kept) // it is the gallery, which is still there
	}
	return err
}
