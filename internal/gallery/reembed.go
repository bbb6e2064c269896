package gallery

import (
	"context"
	"fmt"
	"slices"
)

// Left is an embedding that could not be made anew.
type Left struct {
	ID     string // of the identity
	Vector uint64
	Why    string
}

// Reembed returns a gallery for another model, with embeddings that embed makes of the kept pictures. Numbers, names and
// times stay. Embeddings without a picture cannot be compared with the new ones: they are left out and told, and an
// identity that would be left without any is an error. Thresholds, the identities' own too, begin anew: they are in the
// old model's terms.
func (g *Gallery) Reembed(ctx context.Context, model Model, embed func(crop []byte) ([]float32, error)) (*Gallery, []Left, error) {
	n, err := New(model)
	if err != nil {
		return nil, nil, err
	}
	n.next, n.revision, n.file = g.next, g.revision+1, g.file
	var left []Left
	for i := range g.things {
		t := thing{Identity: g.things[i].Identity}
		for _, part := range []struct{ from, to *set }{{&g.things[i].own, &t.own}, {&g.things[i].rejected, &t.rejected}} {
			for r := range part.from.records {
				if err := ctx.Err(); err != nil {
					return nil, nil, fmt.Errorf("reembed: %w", err)
				}
				old := part.from.records[r]
				row, err := g.again(&old, embed)
				if err == nil && len(row) != model.Dim {
					return nil, nil, fmt.Errorf("reembed: the model gave %d values, %d were announced", len(row), model.Dim)
				}
				if err == nil {
					err = normalize(row)
				}
				if err != nil {
					left = append(left, Left{t.ID, old.ID, err.Error()})
					continue
				}
				part.to.rows, part.to.records = append(part.to.rows, row...), append(part.to.records, old)
			}
		}
		if len(t.own.records) == 0 {
			return nil, left, withoutPicture(t.ID)
		}
		n.things = append(n.things, t)
	}
	return n, left, nil
}

func (g *Gallery) again(r *record, embed func([]byte) ([]float32, error)) ([]float32, error) {
	crop, err := g.crop(r)
	if err != nil {
		return nil, err
	}
	return embed(crop)
}

// CheckReembed returns nil when every identity has a picture from which Reembed can make at least one embedding; else an
// error that wraps ErrNoCrop and names the first that has none. It does not read the pictures.
func (g *Gallery) CheckReembed() error {
	for i := range g.things {
		if !slices.ContainsFunc(g.things[i].own.records, func(r record) bool { return r.Size > 0 }) {
			return withoutPicture(g.things[i].ID)
		}
	}
	return nil
}

func withoutPicture(id string) error {
	return fmt.Errorf("reembed %s: %w: none of its embeddings has a picture that can be used; enroll it from pictures anew, or remove it first",
		id, ErrNoCrop)
}
