package gallery

import (
	"fmt"

	"xbmedge/internal/retrieval"
)

// Candidate is an identity and the best cosine between its embeddings and the one asked about.
type Candidate struct {
	Identity
	Score float32 `json:"score"`
}

// Decision answers what an embedding shows.
type Decision struct {
	Known     bool
	Identity  Identity // empty unless Known: what is below the threshold has no name
	Score     float32  // best cosine with any identity that no counter-example excludes, -1 to 1; -1 when there is none
	Margin    float32  // Score less the runner-up identity's; with a single identity, Score itself
	Threshold float32  // that of the identity with this score
	// Rejected is the identity that is still more like it, but excluded by a counter-example; empty for none.
	Rejected Candidate
	TopK     []Candidate // nearest identities, best first; valid until the next Match of the same Matcher
}

// Matcher asks one gallery as it was when the Matcher was made: make another after the gallery has changed. It keeps its
// own buffers, so each goroutine needs its own; see Fork.
type Matcher struct {
	*asked
	search *retrieval.Search
	found  []retrieval.Match
	skip   []bool
	top    []Candidate
}

// asked is what the Matchers of one gallery share.
type asked struct {
	things    []thing
	dim, k    int
	limits    []float32 // of each thing
	threshold float32   // for an empty gallery
	index     *retrieval.Index
	countered []int // things with counter-examples
}

// NewMatcher returns a matcher whose decisions list the topK nearest identities (at least 2, for the margin). A
// threshold of 0 means the gallery's own and the identities' own; another takes the place of all of them.
func NewMatcher(g *Gallery, topK int, threshold float32) (*Matcher, error) {
	if threshold != 0 && !(threshold > -1 && threshold <= 1) {
		return nil, fmt.Errorf("threshold %v: want more than -1 and at most 1", threshold)
	}
	a := &asked{dim: g.model.Dim, k: max(topK, 2), threshold: g.threshold, things: g.Clone().things}
	all := retrieval.Embeddings{Dim: a.dim, Data: make([]float32, 0, g.Len()*a.dim)}
	var sizes []int
	for i := range a.things {
		t := &a.things[i]
		all.Data = append(all.Data, t.own.rows...)
		sizes = append(sizes, len(t.own.records))
		limit := g.limit(t)
		if threshold != 0 {
			limit = threshold
		}
		a.limits = append(a.limits, limit)
		if len(t.rejected.records) > 0 {
			a.countered = append(a.countered, i)
		}
	}
	if threshold != 0 {
		a.threshold = threshold
	}
	var err error
	if a.index, err = retrieval.NewIndex(all, sizes); err != nil {
		return nil, fmt.Errorf("matcher: %w", err)
	}
	return (&Matcher{asked: a}).Fork(), nil
}

// Fork returns another matcher of the same gallery, for another goroutine.
func (m *Matcher) Fork() *Matcher {
	return &Matcher{
		asked: m.asked, search: m.index.NewSearch(m.k), found: make([]retrieval.Match, 0, m.k+1),
		skip: make([]bool, len(m.things)), top: make([]Candidate, 0, m.k),
	}
}

// Match decides which identity an L2-normalised embedding shows. Identities that have a counter-example at least as like
// the embedding as the best of their own are passed over. Of the others it is the one with the most similar enrolled
// embedding, if that cosine reaches the identity's threshold; else it is unknown. It panics when the embedding has
// another length than the gallery's, which is a mistake in the program: a gallery is checked against the model when it
// is loaded. It allocates nothing.
func (m *Matcher) Match(embedding []float32) Decision {
	if len(embedding) != m.dim {
		panic(fmt.Sprintf("gallery: embedding of %d values for a model of %d", len(embedding), m.dim))
	}
	d := Decision{Score: -1, Threshold: m.threshold}
	excluded := m.exclude(embedding)
	m.found = m.search.Nearest(m.found[:0], embedding, m.skip)
	m.top = m.top[:0]
	for _, f := range m.found {
		m.top = append(m.top, Candidate{m.things[f.Index].Identity, f.Score})
	}
	d.TopK = m.top
	if len(m.top) > 0 {
		d.Score, d.Margin, d.Threshold = m.top[0].Score, m.top[0].Score, m.limits[m.found[0].Index]
	}
	if len(m.top) > 1 {
		d.Margin -= m.top[1].Score
	}
	if d.Known = len(m.top) > 0 && d.Score >= d.Threshold; d.Known {
		d.Identity = m.top[0].Identity
	}
	if excluded.Score > d.Score {
		d.Rejected = excluded
	}
	return d
}

// exclude marks the identities to pass over, and returns the most similar of them.
func (m *Matcher) exclude(embedding []float32) Candidate {
	worst := Candidate{Score: -2}
	for _, i := range m.countered {
		t := &m.things[i]
		own, _ := t.own.nearest(embedding, -1)
		against, _ := t.rejected.nearest(embedding, -1)
		m.skip[i] = against >= own
		if m.skip[i] && own > worst.Score {
			worst = Candidate{t.Identity, own}
		}
	}
	return worst
}
