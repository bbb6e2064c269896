package dataset

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
)

// PKSampler draws batches of P classes with K photos each, as losses over pairs need them (Hermans et al., In Defense of
// the Triplet Loss, arXiv 1703.07737). A class comes up as often as its share of the photos says, and its photos take
// turns, so that every photo is seen about equally often. No photo is twice in a batch unless its class has fewer
// than K: then they repeat. (A class with more than 1/P of all photos cannot have its share, since it is in a batch
// once.)
//
// Equal seeds give equal batches. A PKSampler is not safe for concurrent use.
type PKSampler struct {
	p, k    int
	members [][]int // photos of each class
	photos  int
	source  *rand.PCG
	rng     *rand.Rand
	state   samplerState
}

type samplerState struct {
	Random  []byte    `json:"random"`  // of the generator, filled in by Position
	Credits []float64 `json:"credits"` // turns each class is owed
	Decks   [][]int   `json:"decks"`   // photos of each class that have not had their turn, the next one last
}

// NewPKSampler makes a sampler over photos with these labels, which must be 0…n−1 with none missing.
func NewPKSampler(labels []int, p, k int, seed uint64) (*PKSampler, error) {
	if p < 2 || k < 2 {
		return nil, fmt.Errorf("sampler: batches of %d classes × %d photos; both must be at least 2", p, k)
	}
	s := &PKSampler{p: p, k: k, photos: len(labels), source: rand.NewPCG(seed, 0x706b)}
	s.rng = rand.New(s.source)
	for i, label := range labels {
		if label < 0 || label >= len(labels) {
			return nil, fmt.Errorf("sampler: label %d of photo %d is not in 0…%d", label, i, len(labels)-1)
		}
		for label >= len(s.members) {
			s.members = append(s.members, nil)
		}
		s.members[label] = append(s.members[label], i)
	}
	for label, m := range s.members {
		if len(m) == 0 {
			return nil, fmt.Errorf("sampler: no photo has label %d", label)
		}
	}
	if len(s.members) < p {
		return nil, fmt.Errorf("sampler: a batch needs %d classes, the data set has %d; lower the classes per batch", p, len(s.members))
	}
	s.state.Credits = make([]float64, len(s.members))
	s.state.Decks = make([][]int, len(s.members))
	return s, nil
}

// BatchSize returns the number of photos in a batch.
func (s *PKSampler) BatchSize() int { return s.p * s.k }

// Next returns the indices of the photos of the next batch, the K of a class side by side. The slice is the caller's.
func (s *PKSampler) Next() []int {
	type candidate struct {
		class int
		key   float64
	}
	candidates := make([]candidate, len(s.members))
	for c, m := range s.members {
		s.state.Credits[c] += float64(s.p) * float64(len(m)) / float64(s.photos)
		// The random part mixes the classes: with credits alone the same ones would meet over and over.
		candidates[c] = candidate{c, s.state.Credits[c] + s.rng.Float64()}
	}
	slices.SortFunc(candidates, func(a, b candidate) int {
		switch {
		case a.key > b.key:
			return -1
		case a.key < b.key:
			return 1
		}
		return a.class - b.class
	})
	batch := make([]int, 0, s.BatchSize())
	for _, c := range candidates[:s.p] {
		s.state.Credits[c.class]--
		batch = s.deal(batch, c.class)
	}
	for c := range s.state.Credits {
		// What a class cannot use up must not pile up.
		s.state.Credits[c] = min(s.state.Credits[c], 2)
	}
	return batch
}

// deal appends K photos of the class.
func (s *PKSampler) deal(batch []int, class int) []int {
	start := len(batch)
	for range s.k {
		deck := s.state.Decks[class]
		if len(deck) == 0 {
			deck = slices.Clone(s.members[class])
			s.rng.Shuffle(len(deck), func(i, j int) { deck[i], deck[j] = deck[j], deck[i] })
			// Those already in this batch go to the bottom.
			bottom := 0
			for i, photo := range deck {
				if slices.Contains(batch[start:], photo) {
					deck[bottom], deck[i] = deck[i], deck[bottom]
					bottom++
				}
			}
		}
		last := len(deck) - 1
		batch = append(batch, deck[last])
		s.state.Decks[class] = deck[:last]
	}
	return batch
}

// Position is where a sampler stands. It stays what it was while the sampler goes on.
type Position struct{ state samplerState }

// Position returns where the sampler stands now. It is cheap enough for every step.
func (s *PKSampler) Position() (Position, error) {
	random, err := s.source.MarshalBinary()
	if err != nil {
		return Position{}, fmt.Errorf("state of the sampler: %w", err)
	}
	// A deck is only ever shortened or replaced, so its photos need not be copied.
	return Position{samplerState{Random: random, Credits: slices.Clone(s.state.Credits), Decks: slices.Clone(s.state.Decks)}}, nil
}

// State returns the position as Restore takes it.
func (p Position) State() ([]byte, error) {
	out, err := json.Marshal(p.state)
	if err != nil {
		return nil, fmt.Errorf("state of the sampler: %w", err)
	}
	return out, nil
}

// State returns what Restore needs to go on from here.
func (s *PKSampler) State() ([]byte, error) {
	p, err := s.Position()
	if err != nil {
		return nil, err
	}
	return p.State()
}

// Restore goes on where State was taken, of a sampler over the same labels. After an error the sampler is unchanged.
func (s *PKSampler) Restore(state []byte) error {
	var in samplerState
	if err := json.Unmarshal(state, &in); err != nil {
		return fmt.Errorf("restore sampler: %w", err)
	}
	if len(in.Credits) != len(s.members) || len(in.Decks) != len(s.members) {
		return fmt.Errorf("restore sampler: its state is of %d classes, the data set has %d; resume with the photos that the run began with",
			len(in.Credits), len(s.members))
	}
	for c, deck := range in.Decks {
		for _, photo := range deck {
			if !slices.Contains(s.members[c], photo) {
				return fmt.Errorf("restore sampler: photo %d is not of class %d; resume with the photos that the run began with", photo, c)
			}
		}
	}
	var source rand.PCG
	if err := source.UnmarshalBinary(in.Random); err != nil {
		return fmt.Errorf("restore sampler: %w", err)
	}
	*s.source = source
	s.state = in
	return nil
}
