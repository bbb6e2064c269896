package gallery

import "fmt"

// gallery returns the gallery that a header announces, without embeddings. Errors wrap ErrCorrupt.
func (h *header) gallery() (*Gallery, error) {
	if h.Version < 1 || h.Version > fileVersion {
		return nil, corrupt("version %d, this program reads versions 1 to %d", h.Version, fileVersion)
	}
	g, err := New(h.Model)
	if err != nil {
		return nil, corrupt("%v", err)
	}
	if err := g.SetThreshold(h.Threshold); err != nil {
		return nil, corrupt("%v", err)
	}
	if len(h.Others) > maxSpaces {
		return nil, corrupt("embeddings of %d spaces, at most %d are allowed", len(h.Others), maxSpaces)
	}
	g.others = h.Others
	g.revision, g.calibration, g.byHand = h.Revision, h.Calibration, h.ByHand
	if len(h.Identities) > MaxIdentities {
		return nil, corrupt("%d identities, at most %d are allowed", len(h.Identities), MaxIdentities)
	}
	if err := h.checkIdentities(); err != nil {
		return nil, corrupt("%v", err)
	}
	for _, e := range h.Identities {
		t := thing{Identity: e.Identity, threshold: e.Threshold, own: set{records: e.Records}, rejected: set{records: e.RejectedRecords}}
		if h.Version == 1 {
			t = thing{Identity: e.Identity, own: set{records: make([]record, e.Vectors)}}
			for i := range t.own.records {
				t.own.records[i].ID = g.next
				g.next++
			}
		}
		g.things = append(g.things, t)
	}
	if h.Version == 1 {
		return g, nil
	}
	g.next = h.Next
	if err := g.checkRecords(); err != nil {
		return nil, corrupt("%v", err)
	}
	return g, nil
}

func (h *header) checkIdentities() error {
	total := 0
	for i, e := range h.Identities {
		if !idPattern.MatchString(e.ID) || e.ID == UnknownID || e.Name == "" || len(e.Name) > maxNameBytes {
			return fmt.Errorf("identity %d: bad id or name", i)
		}
		if e.Vectors < 1 || e.Vectors > MaxVectors || e.Rejected < 0 || e.Rejected > MaxVectors {
			return fmt.Errorf("identity %q has %d embeddings and %d counter-examples", e.ID, e.Vectors, e.Rejected)
		}
		if total += e.Vectors + e.Rejected; total > MaxVectors {
			return fmt.Errorf("more than %d embeddings", MaxVectors)
		}
		if i > 0 && h.Identities[i-1].ID >= e.ID {
			return fmt.Errorf("identity %q is out of order or there twice", e.ID)
		}
		if !(e.Threshold > -1 && e.Threshold <= 1) {
			return fmt.Errorf("identity %q has the threshold %v", e.ID, e.Threshold)
		}
		if h.Version > 1 && (len(e.Records) != e.Vectors || len(e.RejectedRecords) != e.Rejected) {
			return fmt.Errorf("identity %q has %d embeddings and tells of %d, %d counter-examples and %d",
				e.ID, e.Vectors, len(e.Records), e.Rejected, len(e.RejectedRecords))
		}
	}
	return nil
}

func (g *Gallery) checkRecords() error {
	seen := map[uint64]bool{}
	for _, s := range g.sets() {
		for _, r := range s.records {
			if r.Size < 0 || r.Size > MaxCrop {
				return fmt.Errorf("picture %d has %d bytes; at most %d are allowed", r.ID, r.Size, MaxCrop)
			}
			if r.ID == 0 || r.ID >= g.next || seen[r.ID] {
				return fmt.Errorf("embedding %d is there twice, or its number is none", r.ID)
			}
			seen[r.ID] = true
		}
	}
	return nil
}
