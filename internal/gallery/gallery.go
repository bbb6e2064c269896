// Package gallery keeps the embeddings of the things a camera should know and decides, for a new embedding, which of
// them it shows, or that it shows none of them. "None of them" is an answer like any other: a score below the
// threshold never carries a name.
//
// A gallery belongs to one embedding space: embeddings of two models cannot be compared unless one was trained to be
// compatible with the other, so a file remembers its model's space and is refused with a model that does not read it. It keeps the picture of each embedding, where it was given one, from which another model can
// make its own.
package gallery

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Limits on what a gallery holds; a file beyond them is refused.
const (
	MaxDim        = 4096
	MaxIdentities = 100_000
	MaxVectors    = 2_000_000
	maxNameBytes  = 200
	maxSpaces     = 256
)

// UnknownID stands for "none of the enrolled" in messages; no identity may have it.
const UnknownID = "unknown"

// DefaultThreshold stands until Calibrate has seen enough to suggest a better one.
const DefaultThreshold = 0.5

// Model says which model made the embeddings.
type Model struct {
	Name   string `json:"name"`
	SHA256 string `json:"sha256"` // of the model file, in hex
	Dim    int    `json:"dim"`    // values in one embedding
	// SpaceID is the embedding space, see Space; files made before there were bundles have none.
	SpaceID string `json:"space_id,omitempty"`
}

// Space returns the id of the model's embedding space: SpaceID, or where that is empty the first 16 bytes of the SHA-256,
// in hex, as in a bundle that says nothing else.
func (m Model) Space() string {
	if m.SpaceID != "" {
		return m.SpaceID
	}
	return m.SHA256[:min(32, len(m.SHA256))]
}

func (m Model) String() string {
	return fmt.Sprintf("%q (sha256 %.12s, %d values)", m.Name, m.SHA256, m.Dim)
}

// Identity is one thing to recognise. The ID never changes; the name is for people.
type Identity struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

// Entry is an enrolled identity and what there is of it.
type Entry struct {
	Identity
	Vectors   int     `json:"vectors"`
	Rejected  int     `json:"rejected,omitempty"`  // counter-examples
	Threshold float32 `json:"threshold,omitempty"` // its own; 0: the gallery's
}

// Gallery holds enrolled embeddings, L2-normalised. Its methods may be called from several goroutines as long as none
// of them changes it; matching goes through a Matcher.
type Gallery struct {
	model       Model
	others      []string // spaces, besides the model's own, of some of the embeddings; sorted
	threshold   float32
	revision    uint64
	next        uint64 // number of the next embedding
	calibration *Calibration
	byHand      bool    // the threshold
	things      []thing // sorted by ID
	file        string  // holds the pictures that are not in memory
	recovered   error
}

// thing is an identity with all that is known of it.
type thing struct {
	Identity
	threshold float32 // 0: the gallery's
	own       set     // what it looks like
	rejected  set     // what was taken for it and is not
}

var idPattern = regexp.MustCompile(`^[a-z0-9_-]{1,64}$`)

// strangerPrefix starts the ids of strangers that are told apart without a name: unknown-7.
const strangerPrefix = UnknownID + "-"

// CheckID returns nil for an id that an identity can have.
func CheckID(id string) error {
	switch {
	case !idPattern.MatchString(id):
		return fmt.Errorf("%q: an id has 1 to 64 of a-z, 0-9, _ and -", id)
	case id == UnknownID || strings.HasPrefix(id, strangerPrefix):
		return fmt.Errorf("%s: that id stands for what is not enrolled; choose another name", id)
	}
	return nil
}

// CheckName returns nil for a name that an identity can have. It is shown to people, and must not look like a path.
func CheckName(name string) error {
	switch {
	case name == "" || len(name) > maxNameBytes:
		return fmt.Errorf("the name has %d bytes; want 1 to %d", len(name), maxNameBytes)
	case strings.ContainsAny(name, "/\\\x00\n\r"):
		return fmt.Errorf("the name %q has a path separator or a line break in it; take one without", name)
	}
	return nil
}

// New returns an empty gallery for the embeddings of a model.
func New(model Model) (*Gallery, error) {
	if model.Dim < 1 || model.Dim > MaxDim {
		return nil, fmt.Errorf("new gallery: embeddings of %d values; want 1 to %d", model.Dim, MaxDim)
	}
	return &Gallery{model: model, threshold: DefaultThreshold, next: 1}, nil
}

// Model returns the model whose embeddings the gallery holds.
func (g *Gallery) Model() Model { return g.model }

// OtherSpaces returns the embedding spaces, besides the model's own, that some of the embeddings are of: those of older
// models that this one is compatible with. Nil for none.
func (g *Gallery) OtherSpaces() []string { return slices.Clone(g.others) }

// adopt makes model the gallery's, where it reads all embeddings in it; readable are the spaces, besides its own, that the
// model reads. What is enrolled from then on is of the model's space.
func (g *Gallery) adopt(model Model, readable []string) error {
	var others []string
	for _, space := range append([]string{g.model.Space()}, g.others...) {
		if space == model.Space() {
			continue
		}
		if !slices.Contains(readable, space) {
			return ErrWrongModel
		}
		others = append(others, space)
	}
	if g.model.Dim != model.Dim {
		return ErrWrongModel
	}
	slices.Sort(others)
	g.model, g.others = model, slices.Compact(others)
	return nil
}

// Threshold returns the least cosine at which an embedding counts as a known thing.
func (g *Gallery) Threshold() float32 { return g.threshold }

// SetThreshold sets the least cosine of a known thing, above -1 and at most 1. What another threshold was calibrated for
// is forgotten.
func (g *Gallery) SetThreshold(t float32) error {
	if !(t > -1 && t <= 1) {
		return fmt.Errorf("threshold %v: want more than -1 and at most 1", t)
	}
	if t != g.threshold || g.byHand {
		g.threshold, g.calibration, g.byHand = t, nil, false
		g.revision++
	}
	return nil
}

// FixThreshold is SetThreshold by somebody who means it: ThresholdFixed tells, until the next SetThreshold or calibration.
func (g *Gallery) FixThreshold(t float32) error {
	if err := g.SetThreshold(t); err != nil {
		return err
	}
	g.byHand = true
	g.revision++
	return nil
}

// ThresholdFixed reports whether the threshold was set by hand.
func (g *Gallery) ThresholdFixed() bool { return g.byHand }

// Revision grows by one with every change.
func (g *Gallery) Revision() uint64 { return g.revision }

// Len returns the number of embeddings, without counter-examples.
func (g *Gallery) Len() int {
	n := 0
	for i := range g.things {
		n += len(g.things[i].own.records)
	}
	return n
}

// total is Len with counter-examples.
func (g *Gallery) total() int {
	n := g.Len()
	for i := range g.things {
		n += len(g.things[i].rejected.records)
	}
	return n
}

// Entries returns the enrolled identities, sorted by ID.
func (g *Gallery) Entries() []Entry {
	var entries []Entry
	for i := range g.things {
		t := &g.things[i]
		entries = append(entries, Entry{t.Identity, len(t.own.records), len(t.rejected.records), t.threshold})
	}
	return entries
}

// SetOwnThreshold sets the least cosine of one identity; 0 makes it the gallery's again.
func (g *Gallery) SetOwnThreshold(id string, t float32) error {
	at, known := g.find(id)
	if !known {
		return fmt.Errorf("threshold of %q: %w", id, ErrUnknownIdentity)
	}
	if !(t > -1 && t <= 1) {
		return fmt.Errorf("threshold of %s: %v: want more than -1 and at most 1", id, t)
	}
	if t != g.things[at].threshold {
		g.things[at].threshold = t
		g.revision++
	}
	return nil
}

// Calibration returns how the threshold was come to, nil where nobody calibrated.
func (g *Gallery) Calibration() *Calibration { return g.calibration }

// Recovered returns what was wrong with the file, when the gallery was read from the copy beside it; otherwise nil.
func (g *Gallery) Recovered() error { return g.recovered }

// Clone returns a gallery that can be changed while this one is in use. The embeddings themselves are shared: nothing
// changes those.
func (g *Gallery) Clone() *Gallery {
	c := *g
	c.things = slices.Clone(g.things)
	for i := range c.things {
		c.things[i].own, c.things[i].rejected = c.things[i].own.clip(), c.things[i].rejected.clip()
	}
	return &c
}

func (g *Gallery) find(id string) (int, bool) {
	return slices.BinarySearchFunc(g.things, id, func(t thing, id string) int { return cmp.Compare(t.ID, id) })
}

// ErrUnknownIdentity is returned for an ID that is not enrolled.
var ErrUnknownIdentity = errors.New("not enrolled; `xbm-agent gallery list` tells the ids")
