package gallery

import (
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"os"
	"slices"
	"time"

	"xbmedge/internal/retrieval"
)

// MaxCrop is the largest picture that is kept with an embedding, in bytes.
const MaxCrop = 32 << 10

// Sample is one embedding on its way into a gallery.
type Sample struct {
	Vector []float32 // need not be normalised
	Crop   []byte    // the picture it was made from, as the model saw it, as JPEG or PNG of at most MaxCrop bytes; may be nil
	Added  time.Time
}

// Record is what a gallery knows of one embedding.
type Record struct {
	ID    uint64    `json:"id"` // never used for another embedding of the gallery
	Added time.Time `json:"added,omitzero"`
	Crop  int       `json:"crop"` // size of its picture in bytes, 0 for none
}

// record is Record as it lies in memory and, with the fields in capitals, in the file.
type record struct {
	ID    uint64 `json:"id"`
	Added int64  `json:"added,omitempty"` // Unix seconds
	Size  int    `json:"crop,omitempty"`  // of the picture
	Sum   uint32 `json:"crc,omitempty"`   // CRC-32C of the picture

	at   int64  // of the picture in the file, when it is not in memory
	data []byte // the picture until it is saved
}

// set is embeddings, one after another, and what is known of each.
type set struct {
	rows    []float32
	records []record
}

// clip makes appending to the copy leave the original alone.
func (s set) clip() set { return set{slices.Clip(s.rows), slices.Clip(s.records)} }

func (s set) row(i int) []float32 {
	dim := len(s.rows) / len(s.records)
	return s.rows[i*dim : (i+1)*dim : (i+1)*dim]
}

// without returns the set less one embedding, and leaves s as it was.
func (s set) without(i int) set {
	dim := len(s.rows) / len(s.records)
	return set{
		slices.Concat(s.rows[:i*dim], s.rows[(i+1)*dim:]),
		slices.Concat(s.records[:i], s.records[i+1:]),
	}
}

// find returns the place of an embedding by its number.
func (s set) find(id uint64) int {
	return slices.IndexFunc(s.records, func(r record) bool { return r.ID == id })
}

// holds reports whether row is one of the rows.
func (s set) holds(row []float32) bool {
	for i := range s.records {
		if slices.Equal(s.row(i), row) {
			return true
		}
	}
	return false
}

// nearest returns the greatest cosine between v and the set, and where it is; -2 and -1 when the set is empty. skip
// leaves out one; -1 leaves out none.
func (s set) nearest(v []float32, skip int) (score float32, at int) {
	score, at = -2, -1
	for i := range s.records {
		if i == skip {
			continue
		}
		if c := retrieval.Dot(v, s.row(i)); c > score {
			score, at = c, i
		}
	}
	return score, at
}

// check returns a sample as it is kept, with a number of its own.
func (g *Gallery) check(s Sample) ([]float32, record, error) {
	if len(s.Vector) != g.model.Dim {
		return nil, record{}, fmt.Errorf("%d values, the gallery's model makes %d", len(s.Vector), g.model.Dim)
	}
	row := slices.Clone(s.Vector)
	if err := normalize(row); err != nil {
		return nil, record{}, err
	}
	if len(s.Crop) > MaxCrop {
		return nil, record{}, fmt.Errorf("a picture of %d bytes; at most %d are kept", len(s.Crop), MaxCrop)
	}
	r := record{Size: len(s.Crop), data: s.Crop}
	if r.Size > 0 {
		r.Sum = crc32.Checksum(s.Crop, castagnoli)
	}
	if !s.Added.IsZero() {
		r.Added = s.Added.Unix()
	}
	return row, r, nil
}

func normalize(v []float32) error {
	var sum float64
	for _, x := range v {
		sum += float64(x) * float64(x)
	}
	if !(sum > 1e-20) || math.IsInf(sum, 0) {
		return errors.New("all zeros or not finite")
	}
	scale := 1 / math.Sqrt(sum)
	for i, x := range v {
		v[i] = float32(float64(x) * scale)
	}
	return nil
}

// Records returns what is known of an identity's embeddings and of its counter-examples.
func (g *Gallery) Records(id string) (own, rejected []Record, err error) {
	at, known := g.find(id)
	if !known {
		return nil, nil, fmt.Errorf("show %q: %w", id, ErrUnknownIdentity)
	}
	list := func(s set) []Record {
		out := []Record{}
		for _, r := range s.records {
			shown := Record{ID: r.ID, Crop: r.Size}
			if r.Added != 0 {
				shown.Added = time.Unix(r.Added, 0).UTC()
			}
			out = append(out, shown)
		}
		return out
	}
	return list(g.things[at].own), list(g.things[at].rejected), nil
}

// Samples returns an identity's embeddings and its counter-examples with their pictures, as Add and Reject take them.
func (g *Gallery) Samples(id string) (own, rejected []Sample, err error) {
	at, known := g.find(id)
	if !known {
		return nil, nil, fmt.Errorf("samples of %q: %w", id, ErrUnknownIdentity)
	}
	t := &g.things[at]
	for _, part := range []struct {
		from set
		to   *[]Sample
	}{{t.own, &own}, {t.rejected, &rejected}} {
		for i := range part.from.records {
			r := &part.from.records[i]
			s := Sample{Vector: slices.Clone(part.from.row(i))}
			if r.Added != 0 {
				s.Added = time.Unix(r.Added, 0).UTC()
			}
			if s.Crop, err = g.crop(r); err != nil && !errors.Is(err, ErrNoCrop) {
				return nil, nil, err
			}
			*part.to = append(*part.to, s)
		}
	}
	return own, rejected, nil
}

// ErrNoCrop is returned for an embedding without a picture.
var ErrNoCrop = errors.New("no picture was kept")

// Crop returns the picture of an embedding, by its number. Pictures stay in the file and are read when asked for; one
// that is damaged, or a file that was replaced since, is an error that wraps ErrCorrupt.
func (g *Gallery) Crop(id uint64) ([]byte, error) {
	for i := range g.things {
		for _, s := range []set{g.things[i].own, g.things[i].rejected} {
			if at := s.find(id); at >= 0 {
				return g.crop(&s.records[at])
			}
		}
	}
	return nil, fmt.Errorf("picture %d: %w", id, ErrUnknownVector)
}

func (g *Gallery) crop(r *record) ([]byte, error) {
	if r.Size == 0 {
		return nil, fmt.Errorf("picture %d: %w", r.ID, ErrNoCrop)
	}
	if r.data != nil {
		return r.data, nil
	}
	file, err := os.Open(g.file)
	if err != nil {
		return nil, fmt.Errorf("picture %d: %w", r.ID, err)
	}
	defer file.Close() //nolint:errcheck // only read
	data := make([]byte, r.Size)
	if _, err := file.ReadAt(data, r.at); err != nil {
		return nil, fmt.Errorf("picture %d in %s: %w: %w", r.ID, g.file, err, ErrCorrupt)
	}
	if sum := crc32.Checksum(data, castagnoli); sum != r.Sum {
		return nil, fmt.Errorf("picture %d in %s: checksum is %08x, the gallery says %08x: %w", r.ID, g.file, sum, r.Sum, ErrCorrupt)
	}
	return data, nil
}
