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
//	name       id of a stranger, name of what it is: a new thing or one that is enrolled
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
	"log/slog"
	"os"
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
	// Latest returns what the latest events that told of an identity or a stranger were about.
	Latest(identity string) []Seen
}

// Strangers are the unknown things that a running agent remembers.
type Strangers interface {
	// Vectors returns what one looks like.
	Vectors(id string) ([][]float32, error)
	Forget(id string) error
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
	// Strangers is nil where none are remembered.
	Strangers Strangers
	Log       *slog.Logger
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
	Kept      string               `json:"kept,omitempty"` // file with what was before, which no later change replaces
	Warnings  []string             `json:"warnings,omitempty"`
	Calibrate *gallery.Calibration `json:"calibration,omitempty"`
}

// Refusal is a picture that was not taken, and why.
type Refusal struct {
	Name string `json:"name"`
	Why  string `json:"why"`
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
