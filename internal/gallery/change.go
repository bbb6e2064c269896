package gallery

import (
	"errors"
	"fmt"
	"slices"

	"xbmedge/internal/retrieval"
)

// ErrUnknownVector is returned for the number of an embedding that the gallery does not hold.
var ErrUnknownVector = errors.New("there is no such embedding; `xbm-agent gallery show ID` tells the numbers")

// Enroll is Add for embeddings alone.
func (g *Gallery) Enroll(id, name string, vectors [][]float32) error {
	samples := make([]Sample, len(vectors))
	for i, v := range vectors {
		samples[i].Vector = v
	}
	_, err := g.Add(id, name, samples)
	return err
}

// Add adds embeddings of an identity; they are copied, their pictures are kept as they are. A known ID gets more
// embeddings and the given name. An embedding that the identity has already is not added again: a picture enrolled
// twice would make its own score look perfect to Calibrate. It returns how many are new. Nothing changes when there is
// an error.
func (g *Gallery) Add(id, name string, samples []Sample) (added int, err error) {
	if err := errors.Join(CheckID(id), CheckName(name)); err != nil {
		return 0, fmt.Errorf("enroll %s: %w", id, err)
	}
	if len(samples) == 0 {
		return 0, fmt.Errorf("enroll %s: no embeddings", id)
	}
	if g.total()+len(samples) > MaxVectors {
		return 0, fmt.Errorf("enroll %s: a gallery holds at most %d embeddings", id, MaxVectors)
	}
	at, known := g.find(id)
	t := thing{Identity: Identity{ID: id}}
	if known {
		t = g.things[at]
	} else if len(g.things) >= MaxIdentities {
		return 0, fmt.Errorf("enroll %s: a gallery holds at most %d identities", id, MaxIdentities)
	}
	next := g.next
	own := t.own.clip()
	for i, s := range samples {
		row, r, err := g.check(s)
		if err != nil {
			return 0, fmt.Errorf("enroll %s: embedding %d: %w", id, i, err)
		}
		if own.holds(row) {
			continue
		}
		r.ID = next
		next++
		own.rows, own.records = append(own.rows, row...), append(own.records, r)
	}
	added = len(own.records) - len(t.own.records)
	t.Name, t.own = name, own
	if known {
		g.things[at] = t
	} else {
		g.things = slices.Insert(g.things, at, t)
	}
	g.next = next
	g.revision++
	return added, nil
}

// Remove deletes an identity with all that is known of it.
func (g *Gallery) Remove(id string) error {
	at, known := g.find(id)
	if !known {
		return fmt.Errorf("remove %q: %w", id, ErrUnknownIdentity)
	}
	g.things = slices.Delete(slices.Clone(g.things), at, at+1)
	g.revision++
	return nil
}

// RemoveVector deletes one embedding or counter-example by its number. The last embedding of an identity stays: Remove
// takes the identity.
func (g *Gallery) RemoveVector(id uint64) error {
	for i := range g.things {
		t := &g.things[i]
		switch own, rejected := t.own.find(id), t.rejected.find(id); {
		case own >= 0 && len(t.own.records) == 1:
			return fmt.Errorf("remove embedding %d: it is the only one of %s; remove that as a whole", id, t.ID)
		case own >= 0:
			t.own = t.own.without(own)
		case rejected >= 0:
			t.rejected = t.rejected.without(rejected)
		default:
			continue
		}
		g.revision++
		return nil
	}
	return fmt.Errorf("remove embedding %d: %w", id, ErrUnknownVector)
}

// Rename gives an identity another name for people. Its ID stays: subscribers and histories know it by that.
func (g *Gallery) Rename(id, name string) error {
	at, known := g.find(id)
	if !known {
		return fmt.Errorf("rename %q: %w", id, ErrUnknownIdentity)
	}
	if err := CheckName(name); err != nil {
		return fmt.Errorf("rename %s: %w", id, err)
	}
	if g.things[at].Name != name {
		g.things[at].Name = name
		g.revision++
	}
	return nil
}

// Merge makes one identity of two: into gets the embeddings of from, which is then gone. Counter-examples of both are
// kept, but for those that would take the name from an embedding of the other.
func (g *Gallery) Merge(into, from string) error {
	if into == from {
		return fmt.Errorf("merge %s: into itself", into)
	}
	at, known := g.find(into)
	other, knownToo := g.find(from)
	if !known || !knownToo {
		return fmt.Errorf("merge %q and %q: %w", into, from, ErrUnknownIdentity)
	}
	t, f := g.things[at], g.things[other]
	t.own = merged(t.own, f.own)
	both := merged(t.rejected, f.rejected)
	t.rejected = set{}
	for i, r := range both.records {
		if member, _ := suppressed(t.own, both.row(i), g.limit(&t)); member < 0 {
			t.rejected = merged(t.rejected, set{both.row(i), []record{r}})
		}
	}
	g.things[at] = t
	g.things = slices.Delete(slices.Clone(g.things), other, other+1)
	g.revision++
	return nil
}

// merged returns the embeddings of both sets, and of equal ones that of a.
func merged(a, b set) set {
	a = a.clip()
	for i, r := range b.records {
		if row := b.row(i); !a.holds(row) {
			a.rows, a.records = append(a.rows, row...), append(a.records, r)
		}
	}
	return a
}

// Trim keeps at most n embeddings of an identity, those that differ most: beginning with the one nearest to their mean,
// each next is the one farthest from all that are kept (Gonzalez, Theoretical Computer Science 38, 1985). It returns how
// many went.
func (g *Gallery) Trim(id string, n int) (gone int, err error) {
	at, known := g.find(id)
	if !known {
		return 0, fmt.Errorf("trim %q: %w", id, ErrUnknownIdentity)
	}
	own := g.things[at].own
	if n < 1 || len(own.records) <= n {
		return 0, nil
	}
	keep := farthest(own, g.model.Dim, n)
	slices.Sort(keep)
	var kept set
	for _, i := range keep {
		kept.rows, kept.records = append(kept.rows, own.row(i)...), append(kept.records, own.records[i])
	}
	g.things[at].own = kept
	g.revision++
	return len(own.records) - n, nil
}

func farthest(s set, dim, n int) []int {
	mean := make([]float32, dim)
	for i := range s.records {
		for d, v := range s.row(i) {
			mean[d] += v
		}
	}
	_, first := s.nearest(mean, -1)
	keep := []int{max(first, 0)}
	near := make([]float32, len(s.records)) // cosine with the nearest that is kept
	for i := range near {
		near[i] = -2
	}
	for len(keep) < n {
		last := s.row(keep[len(keep)-1])
		next := -1
		for i := range near {
			near[i] = max(near[i], retrieval.Dot(s.row(i), last))
			if !slices.Contains(keep, i) && (next < 0 || near[i] < near[next]) {
				next = i
			}
		}
		keep = append(keep, next)
	}
	return keep
}
