package main

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"xbmedge/internal/atomicfile"
	"xbmedge/internal/bundle"
	"xbmedge/internal/cli"
	"xbmedge/internal/tflite"
)

// bundleFlags is the command line of bundle.
type bundleFlags struct {
	model, run, photos, out         string
	name, minAgent                  string
	version, golden                 int
	seed                            uint64
	thresholds, classes, conversion string
	compatible                      []string
	previous, sign                  string
	password                        func() (string, error)
	manifest                        bundle.Manifest
	parts                           bundle.Parts
	stderr                          io.Writer
}

func bundleCommand() cli.Command {
	return cli.Command{
		Name: "bundle", Summary: "make one file of a model and all that belongs to it, for the board",
		Long: `Puts a model into a bundle (.xbm): with golden images, drawn from --photos, and the
output that this machine computes for them, which the board must compute too; with
thresholds that the photos suggest, where they lie in class folders; with the names
of the classes, and with what is known of training and conversion. The board takes
the one file as model.path.

A bundle has a name and a version that grows: a board takes no older one than it has
had. With --previous both follow from the bundle before. A model can read the
galleries of its own embedding space, and of those it was trained to be compatible
with: that the run tells, or --compatible-with.`,
		Examples: `xbm-convert bundle --model model.tflite --run runs/1 --photos photos/test --name shelf --sign release.key --out shelf-1.xbm
xbm-convert bundle --model new.tflite --run runs/2 --photos photos/test --previous shelf-1.xbm --sign release.key --out shelf-2.xbm`,
		Setup: func(f *cli.Flags) cli.Func {
			var o bundleFlags
			f.StringVar(&o.model, "model", "", "the .tflite `FILE`")
			f.StringVar(&o.photos, "photos", "", "`FOLDER` of photos to draw golden images from, best such as the board will see")
			f.StringVar(&o.out, "out", "", "the .xbm `FILE` to write")
			f.StringVar(&o.run, "run", "", "`FOLDER` of the run the model was made of, for its provenance")
			f.StringVar(&o.conversion, "conversion", "", "`FILE` that xbm-convert quantize --json has written, for the provenance")
			f.StringVar(&o.name, "name", "", "`NAME` of the bundle (default that of --previous, of the run's folder or of the model)")
			f.IntVar(&o.version, "version", 0, "its version `N` (default one more than --previous, or 1)")
			f.StringVar(&o.previous, "previous", "", "the bundle `FILE` that this one follows")
			f.StringArrayVar(&o.compatible, "compatible-with", nil, "the model also reads galleries of this `SPACE`, .xbm or .tflite file; may be repeated")
			f.StringVar(&o.minAgent, "min-agent", "", "oldest xbm-agent `VERSION` that can use it")
			f.IntVar(&o.golden, "golden", 8, "draw `N` golden images")
			f.Uint64Var(&o.seed, "seed", 1, "`SEED` of the draw")
			f.StringVar(&o.thresholds, "thresholds", "", "take the thresholds from this JSON `FILE`, instead of measuring them on --photos")
			f.StringVar(&o.classes, "classes", "", "take the classes' names from this `FILE`, one a line, instead of the folders of --photos")
			f.StringVar(&o.sign, "sign", "", "sign with this secret key `FILE`")
			o.password = passwordFlag(f)
			f.Require("model", "photos", "out")
			return o.bundle
		},
	}
}

func (o *bundleFlags) bundle(ctx context.Context, _ []string, stdout, stderr io.Writer) error {
	if o.golden < 1 || o.golden > bundle.MaxGolden || o.version < 0 {
		return cli.Usagef("--golden must be 1 to %d, and --version not negative", bundle.MaxGolden)
	}
	o.stderr = stderr
	if err := tflite.Available(); err != nil {
		return err
	}
	if err := atomicfile.Check(o.out); err != nil { // before the long work
		return err
	}
	var key *bundle.SecretKey
	if o.sign != "" {
		var err error
		if key, err = readSecretKey(o.sign, o.password); err != nil {
			return err
		}
	}
	if err := o.gather(ctx); err != nil {
		return err
	}
	if err := bundle.Write(o.out, o.manifest, o.parts, key); err != nil {
		return err
	}
	return o.report(stdout, key)
}

// gather fills in the manifest and the parts.
func (o *bundleFlags) gather(ctx context.Context) error {
	model, info, err := bundle.LoadModel(o.model)
	if err != nil {
		return err
	}
	if info.Bundle != nil {
		return fmt.Errorf("%s is a bundle already; --model takes a .tflite file, and `xbm-convert unpack` gives the one in it", o.model)
	}
	if err := o.fromPhotos(ctx, model); err != nil {
		return err
	}
	o.manifest.Name, o.manifest.Version, o.manifest.MinAgent = o.name, o.version, o.minAgent
	o.manifest.SpaceID, o.manifest.Created = info.SpaceID, time.Now().UTC().Truncate(time.Second)
	if err := o.provenance(); err != nil {
		return err
	}
	if err := o.addSpaces(); err != nil {
		return err
	}
	if o.previous != "" {
		if err := o.follow(info); err != nil {
			return err
		}
	}
	if o.manifest.Name == "" {
		from := o.run
		if from == "" {
			from = strings.TrimSuffix(o.model, filepath.Ext(o.model))
		}
		o.manifest.Name = regexp.MustCompile(`[^a-zA-Z0-9._-]+`).ReplaceAllString(filepath.Base(filepath.Clean(from)), "-")
	}
	o.manifest.Version = max(o.manifest.Version, 1)
	return nil
}

// follow makes the bundle the next after --previous.
func (o *bundleFlags) follow(info bundle.ModelInfo) error {
	b, err := bundle.Open(o.previous)
	if err != nil {
		return err
	}
	before, m := b.Manifest(), &o.manifest
	if m.Name == "" {
		m.Name = before.Name
	}
	if m.Version == 0 {
		m.Version = before.Version + 1
	}
	switch {
	case m.Name != before.Name:
		return fmt.Errorf("--name is %s, and %s is called %s: a bundle that follows another has its name", m.Name, o.previous, before.Name)
	case m.Version <= before.Version:
		return fmt.Errorf("--version is %d, and %s has %d already: versions must grow, or boards refuse the bundle", m.Version, o.previous, before.Version)
	}
	if info.SHA256 == b.ModelSHA256() { // the same embeddings, whatever else is new
		m.SpaceID = before.SpaceID
		for _, space := range before.CompatibleSpaces {
			m.CompatibleSpaces = addSpace(m.CompatibleSpaces, space)
		}
	}
	if !m.Reads(before.SpaceID) {
		fmt.Fprintf(o.stderr, "the model cannot read galleries of %s: things must be enrolled anew. "+
			"One trained with xbm-train fit --compatible-with could\n", o.previous)
	}
	return nil
}

func (o *bundleFlags) report(stdout io.Writer, key *bundle.SecretKey) error {
	m := o.manifest
	signed := "not signed"
	if key != nil {
		signed = "signed with the key " + key.Public().ID()
	}
	fmt.Fprintf(stdout, "%s: %s version %d, %s\n", o.out, m.Name, m.Version, signed)
	fmt.Fprintf(stdout, "model        %d×%d pixels, %d values, %s, %d bytes\n", m.Input.Width, m.Input.Height, m.Dim, m.Quantisation, len(o.parts.Model))
	fmt.Fprintf(stdout, "space        %s\nreads also   %s\n", m.SpaceID, orNone(strings.Join(m.CompatibleSpaces, ", ")))
	for _, t := range o.parts.Thresholds {
		fmt.Fprintf(stdout, "threshold    %.3f: %.3g %% of strangers reach it, %.3g %% of known pictures do not\n", t.Threshold, 100*t.FalseAccept, 100*t.FalseReject)
	}
	_, err := fmt.Fprintf(stdout, "golden       %d images; %d classes\n", len(o.parts.Golden), len(o.parts.Classes))
	return err
}
