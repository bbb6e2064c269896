package gallery

import (
	"errors"
	"fmt"

	"xbmedge/internal/retrieval"
)

// ErrMember is returned for a counter-example that would take the name from a real member.
var ErrMember = errors.New("would no longer be recognised")

// Reject keeps an embedding that was taken for an identity and is not it. From then on what is at least as like a
// counter-example of the identity as it is like any of its own embeddings is not given that name; see Matcher.
//
// It is refused, with an error that wraps ErrMember and tells which, when it is one of the identity's own embeddings, or
// when one of those would lose its name: leave-one-out, since an enrolled picture is always most like itself. It returns
// the counter-example's number.
func (g *Gallery) Reject(id string, s Sample) (uint64, error) {
	at, known := g.find(id)
	if !known {
		return 0, fmt.Errorf("reject %q: %w", id, ErrUnknownIdentity)
	}
	row, r, err := g.check(s)
	if err != nil {
		return 0, fmt.Errorf("reject as %s: %w", id, err)
	}
	t := &g.things[at]
	if g.total() >= MaxVectors {
		return 0, fmt.Errorf("reject as %s: a gallery holds at most %d embeddings", id, MaxVectors)
	}
	if t.rejected.holds(row) { // a second time
		_, i := t.rejected.nearest(row, -1)
		return t.rejected.records[i].ID, nil
	}
	if member, score := suppressed(t.own, row, g.limit(t)); member >= 0 {
		return 0, fmt.Errorf("reject as %s: %s's embedding %d (cosine %.3f with it, no less than with %[2]s's others) %[5]w: "+
			"remove that one first, or enroll more pictures of %[1]s", id, t.Name, t.own.records[member].ID, score, ErrMember)
	}
	r.ID = g.next
	g.next++
	rejected := t.rejected.clip()
	t.rejected = set{append(rejected.rows, row...), append(rejected.records, r)}
	g.revision++
	return r.ID, nil
}

// Unreject takes a counter-example back, by its number.
func (g *Gallery) Unreject(vector uint64) error {
	for i := range g.things {
		if at := g.things[i].rejected.find(vector); at >= 0 {
			g.things[i].rejected = g.things[i].rejected.without(at)
			g.revision++
			return nil
		}
	}
	return fmt.Errorf("unreject %d: %w", vector, ErrUnknownVector)
}

// same is the cosine from which on two embeddings are taken for one picture's.
const same = 1 - 1e-4

// suppressed returns the first of an identity's embeddings from which a counter-example takes the name, and the cosine of
// the two: it is at least as like the counter-example as it is like all others, to which it is like enough to have the
// name. -1 when there is none.
func suppressed(own set, counter []float32, threshold float32) (member int, score float32) {
	for i := range own.records {
		c := retrieval.Dot(own.row(i), counter)
		if others, _ := own.nearest(own.row(i), i); c >= same || c >= others && others >= threshold {
			return i, c
		}
	}
	return -1, 0
}

// limit returns the least cosine at which an embedding has an identity's name.
func (g *Gallery) limit(t *thing) float32 {
	if t.threshold != 0 {
		return t.threshold
	}
	return g.threshold
}
