package command

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"xbmedge/agent/internal/config"
	"xbmedge/agent/internal/control"
	"xbmedge/agent/internal/fitreport"
	"xbmedge/internal/atomicfile"
	"xbmedge/internal/cli"
	"xbmedge/internal/gallery"
	"xbmedge/internal/npy"
	"xbmedge/internal/photos"
	"xbmedge/internal/retrieval"
)

// calibration is the command line of calibrate.
type calibration struct {
	target
	far                    float64
	background, save, html string
	json, dry, force       bool
}

func calibrateCommand() cli.Command {
	return cli.Command{
		Name: "calibrate", Summary: "set the threshold for a rate of strangers that may get a name",
		Long: `Works out what strangers score against the gallery, and sets the threshold just above
what the wanted share of them does. Strangers are every enrolled picture for all other
things, and those in --background: pictures of what comes before the camera and is not
enrolled, the more the better. A rate of 0.001 takes some 10,000 of them to be shown;
with fewer it is said what rate they can show.

A lower threshold than now is refused when it would give an enrolled picture the name
of another thing, unless --force is given.`,
		Examples: `xbm-agent calibrate --gallery things.gallery --far 0.01
xbm-agent calibrate --gallery things.gallery --model m.tflite --background strangers/ --save-background strangers.npy
xbm-agent calibrate --gallery things.gallery --background strangers.npy --far 0.001 --html calibration.html`,
		Setup: func(f *cli.Flags) cli.Func {
			var c calibration
			c.flags(f)
			c.modelFlags(f)
			f.Float64Var(&c.far, "far", 0.001, "`SHARE` of strangers that may be taken for a known thing")
			f.StringVar(&c.background, "background", "", "folder of pictures, or .npy `FILE` of embeddings, of what is not enrolled; a folder needs --model")
			f.StringVar(&c.save, "save-background", "", "write the background's embeddings to this .npy `FILE`")
			f.StringVar(&c.html, "html", "", "write a report with curves and the closest pictures to this `FILE`")
			f.BoolVar(&c.json, "json", false, "print the report as JSON")
			f.BoolVar(&c.dry, "dry-run", false, "report, and change nothing")
			f.BoolVar(&c.force, "force", false, "lower the threshold even if an enrolled picture gets another thing's name")
			return c.run
		},
	}
}

func (c *calibration) run(ctx context.Context, args []string, stdout, stderr io.Writer) (err error) {
	if len(args) > 0 {
		return cli.Usagef("calibrate: %q is no flag", args[0])
	}
	for _, path := range []string{c.save, c.html} {
		if path != "" {
			if err := atomicfile.Check(path); err != nil { // before the long work
				return err
			}
		}
	}
	fit, g, err := c.fit(ctx, stderr)
	if err != nil {
		return err
	}
	if c.html != "" {
		if err := atomicfile.WriteBytes(c.html, 0o644, fitreport.HTML(g, fit)); err != nil {
			return err
		}
	}
	if err := c.print(stdout, g, fit); err != nil {
		return err
	}
	if c.dry {
		return nil
	}
	s, err := c.open(ctx, stderr)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	return c.set(ctx, s, fit)
}

// fit works the threshold out on the gallery's file, which is whole whoever changes it meanwhile.
func (c *calibration) fit(ctx context.Context, stderr io.Writer) (*gallery.Fit, *gallery.Gallery, error) {
	g, err := readGallery(c.gallery, stderr)
	if err != nil {
		return nil, nil, err
	}
	background, err := c.strangers(ctx, g, stderr)
	if err != nil {
		return nil, nil, err
	}
	if c.save != "" {
		if len(background) == 0 {
			return nil, nil, cli.Usagef("calibrate: --save-background without --background")
		}
		err := atomicfile.Write(c.save, 0o644, func(w io.Writer) error {
			var all []float32
			for _, v := range background {
				all = append(all, v...)
			}
			return npy.WriteMatrix(w, g.Model().Dim, all)
		})
		if err != nil {
			return nil, nil, err
		}
	}
	fit, err := g.Fit(c.far, background)
	return fit, g, err
}

// set asks for the threshold of a fit.
func (c *calibration) set(ctx context.Context, s *session, fit *gallery.Fit) error {
	_, err := s.ask(ctx, &control.Request{Op: "calibrate", Calibration: &fit.Calibration, Revision: fit.Revision, Force: c.force})
	return err
}

// strangers returns the background's embeddings.
func (c *calibration) strangers(ctx context.Context, g *gallery.Gallery, stderr io.Writer) ([][]float32, error) {
	if c.background == "" {
		return nil, nil
	}
	if info, err := os.Stat(c.background); err != nil {
		return nil, fmt.Errorf("background: %w", err)
	} else if info.IsDir() {
		return c.embedFolder(ctx, g, stderr)
	}
	if !strings.HasSuffix(c.background, ".npy") {
		return nil, cli.Usagef("calibrate: --background %s is neither a folder nor a .npy file", c.background)
	}
	_, dim, data, err := npy.ReadMatrix(c.background)
	if err != nil {
		return nil, err
	}
	if dim != g.Model().Dim {
		return nil, fmt.Errorf("background %s: rows of %d values, the gallery's model makes %d; make it with --save-background and that model", c.background, dim, g.Model().Dim)
	}
	return rowsOf(data, dim), nil
}

func (c *calibration) embedFolder(ctx context.Context, g *gallery.Gallery, stderr io.Writer) (_ [][]float32, err error) {
	if c.model == "" {
		return nil, cli.Usagef("calibrate: a folder of pictures needs a --model; a .npy file of their embeddings does not")
	}
	embedder, err := openModel(ctx, c.model, c.threads, newLogger(stderr, config.Log{Level: "warn"}))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, embedder.Close()) }()
	own, err := gallery.New(embedder.ForGallery())
	if err != nil {
		return nil, err
	}
	if err := own.CheckSame(g); err != nil {
		return nil, err
	}
	list, err := photos.List(c.background)
	if err != nil {
		return nil, fmt.Errorf("background: %w", err)
	}
	set, left, err := embedder.Photos(ctx, list)
	for _, s := range left {
		fmt.Fprintf(stderr, "left out: %v\n", s.Err)
	}
	if err != nil {
		return nil, fmt.Errorf("background: %w", err)
	}
	return rowsOf(set.Data, set.Dim), nil
}

// rowsOf returns the rows of a matrix, scaled to length 1. Rows of zeros, which are similar to nothing, are left out.
func rowsOf(data []float32, dim int) [][]float32 {
	var rows [][]float32
	for ; len(data) > 0; data = data[dim:] {
		if row := data[:dim]; retrieval.Dot(row, row) > 0 {
			retrieval.Normalize(row)
			rows = append(rows, row)
		}
	}
	return rows
}

func (c *calibration) print(w io.Writer, g *gallery.Gallery, f *gallery.Fit) error {
	if c.json {
		return json.NewEncoder(w).Encode(fitreport.Facts(g, f))
	}
	_, err := io.WriteString(w, fitreport.Text(g, f))
	return err
}
