package gallery

import "fmt"

// Candidate is an identity and the best cosine between its embeddings and the one asked about.
type Candidate struct {
	Identity
	Score float32 `json:"score"`
}

// Decision answers what an embedding shows.
type Decision struct {
	Known     bool
	Identity  Identity // empty unless Known: what is below the threshold has no name
	Score     float32  // best cosine with any identity, -1 to 1; -1 when the gallery is empty
	Margin    float32  // Score less the runner-up identity's; with a single identity, Score itself
	Threshold float32
	TopK      []Candidate // nearest identities, best first; valid until the next Match of the same Matcher
}

// Matcher asks one gallery. It keeps its own buffers, so each goroutine needs its own. Create it anew after the
// gallery has changed.
type Matcher struct {
	g         *Gallery
	threshold float32
	top       []Candidate
	k         int
}

// NewMatcher returns a matcher whose decisions list the topK nearest identities (at least 2, for the margin). A
// threshold of 0 means the gallery's own.
func NewMatcher(g *Gallery, topK int, threshold float32) (*Matcher, error) {
	if threshold == 0 {
		threshold = g.threshold
	}
	if !(threshold > -1 && threshold <= 1) {
		return nil, fmt.Errorf("threshold %v: want more than -1 and at most 1", threshold)
	}
	topK = max(topK, 2)
	return &Matcher{g: g, threshold: threshold, k: topK, top: make([]Candidate, 0, topK+1)}, nil
}

// Match decides which identity an L2-normalised embedding shows: the one with the most similar enrolled embedding,
// if that cosine reaches the threshold. It panics when the embedding has another length than the gallery's, which is a
// mistake in the program: a gallery is checked against the model when it is loaded. It allocates nothing.
func (m *Matcher) Match(embedding []float32) Decision {
	if len(embedding) != m.g.model.Dim {
		panic(fmt.Sprintf("gallery: embedding of %d values for a model of %d", len(embedding), m.g.model.Dim))
	}
	m.top = m.top[:0]
	for i := range m.g.entries {
		score := best(embedding, m.g.vectors[i], -1)
		if len(m.top) == m.k && !(score > m.top[m.k-1].Score) {
			continue
		}
		at := len(m.top)
		m.top = append(m.top, Candidate{})
		for ; at > 0 && score > m.top[at-1].Score; at-- {
			m.top[at] = m.top[at-1]
		}
		m.top[at] = Candidate{m.g.entries[i].Identity, score}
		m.top = m.top[:min(len(m.top), m.k)]
	}
	d := Decision{Score: -1, Threshold: m.threshold, TopK: m.top}
	if len(m.top) == 0 {
		return d
	}
	d.Score, d.Margin = m.top[0].Score, m.top[0].Score
	if len(m.top) > 1 {
		d.Margin -= m.top[1].Score
	}
	if d.Known = d.Score >= m.threshold; d.Known {
		d.Identity = m.top[0].Identity
	}
	return d
}
