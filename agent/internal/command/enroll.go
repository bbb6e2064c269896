package command

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"slices"

	"xbmedge/agent/internal/config"
	"xbmedge/internal/atomicfile"
	"xbmedge/internal/cli"
	"xbmedge/internal/embed"
	"xbmedge/internal/gallery"
	"xbmedge/internal/photos"
)

// enrolled is what enroll prints with --json.
type enrolled struct {
	Gallery     string               `json:"gallery"`
	Identities  []gallery.Entry      `json:"identities"` // all, not only the new
	Added       int                  `json:"added"`
	Skipped     int                  `json:"skipped"`
	Threshold   float32              `json:"threshold"`
	Calibration *gallery.Calibration `json:"calibration,omitempty"`
}

// enrolment is the command line of enroll.
type enrolment struct {
	model, gallery, dir, background string
	most, threads                   int
	far, threshold                  float64
	json                            bool
}

func enroll() cli.Command {
	return cli.Command{
		Name: "enroll", Args: "[NAME FILE|FOLDER...]",
		Summary: "enroll things from pictures of them",
		Long: `Puts one thing into the gallery from its pictures (NAME and files or folders), or
one thing from each sub-folder of --dir. A thing that is there already gets the
pictures added. Then the threshold between known and unknown things is
calibrated on all that is enrolled.`,
		Examples: `xbm-agent enroll --model m.tflite --gallery things.gallery "Oat milk" oat1.jpg oat2.jpg
xbm-agent enroll --model m.tflite --gallery things.gallery --dir photos/train`,
		Setup: func(f *cli.Flags) cli.Func {
			var e enrolment
			f.StringVar(&e.model, "model", "", "embedding model `FILE` (.xbm or .tflite)")
			f.StringVar(&e.gallery, "gallery", "", "gallery `FILE`; made when it is not there")
			f.StringVar(&e.dir, "dir", "", "`FOLDER` with one sub-folder of pictures for each thing")
			f.StringVar(&e.background, "background", "", "`FOLDER` of pictures that show nothing enrolled, for a better threshold")
			f.IntVar(&e.most, "max", 0, "at most `N` pictures of each thing, evenly taken; 0: all")
			f.Float64Var(&e.far, "far", 0.001, "`SHARE` of strangers that may be taken for a known thing")
			f.Float64Var(&e.threshold, "threshold", 0, "set the threshold to this `COSINE` instead of calibrating it")
			f.IntVar(&e.threads, "threads", 1, "run the model on `N` processor threads")
			f.BoolVar(&e.json, "json", false, "print the outcome as JSON")
			f.Require("model", "gallery")
			return e.run
		},
	}
}

func (o *enrolment) run(ctx context.Context, args []string, stdout, stderr io.Writer) (err error) {
	things, err := findThings(o.dir, args)
	if err != nil {
		return err
	}
	if err := atomicfile.Check(o.gallery); err != nil { // before the long work
		return err
	}
	log := newLogger(stderr, config.Log{Level: "info"})
	embedder, err := openModel(ctx, o.model, o.threads, log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, embedder.Close()) }()
	g, err := embedder.LoadGallery(o.gallery)
	if errors.Is(err, os.ErrNotExist) {
		g, err = gallery.New(embedder.ForGallery())
	}
	if err != nil {
		return err
	}
	out := enrolled{Gallery: o.gallery}
	before := g.Len()
	if out.Skipped, err = enrollAll(ctx, g, embedder.Embedder, things, o.most, stderr); err != nil {
		return err
	}
	out.Added = g.Len() - before
	if o.threshold != 0 {
		if err := g.SetThreshold(float32(o.threshold)); err != nil {
			return err
		}
	} else if out.Calibration, err = calibrate(ctx, g, embedder.Embedder, o.far, o.background, stderr); err != nil {
		return err
	}
	if err := g.Save(o.gallery); err != nil {
		return err
	}
	out.Identities, out.Threshold = g.Entries(), g.Threshold()
	return printEnrolled(stdout, out, o.json)
}

// enrollAll embeds the pictures of all things and puts them into the gallery. It returns how many could not be read.
func enrollAll(ctx context.Context, g *gallery.Gallery, e *embed.Embedder, things []thing, most int, stderr io.Writer) (skipped int, err error) {
	names := map[string]string{}
	for _, e := range g.Entries() {
		names[e.ID] = e.Name
	}
	for _, t := range things {
		if old := names[gallery.Slug(t.name)]; old != "" && old != t.name {
			fmt.Fprintf(stderr, "%q has the id of %q, %s: it is taken for the same thing and gets the new name; if it is another, "+
				"remove %[3]s and enroll both under names that differ in letters or digits\n", t.name, old, gallery.Slug(t.name))
		}
		vectors, left, err := embedAll(ctx, e, evenly(t.photos, most), stderr)
		if err != nil {
			return 0, fmt.Errorf("enroll %s: %w", t.name, err)
		}
		skipped += left
		if err := g.Enroll(gallery.Slug(t.name), t.name, vectors); err != nil {
			return 0, err
		}
	}
	return skipped, nil
}

func calibrate(ctx context.Context, g *gallery.Gallery, e *embed.Embedder, far float64, folder string, stderr io.Writer) (*gallery.Calibration, error) {
	var background [][]float32
	if folder != "" {
		list, err := photos.List(folder)
		if err != nil {
			return nil, err
		}
		if background, _, err = embedAll(ctx, e, list, stderr); err != nil {
			return nil, fmt.Errorf("background: %w", err)
		}
	}
	c, err := g.Calibrate(far, background)
	if err != nil {
		return nil, err
	}
	return &c, g.SetThreshold(c.Threshold)
}

func printEnrolled(w io.Writer, out enrolled, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(w).Encode(out)
	}
	_, err := fmt.Fprintf(w, "%s: %d pictures added, %d could not be read; %d identities; threshold %.3f\n",
		out.Gallery, out.Added, out.Skipped, len(out.Identities), out.Threshold)
	if c := out.Calibration; err == nil && c != nil {
		_, err = fmt.Fprintf(w, "threshold: %s (of %d strangers' scores %.2f %% at or above it, of %d own scores %.2f %% below)\n",
			c.Why, c.Impostors, 100*c.FAR, c.Genuine, 100*c.FRR)
	}
	return err
}

// thing is one identity to enroll.
type thing struct {
	name   string
	photos []photos.Photo
}

// findThings lists the pictures: of each sub-folder of dir, or of the files and folders after a name.
func findThings(dir string, rest []string) ([]thing, error) {
	if dir != "" {
		if len(rest) > 0 {
			return nil, cli.Usagef("enroll: %q besides --dir", rest[0])
		}
		return byFolder(dir)
	}
	if len(rest) < 2 {
		return nil, cli.Usagef("enroll: want a name and its pictures, or --dir")
	}
	t := thing{name: rest[0]}
	for _, p := range rest[1:] {
		info, err := os.Stat(p)
		if err != nil {
			return nil, fmt.Errorf("enroll %s: %w", t.name, err)
		}
		if !info.IsDir() {
			t.photos = append(t.photos, photos.Photo{Path: p})
			continue
		}
		list, err := photos.List(p)
		if err != nil {
			return nil, fmt.Errorf("enroll %s: %w", t.name, err)
		}
		t.photos = append(t.photos, list...)
	}
	return []thing{t}, nil
}

func byFolder(dir string) ([]thing, error) {
	list, err := photos.List(dir)
	if err != nil {
		return nil, err
	}
	var things []thing
	ids := map[string]string{}
	for _, p := range list { // sorted by class
		if p.Class == "" {
			return nil, fmt.Errorf("enroll: %s lies in no sub-folder of %s; each sub-folder is one thing", p.Path, dir)
		}
		if n := len(things); n == 0 || things[n-1].name != p.Class {
			id := gallery.Slug(p.Class)
			if other, taken := ids[id]; taken {
				return nil, fmt.Errorf("enroll: the folders %q and %q would both get the id %s; rename one", other, p.Class, id)
			}
			ids[id] = p.Class
			things = append(things, thing{name: p.Class})
		}
		t := &things[len(things)-1]
		t.photos = append(t.photos, p)
	}
	for i := range things {
		things[i].name = path.Clean(things[i].name)
	}
	return things, nil
}

// evenly takes n of the photos over the whole list; 0 takes all.
func evenly(list []photos.Photo, n int) []photos.Photo {
	if n <= 0 || n >= len(list) {
		return list
	}
	out := make([]photos.Photo, n)
	for i := range out {
		out[i] = list[i*len(list)/n]
	}
	return slices.Clip(out)
}

// embedAll embeds pictures and says which could not be read.
func embedAll(ctx context.Context, e *embed.Embedder, list []photos.Photo, stderr io.Writer) (vectors [][]float32, skipped int, err error) {
	set, left, err := e.Photos(ctx, list)
	if err != nil {
		return nil, 0, err
	}
	for _, s := range left {
		fmt.Fprintf(stderr, "left out: %v\n", s.Err)
	}
	for i := range set.Photos {
		vectors = append(vectors, set.Data[i*set.Dim:(i+1)*set.Dim])
	}
	return vectors, len(left), nil
}
