// Package gallery keeps the embeddings of the things a camera should know and decides, for a new embedding, which of
// them it shows, or that it shows none of them. "None of them" is an answer like any other: a score below the
// threshold never carries a name.
//
// A gallery belongs to one embedding space: embeddings of two models cannot be compared unless one was trained to be
// compatible with the other, so a file remembers its model's space and is refused with a model that does not read it.
package gallery

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"regexp"
	"slices"

	"xbmedge/internal/retrieval"
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

// Entry is an enrolled identity and how many embeddings it has.
type Entry struct {
	Identity
	Vectors int `json:"vectors"`
}

// Gallery holds enrolled embeddings, L2-normalised. Its methods may be called from several goroutines as long as none
// of them changes it; matching goes through a Matcher.
type Gallery struct {
	model     Model
	others    []string // spaces, besides the model's own, of some of the embeddings; sorted
	threshold float32
	revision  uint64
	entries   []Entry     // sorted by ID
	vectors   [][]float32 // one for each entry: Vectors×Dim values, row after row
}

var idPattern = regexp.MustCompile(`^[a-z0-9_-]{1,64}$`)

// New returns an empty gallery for the embeddings of a model.
func New(model Model) (*Gallery, error) {
	if model.Dim < 1 || model.Dim > MaxDim {
		return nil, fmt.Errorf("new gallery: embeddings of %d values; want 1 to %d", model.Dim, MaxDim)
	}
	return &Gallery{model: model, threshold: DefaultThreshold}, nil
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

// SetThreshold sets the least cosine of a known thing, above -1 and at most 1.
func (g *Gallery) SetThreshold(t float32) error {
	if !(t > -1 && t <= 1) {
		return fmt.Errorf("threshold %v: want more than -1 and at most 1", t)
	}
	if t != g.threshold {
		g.threshold = t
		g.revision++
	}
	return nil
}

// Revision grows by one with every change.
func (g *Gallery) Revision() uint64 { return g.revision }

// Len returns the number of embeddings.
func (g *Gallery) Len() int {
	n := 0
	for i := range g.entries {
		n += g.entries[i].Vectors
	}
	return n
}

// Entries returns the enrolled identities, sorted by ID.
func (g *Gallery) Entries() []Entry { return slices.Clone(g.entries) }

func (g *Gallery) find(id string) (int, bool) {
	return slices.BinarySearchFunc(g.entries, id, func(e Entry, id string) int { return cmp.Compare(e.ID, id) })
}

// Enroll adds embeddings of an identity, which need not be normalised; they are copied. A known ID gets more
// embeddings and the given name. An embedding that the identity has already is not added again: a picture enrolled
// twice would make its own score look perfect to Calibrate. Nothing changes when there is an error.
func (g *Gallery) Enroll(id, name string, vectors [][]float32) error {
	if !idPattern.MatchString(id) {
		return fmt.Errorf("enroll %q: an id has 1 to 64 of a-z, 0-9, _ and -", id)
	}
	if id == UnknownID {
		return fmt.Errorf("enroll %s: that id stands for what is not enrolled; choose another name", id)
	}
	if name == "" || len(name) > maxNameBytes {
		return fmt.Errorf("enroll %s: the name has %d bytes; want 1 to %d", id, len(name), maxNameBytes)
	}
	if len(vectors) == 0 {
		return fmt.Errorf("enroll %s: no embeddings", id)
	}
	if g.Len()+len(vectors) > MaxVectors {
		return fmt.Errorf("enroll %s: a gallery holds at most %d embeddings", id, MaxVectors)
	}
	rows := make([]float32, 0, len(vectors)*g.model.Dim)
	for i, v := range vectors {
		if len(v) != g.model.Dim {
			return fmt.Errorf("enroll %s: embedding %d has %d values, the gallery's model makes %d", id, i, len(v), g.model.Dim)
		}
		rows = append(rows, v...)
		if err := normalize(rows[len(rows)-len(v):]); err != nil {
			return fmt.Errorf("enroll %s: embedding %d: %w", id, i, err)
		}
	}
	at, known := g.find(id)
	if !known {
		if len(g.entries) >= MaxIdentities {
			return fmt.Errorf("enroll %s: a gallery holds at most %d identities", id, MaxIdentities)
		}
		g.entries = slices.Insert(g.entries, at, Entry{Identity: Identity{ID: id}})
		g.vectors = slices.Insert(g.vectors, at, nil)
	}
	g.entries[at].Name = name
	for row := range slices.Chunk(rows, g.model.Dim) {
		if !holds(g.vectors[at], row) {
			g.vectors[at] = append(g.vectors[at], row...)
		}
	}
	g.entries[at].Vectors = len(g.vectors[at]) / g.model.Dim
	g.revision++
	return nil
}

// holds reports whether row is one of the rows.
func holds(rows, row []float32) bool {
	for r := 0; r < len(rows); r += len(row) {
		if slices.Equal(rows[r:r+len(row)], row) {
			return true
		}
	}
	return false
}

// ErrUnknownIdentity is returned for an ID that is not enrolled.
var ErrUnknownIdentity = errors.New("not enrolled")

// Remove deletes an identity with its embeddings.
func (g *Gallery) Remove(id string) error {
	at, known := g.find(id)
	if !known {
		return fmt.Errorf("remove %q: %w", id, ErrUnknownIdentity)
	}
	g.entries = slices.Delete(g.entries, at, at+1)
	g.vectors = slices.Delete(g.vectors, at, at+1)
	g.revision++
	return nil
}

func normalize(v []float32) error {
	var sum float64
	for _, x := range v {
		sum += float64(x) * float64(x)
	}
	if !(sum > 1e-20) || math.IsInf(sum, 0) {
		return errors.New("is all zeros or not finite")
	}
	scale := 1 / math.Sqrt(sum)
	for i, x := range v {
		v[i] = float32(float64(x) * scale)
	}
	return nil
}

// best returns the greatest cosine between v and the rows, or -2 when there are none. skip leaves out one row; -1
// leaves out none.
func best(v, rows []float32, skip int) float32 {
	top := float32(-2)
	for r := 0; r*len(v) < len(rows); r++ {
		if r == skip {
			continue
		}
		if s := retrieval.Dot(v, rows[r*len(v):(r+1)*len(v)]); s > top {
			top = s
		}
	}
	return top
}
