// Package strangers remembers things that are not enrolled, so that one that comes back is told under the same id:
// unknown-7 is unknown-7 again tomorrow, until it is forgotten or given a name. It keeps few and small things: of each
// stranger some embeddings, of all strangers the ones seen last.
package strangers

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"xbmedge/internal/gallery"
	"xbmedge/internal/retrieval"
)

// Limits on what is kept.
const (
	MaxKeep = 10_000
	views   = 4 // embeddings of one stranger; the oldest goes first
)

// prefix begins a stranger's id.
const prefix = gallery.UnknownID + "-"

// ErrNone is returned for an id that no remembered stranger has.
var ErrNone = errors.New("no such stranger is remembered")

// Strangers are the things seen and not known. Its methods may be called from several goroutines.
type Strangers struct {
	path  string // "": kept in memory only
	model gallery.Model
	keep  int

	mu    sync.Mutex
	next  int
	known []stranger // the longest unseen first
	dirty bool
}

type stranger struct {
	number  int
	seen    time.Time
	vectors [][]float32 // L2-normalised
}

// New returns an empty store for the embeddings of a model, which keeps at most so many strangers, and no file.
func New(model gallery.Model, keep int) (*Strangers, error) {
	if keep < 1 || keep > MaxKeep {
		return nil, fmt.Errorf("%d strangers to keep; want 1 to %d", keep, MaxKeep)
	}
	if model.Dim < 1 {
		return nil, fmt.Errorf("strangers of embeddings with %d values", model.Dim)
	}
	return &Strangers{model: model, keep: keep, next: 1}, nil
}

// Open reads what Save wrote; no file is no stranger. Strangers of another model cannot be compared with this one's and
// are forgotten, but their numbers are not given out again. A damaged file is moved aside and told.
func Open(path string, model gallery.Model, keep int, log *slog.Logger) (*Strangers, error) {
	s, err := New(model, keep)
	if err != nil {
		return nil, err
	}
	s.path = path
	return s, s.load(log)
}

// Model says whose embeddings the strangers are known by.
func (s *Strangers) Model() gallery.Model { return s.model }

// Identify returns the id of the stranger most like an L2-normalised embedding, if their cosine reaches the threshold,
// and otherwise a new one. Either way it remembers the embedding; again says that the stranger was there before.
func (s *Strangers) Identify(embedding []float32, threshold float32, now time.Time) (id string, again bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dirty = true
	best, score := -1, threshold
	for i := range s.known {
		for _, v := range s.known[i].vectors {
			if c := retrieval.Dot(embedding, v); c >= score {
				best, score = i, c
			}
		}
	}
	if best < 0 {
		s.known = append(s.known, stranger{number: s.next})
		s.next++
		best = len(s.known) - 1
	} else {
		again = true
	}
	s.see(best, embedding, now)
	if extra := len(s.known) - s.keep; extra > 0 {
		s.known = slices.Delete(s.known, 0, extra)
	}
	return name(s.known[len(s.known)-1].number), again
}

// see adds an embedding to a stranger and makes it the one seen last.
func (s *Strangers) see(i int, embedding []float32, now time.Time) {
	x := s.known[i]
	x.seen = now
	if len(x.vectors) == views {
		x.vectors = slices.Delete(x.vectors, 0, 1)
	}
	x.vectors = append(x.vectors, slices.Clone(embedding))
	s.known = append(slices.Delete(s.known, i, i+1), x)
}

// IDs returns the ids of all remembered strangers, the one seen last first.
func (s *Strangers) IDs() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	ids := make([]string, 0, len(s.known))
	for _, x := range slices.Backward(s.known) {
		ids = append(ids, name(x.number))
	}
	return ids
}

// Vectors returns copies of a stranger's embeddings, for enrolling it. The error wraps ErrNone where there is none.
func (s *Strangers) Vectors(id string) ([][]float32, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	at := s.find(id)
	if at < 0 {
		return nil, fmt.Errorf("%s: %w", id, ErrNone)
	}
	var out [][]float32
	for _, v := range s.known[at].vectors {
		out = append(out, slices.Clone(v))
	}
	return out, nil
}

// Forget takes a stranger out, since it has a name now, or nobody wants to know. The error wraps ErrNone where there is
// none.
func (s *Strangers) Forget(id string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	at := s.find(id)
	if at < 0 {
		return fmt.Errorf("forget %s: %w", id, ErrNone)
	}
	s.known = slices.Delete(s.known, at, at+1)
	s.dirty = true
	return nil
}

func (s *Strangers) find(id string) int {
	number, err := strconv.Atoi(strings.TrimPrefix(id, prefix))
	if err != nil || !strings.HasPrefix(id, prefix) {
		return -1
	}
	return slices.IndexFunc(s.known, func(x stranger) bool { return x.number == number })
}

func name(number int) string { return prefix + strconv.Itoa(number) }
