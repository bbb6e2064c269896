package command

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"xbmedge/internal/cli"
	"xbmedge/internal/gallery"
)

func galleryGroup() cli.Command {
	return cli.Command{
		Name: "gallery", Summary: "look at what is enrolled, and change it",
		Long: `What changes a gallery asks the agent that runs with it, which takes it up at once;
where none runs, the file is changed.`,
		Commands: []cli.Command{
			galleryList(), galleryShow(), galleryStats(), galleryVerify(), galleryRemove(), galleryRm(), galleryForget(), galleryRename(), galleryName(),
			galleryMerge(), galleryReject(), galleryUnreject(), galleryThreshold(), galleryExport(), galleryImport(), galleryReembed(),
		},
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
			return func(_ context.Context, _ []string, stdout, stderr io.Writer) error {
				return list(*path, *asJSON, stdout, stderr)
			}
		},
	}
}

// listed is what `gallery list --json` prints.
type listed struct {
	Model       gallery.Model        `json:"model"`
	Threshold   float32              `json:"threshold"`
	Calibration *gallery.Calibration `json:"calibration,omitempty"`
	Version     uint64               `json:"version"`
	N           int                  `json:"n"`
	Identities  []gallery.Entry      `json:"identities"`
}

// readGallery reads a gallery and says where it had to be a copy.
func readGallery(path string, stderr io.Writer) (*gallery.Gallery, error) {
	g, err := gallery.Read(path)
	if err == nil && g.Recovered() != nil {
		fmt.Fprintf(stderr, "note: %v\n", g.Recovered())
	}
	return g, err
}

func list(path string, asJSON bool, stdout, stderr io.Writer) error {
	g, err := readGallery(path, stderr)
	if err != nil {
		return err
	}
	if asJSON {
		entries := g.Entries()
		if entries == nil {
			entries = []gallery.Entry{}
		}
		return json.NewEncoder(stdout).Encode(listed{g.Model(), g.Threshold(), g.Calibration(), g.Revision(), g.Len(), entries})
	}
	w := tabwriter.NewWriter(stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "ID\tNAME\tPICTURES\tCOUNTER-EXAMPLES\tTHRESHOLD\n")
	for _, e := range g.Entries() {
		own := ""
		if e.Threshold != 0 {
			own = fmt.Sprintf("%.3f", e.Threshold)
		}
		fmt.Fprintf(w, "%s\t%s\t%d\t%d\t%s\n", e.ID, e.Name, e.Vectors, e.Rejected, own)
	}
	_, err = fmt.Fprintf(stdout, "model %v, threshold %.3f, version %d\n", g.Model(), g.Threshold(), g.Revision())
	return errors.Join(err, w.Flush())
}

func galleryShow() cli.Command {
	return cli.Command{
		Name: "show", Args: "ID", Summary: "show the embeddings of one thing, by number",
		Examples: "xbm-agent gallery show --gallery things.gallery oat-milk",
		Setup: func(f *cli.Flags) cli.Func {
			path := f.String("gallery", "", "gallery `FILE`")
			asJSON := f.Bool("json", false, "print JSON")
			f.Require("gallery")
			return func(_ context.Context, args []string, stdout, stderr io.Writer) error {
				if len(args) != 1 {
					return cli.Usagef("gallery show: want one id")
				}
				return show(*path, args[0], *asJSON, stdout, stderr)
			}
		},
	}
}

func show(path, id string, asJSON bool, stdout, stderr io.Writer) error {
	g, err := readGallery(path, stderr)
	if err != nil {
		return err
	}
	own, rejected, err := g.Records(id)
	if err != nil {
		return err
	}
	if asJSON {
		return json.NewEncoder(stdout).Encode(map[string]any{"id": id, "embeddings": own, "counter_examples": rejected})
	}
	w := tabwriter.NewWriter(stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "NUMBER\tKIND\tADDED\tPICTURE\n")
	printRecords(w, "own", own)
	printRecords(w, "counter-example", rejected)
	return w.Flush()
}

func printRecords(w io.Writer, kind string, records []gallery.Record) {
	for _, r := range records {
		added, picture := "", "none"
		if !r.Added.IsZero() {
			added = r.Added.Format(time.DateTime)
		}
		if r.Crop > 0 {
			picture = fmt.Sprintf("%d bytes", r.Crop)
		}
		fmt.Fprintf(w, "%d\t%s\t%s\t%s\n", r.ID, kind, added, picture)
	}
}

func galleryStats() cli.Command {
	return cli.Command{
		Name: "stats", Summary: "say what a gallery holds and what its threshold rests on",
		Examples: "xbm-agent gallery stats --gallery things.gallery",
		Setup: func(f *cli.Flags) cli.Func {
			path := f.String("gallery", "", "gallery `FILE`")
			f.Require("gallery")
			return func(_ context.Context, _ []string, stdout, stderr io.Writer) error {
				return galleryFacts(*path, stdout, stderr)
			}
		},
	}
}

// galleryFacts prints a gallery's counts as JSON.
func galleryFacts(path string, stdout, stderr io.Writer) error {
	g, err := readGallery(path, stderr)
	if err != nil {
		return err
	}
	var s struct {
		Model       gallery.Model        `json:"model"`
		Version     uint64               `json:"version"`
		Identities  int                  `json:"identities"`
		Embeddings  int                  `json:"embeddings"`
		Rejected    int                  `json:"counter_examples"`
		Pictures    int                  `json:"pictures"`
		PictureSize int                  `json:"picture_bytes"`
		Threshold   float32              `json:"threshold"`
		Calibration *gallery.Calibration `json:"calibration"`
	}
	s.Model, s.Version, s.Embeddings, s.Threshold, s.Calibration = g.Model(), g.Revision(), g.Len(), g.Threshold(), g.Calibration()
	for _, e := range g.Entries() {
		s.Identities++
		s.Rejected += e.Rejected
		own, rejected, err := g.Records(e.ID)
		if err != nil {
			return err
		}
		for _, r := range append(own, rejected...) {
			s.PictureSize += r.Crop
			s.Pictures += min(r.Crop, 1)
		}
	}
	text, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(stdout, "%s\n", text)
	return err
}

func galleryVerify() cli.Command {
	return cli.Command{
		Name: "verify", Summary: "read all of a gallery, its pictures too, and tell what is damaged",
		Examples: "xbm-agent gallery verify --gallery things.gallery",
		Setup: func(f *cli.Flags) cli.Func {
			path := f.String("gallery", "", "gallery `FILE`")
			f.Require("gallery")
			return func(_ context.Context, _ []string, stdout, _ io.Writer) error {
				g, err := gallery.Read(*path)
				if err == nil {
					err = errors.Join(g.Recovered(), g.Verify())
				}
				if err != nil {
					return err
				}
				_, err = fmt.Fprintf(stdout, "%s is whole: %d identities, %d embeddings\n", *path, len(g.Entries()), g.Len())
				return err
			}
		},
	}
}
