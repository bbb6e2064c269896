// Package curator changes a gallery as it is asked to: enrolls, corrects, calibrates. It does so on the file, under its
// lock, and hands the outcome to who uses it, so that the same request does the same at rest and on an agent that runs.
//
// The operations, and what they read of a control.Request:
//
//	info       nothing
//	add        id, name, samples
//	enroll     name, or id; pictures, or camera and seconds; most; last: set the threshold afterwards, to
//	           threshold or, where nobody has calibrated, by what is enrolled and far
//	remove     ids
//	forget     vector
//	rename     id, name
//	merge      id, ids: into id
//	reject     id; one of pictures, samples, embedding, event
//	unreject   vector
//	threshold  id, or none for the gallery's; threshold
//	calibrate  calibration, revision, force
//	reembed    nothing
package curator

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"xbmedge/agent/internal/control"
	"xbmedge/internal/gallery"
	"xbmedge/internal/vision"
)

// Embedder is the model that makes a gallery's embeddings.
type Embedder interface {
	Embed(dst []float32, f vision.Frame) error
	InputSize() (w, h int)
	ForGallery() gallery.Model
	LoadGallery(path string) (*gallery.Gallery, error)
}

// Live tells what a running agent's cameras see.
type Live interface {
	// Collect returns what a camera sees for so long.
	Collect(ctx context.Context, camera string, d time.Duration) ([]Seen, error)
	// Event returns what a match event was about, while it is remembered.
	Event(id string) (Seen, bool)
}

// Seen is a picture at the model's input size and its embedding.
type Seen struct {
	Picture   vision.Frame
	Embedding []float32
	At        time.Time

	name string // of its file
}

// Parts are what a Curator works with.
type Parts struct {
	Path string // of the gallery's file
	// Model opens the model, once, when it is first needed.
	Model func() (Embedder, error)
	// Use takes each new state of the gallery; nil where nobody waits for it.
	Use  func(*gallery.Gallery) error
	Live Live // nil where no cameras run
	Log  *slog.Logger
}

// Curator carries out requests on one gallery, one after the other.
type Curator struct {
	mu       sync.Mutex
	parts    Parts
	embedder Embedder
}

var _ control.Handler = (*Curator)(nil)

// New returns a curator. It opens nothing yet.
func New(parts Parts) *Curator { return &Curator{parts: parts} }

// During runs change, such as another model and file taking their places, while no request is carried out. Parts that it
// changes are used from then on.
func (c *Curator) During(change func(*Parts) error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	err := change(&c.parts)
	c.embedder = nil
	return err
}

// Outcome is what a request gave. Which fields are set depends on the operation.
type Outcome struct {
	Gallery   string               `json:"gallery"`
	Model     gallery.Model        `json:"model"`
	Revision  uint64               `json:"revision"`
	Threshold float32              `json:"threshold"`
	N         int                  `json:"n"` // embeddings
	Input     [2]int               `json:"input,omitzero"`
	ID        string               `json:"id,omitempty"`
	Vector    uint64               `json:"vector,omitempty"`
	Added     int                  `json:"added,omitempty"`
	Dropped   int                  `json:"dropped,omitempty"` // embeddings too like others to be kept
	Refused   []Refusal            `json:"refused,omitempty"`
	Warnings  []string             `json:"warnings,omitempty"`
	Calibrate *gallery.Calibration `json:"calibration,omitempty"`
}

// Refusal is a picture that was not taken, and why.
type Refusal struct {
	Name string `json:"name"`
	Why  string `json:"why"`
}

// Handle carries out a request.
func (c *Curator) Handle(ctx context.Context, r *control.Request) (any, error) {
	var seen []Seen
	if r.Op == "enroll" && r.Camera != "" { // before the lock: it takes its time
		var err error
		if seen, err = c.collect(ctx, r); err != nil {
			return nil, err
		}
	}
	outs, err := c.batch(ctx, one(r), seen)
	if err != nil {
		return nil, err
	}
	return outs[0], nil
}

// one returns a request, and then nil.
func one(r *control.Request) func() (*control.Request, error) {
	return func() (next *control.Request, err error) {
		next, r = r, nil
		return next, nil
	}
}

// Batch carries out requests, until next returns nil, as one change: the file is read before the first and written after
// the last, and when one fails, or next does, none has been.
func (c *Curator) Batch(ctx context.Context, next func() (*control.Request, error)) ([]*Outcome, error) {
	return c.batch(ctx, next, nil)
}

func (c *Curator) batch(ctx context.Context, next func() (*control.Request, error), seen []Seen) (outs []*Outcome, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	unlock, err := gallery.Lock(ctx, c.parts.Path)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	var g *gallery.Gallery
	before := uint64(0)
	for {
		r, err := next()
		if err != nil {
			return nil, err
		}
		if r == nil {
			break
		}
		op, known := operations()[r.Op]
		if !known {
			return nil, fmt.Errorf("%q is no operation on a gallery", r.Op)
		}
		j := &job{Curator: c, ctx: ctx, Request: r, seen: seen, g: g}
		if g == nil {
			if err := j.open(op.model); err != nil {
				return nil, err
			}
			before = j.g.Revision()
		}
		if err := op.do(j); err != nil {
			return nil, err
		}
		g = j.g
		if err := j.tell(); err != nil {
			return nil, err
		}
		outs = append(outs, &j.out)
	}
	if g != nil && g.Revision() != before {
		return outs, c.keep(g)
	}
	return outs, nil
}

// keep saves a new state and hands it on.
func (c *Curator) keep(g *gallery.Gallery) error {
	if err := g.Save(c.parts.Path); err != nil {
		return err
	}
	if c.parts.Use == nil {
		return nil
	}
	if err := c.parts.Use(g); err != nil {
		return fmt.Errorf("saved, but the agent goes on with what was before: %w", err)
	}
	return nil
}

// tell fills in the outcome's facts of the gallery.
func (j *job) tell() error {
	path, err := filepath.Abs(j.parts.Path)
	j.out.Gallery, j.out.Model, j.out.Revision = path, j.g.Model(), j.g.Revision()
	j.out.Threshold, j.out.N = j.g.Threshold(), j.g.Len()
	return err
}

// job is one request at work.
type job struct {
	*Curator
	*control.Request
	ctx  context.Context //nolint:containedctx // a job lives as long as the call it belongs to
	seen []Seen
	g    *gallery.Gallery
	out  Outcome
}

// open reads the gallery. With a model it must be that model's, and is made where there is none.
func (j *job) open(model bool) error {
	if !model {
		g, err := gallery.Read(j.parts.Path)
		if err != nil {
			return err
		}
		return j.take(g)
	}
	e, err := j.sized()
	if err != nil {
		return err
	}
	g, err := e.LoadGallery(j.parts.Path)
	if errors.Is(err, gallery.ErrWrongModel) && j.Op == "reembed" {
		g, err = gallery.Read(j.parts.Path)
	}
	if errors.Is(err, os.ErrNotExist) {
		g, err = gallery.New(e.ForGallery())
	}
	if err != nil {
		return err
	}
	return j.take(g)
}

// sized returns the model, and tells the size of its input.
func (j *job) sized() (Embedder, error) {
	e, err := j.model()
	if err == nil {
		j.out.Input[0], j.out.Input[1] = e.InputSize()
	}
	return e, err
}

// own returns an error unless the gallery is of the model in use.
func (j *job) own() error {
	e, err := j.sized()
	if err != nil {
		return err
	}
	other, err := gallery.New(e.ForGallery())
	if err != nil {
		return err
	}
	return j.g.CheckSame(other)
}

func (j *job) take(g *gallery.Gallery) error {
	j.g = g
	if damage := g.Recovered(); damage != nil {
		j.out.Warnings = append(j.out.Warnings, damage.Error())
		j.parts.Log.Warn("the gallery was damaged", "error", damage)
	}
	return nil
}

func (c *Curator) model() (Embedder, error) {
	if c.embedder != nil {
		return c.embedder, nil
	}
	e, err := c.parts.Model()
	if err != nil {
		return nil, err
	}
	c.embedder = e
	return e, nil
}
