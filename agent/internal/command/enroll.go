package command

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"xbmedge/agent/internal/control"
	"xbmedge/agent/internal/curator"
	"xbmedge/internal/atomicfile"
	"xbmedge/internal/cli"
	"xbmedge/internal/gallery"
)

// enrolled is what enroll prints with --json.
type enrolled struct {
	Gallery     string               `json:"gallery"`
	Identities  []gallery.Entry      `json:"identities"` // all, not only the new
	Added       int                  `json:"added"`
	Skipped     int                  `json:"skipped"` // pictures that could not be used
	Dropped     int                  `json:"dropped"` // embeddings too like others to be kept
	Threshold   float32              `json:"threshold"`
	Refused     []curator.Refusal    `json:"refused,omitempty"`
	Warnings    []string             `json:"warnings,omitempty"`
	Calibration *gallery.Calibration `json:"calibration,omitempty"`
}

// enrolment is the command line of enroll.
type enrolment struct {
	target
	dir, background, camera string
	most                    int
	far, threshold, seconds float64
	json, force             bool
}

func enroll() cli.Command {
	return cli.Command{
		Name: "enroll", Args: "[NAME [FILE|FOLDER...]]",
		Summary: "enroll things from pictures of them",
		Long: `Puts one thing into the gallery from its pictures (NAME and files or folders), one
thing from each sub-folder of --dir, or NAME from what a camera of the agent that
runs sees for some seconds. A thing that is there already gets the pictures added.
Then the threshold between known and unknown things is set by all that is enrolled,
unless ` + "`xbm-agent calibrate`" + ` has set it before.

Pictures that are blurred, badly exposed, too small or empty are left out, and it is
said why. Of each thing those pictures are kept that differ most.

Where an agent runs with the gallery, it is asked to do it and knows the thing at
once; otherwise the file is changed.`,
		Examples: `xbm-agent enroll --model m.tflite --gallery things.gallery "Oat milk" oat1.jpg oat2.jpg
xbm-agent enroll --model m.tflite --gallery things.gallery --dir photos/train
xbm-agent enroll --gallery /var/lib/xbm-agent/things.gallery "My keys" --camera shelf --seconds 5`,
		Setup: func(f *cli.Flags) cli.Func {
			var e enrolment
			e.flags(f)
			e.modelFlags(f)
			f.StringVar(&e.dir, "dir", "", "`FOLDER` with one sub-folder of pictures for each thing")
			f.StringVar(&e.camera, "camera", "", "enroll what this `CAMERA` of the agent that runs sees")
			f.Float64Var(&e.seconds, "seconds", 5, "watch the camera for so many `SECONDS`")
			f.StringVar(&e.background, "background", "", "calibrate with this `FOLDER` of pictures, or .npy file, of what is not enrolled")
			f.IntVar(&e.most, "max", 32, "keep at most `N` embeddings of each thing, those that differ most; 0: all")
			f.Float64Var(&e.far, "far", 0.001, "`SHARE` of strangers that may be taken for a known thing")
			f.Float64Var(&e.threshold, "threshold", 0, "set the threshold to this `COSINE` instead of calibrating it")
			f.BoolVar(&e.force, "force", false, "take poor pictures, too")
			f.BoolVar(&e.json, "json", false, "print the outcome as JSON")
			return e.run
		},
	}
}

func (o *enrolment) run(ctx context.Context, args []string, stdout, stderr io.Writer) (err error) {
	var things []thing
	var unread []error
	if o.camera != "" {
		if len(args) != 1 || o.dir != "" {
			return cli.Usagef("enroll: with --camera want a name and nothing else")
		}
		things = []thing{{name: args[0]}}
	} else if things, unread, err = findThings(o.dir, args); err != nil {
		return err
	}
	for _, fault := range unread {
		fmt.Fprintf(stderr, "left out: %v\n", fault)
	}
	if len(things) == 0 {
		return fmt.Errorf("enroll: %w", errors.Join(unread...))
	}
	s, err := o.open(ctx, stderr)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	if s.client == nil {
		if err := atomicfile.Check(o.gallery); err != nil { // before the long work
			return err
		}
	}
	out := enrolled{Gallery: o.gallery}
	if err := o.enroll(ctx, s, things, &out, stderr); err != nil {
		return err
	}
	if o.background != "" {
		c := calibration{target: o.target, far: o.far, background: o.background}
		fit, _, err := c.fit(ctx, stderr)
		if err == nil {
			out.Calibration = &fit.Calibration
			err = c.set(ctx, s, fit)
		}
		if err != nil {
			return fmt.Errorf("enrolled, but not calibrated: %w", err)
		}
	}
	g, err := gallery.Read(o.gallery)
	if err != nil {
		return err
	}
	out.Identities, out.Threshold = g.Entries(), g.Threshold()
	if len(things) > 1 { // of the last one it was told
		for _, t := range things[:len(things)-1] {
			out.Warnings = append(out.Warnings, curator.Alike(g, gallery.Slug(t.name))...)
		}
	}
	for _, w := range out.Warnings {
		fmt.Fprintf(stderr, "note: %s\n", w)
	}
	if err := printEnrolled(stdout, out, o.json); err != nil {
		return err
	}
	if len(unread) > 0 {
		return fmt.Errorf("%d folders could not be read, all others are enrolled: %w", len(unread), errors.Join(unread...))
	}
	return nil
}

// enroll asks for all things to be enrolled, and gathers what came of it.
func (o *enrolment) enroll(ctx context.Context, s *session, things []thing, out *enrolled, stderr io.Writer) error {
	w, h, err := s.inputSize(ctx)
	if err != nil {
		return err
	}
	requests := o.requests(ctx, things, w, h, out)
	outs, err := s.do(ctx, requests)
	tell := func(r curator.Refusal) { fmt.Fprintf(stderr, "left out: %s: %s\n", r.Name, r.Why) }
	for _, done := range outs {
		out.Added += done.Added
		out.Dropped += done.Dropped
		out.Refused = append(out.Refused, done.Refused...)
		out.Warnings = append(out.Warnings, done.Warnings...)
		out.Calibration = cmp.Or(done.Calibrate, out.Calibration)
	}
	for _, r := range out.Refused {
		tell(r)
	}
	out.Skipped = len(out.Refused)
	return err
}

// maxPictures is how many pictures go into one request.
const maxPictures = 32

// requests returns a function that gives one request after another, with the pictures of the next thing, or some of them.
func (o *enrolment) requests(ctx context.Context, things []thing, w, h int, out *enrolled) func() (*control.Request, error) {
	return func() (*control.Request, error) {
		for len(things) > 0 {
			t := &things[0]
			r := &control.Request{Op: "enroll", Name: t.name, Most: o.most, Force: o.force, FAR: o.far, Camera: o.camera}
			if o.camera != "" {
				r.Seconds = o.seconds
			}
			n := min(len(t.photos), maxPictures)
			if n > 0 {
				pictures, refused, err := load(ctx, t.photos[:n], w, h, o.force)
				if err != nil {
					return nil, err
				}
				out.Refused = append(out.Refused, refused...)
				r.Pictures = pictures
				t.photos = t.photos[n:]
			}
			if len(t.photos) == 0 {
				things = things[1:]
			}
			if r.Last = len(things) == 0; r.Last && o.threshold != 0 {
				threshold := float32(o.threshold)
				r.Threshold = &threshold
			}
			if len(r.Pictures) > 0 || r.Camera != "" || r.Last && out.Gallery != "" && len(out.Refused) == 0 {
				return r, nil
			}
			if n > 0 && len(r.Pictures) == 0 && (r.Last || len(t.photos) == 0) {
				return nil, fmt.Errorf("enroll %s: none of its last %d pictures can be used, the first because: %s", r.Name, n, out.Refused[len(out.Refused)-n].Why)
			}
		}
		return nil, nil //nolint:nilnil // the end
	}
}

func printEnrolled(w io.Writer, out enrolled, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(w).Encode(out)
	}
	_, err := fmt.Fprintf(w, "%s: %d pictures added, %d could not be used, %d not kept since they are like others; %d identities; threshold %.3f\n",
		out.Gallery, out.Added, out.Skipped, out.Dropped, len(out.Identities), out.Threshold)
	if c := out.Calibration; err == nil && c != nil {
		_, err = fmt.Fprintf(w, "threshold: %s (of %d strangers' scores %.2f %% at or above it, of %d own scores %.2f %% below)\n",
			c.Why, c.Impostors, 100*c.FAR, c.Genuine, 100*c.FRR)
	}
	return err
}
