package report

import (
	"cmp"
	"slices"

	"xbmedge/internal/photos"
	"xbmedge/internal/retrieval"
)

// Shift counts the queries that the two models find another photo first for.
type Shift struct {
	Changed int `json:"changed"`
	Lost    int `json:"lost"`   // right in float, wrong in int8
	Gained  int `json:"gained"` // the other way round
}

// Drifted is a query whose embedding int8 moved far.
type Drifted struct {
	Photo   string  `json:"photo"`
	Class   string  `json:"class"`
	Cosine  float64 `json:"cosine"` // between its two embeddings
	Float   Found   `json:"float"`
	Int8    Found   `json:"int8"`
	Changed bool    `json:"changed"` // another photo is found first
}

// Found is what a model found first.
type Found struct {
	Photo  string  `json:"photo"`
	Class  string  `json:"class"`
	Cosine float32 `json:"cosine"`
	Right  bool    `json:"right"` // of the query's class
}

// maxWorst is how many queries are shown.
const maxWorst = 12

// drift compares what the two models find first, and picks out the queries of the lowest cosines.
func (r *Result) drift(float, int8s *split, cosines []float64) error {
	nearestFloat, err := nearest(float)
	if err != nil {
		return err
	}
	nearestInt8, err := nearest(int8s)
	if err != nil {
		return err
	}
	r.Neighbours = &Shift{}
	all := make([]Drifted, len(cosines))
	for i, c := range cosines {
		query := float.photos()[i]
		d := Drifted{Photo: query.Path, Class: query.Class, Cosine: c}
		d.Float = found(query, float.galleryPhotos, nearestFloat[i])
		d.Int8 = found(query, float.galleryPhotos, nearestInt8[i])
		d.Changed = nearestFloat[i].Index != nearestInt8[i].Index
		if d.Changed {
			r.Neighbours.Changed++
		}
		switch {
		case d.Float.Right && !d.Int8.Right:
			r.Neighbours.Lost++
		case !d.Float.Right && d.Int8.Right:
			r.Neighbours.Gained++
		}
		all[i] = d
	}
	slices.SortStableFunc(all, func(a, b Drifted) int { return cmp.Compare(a.Cosine, b.Cosine) })
	r.Worst = all[:min(len(all), maxWorst)]
	return nil
}

// nearest returns what each query finds first; index -1 where a single photo has no other to find.
func nearest(s *split) ([]retrieval.Match, error) {
	k := 1
	if s.leaveOneOut() {
		k = 2 // the query itself is one of them
	}
	lists, err := retrieval.TopK(s.compared(), s.gallery, k)
	if err != nil {
		return nil, err
	}
	first := make([]retrieval.Match, len(lists))
	for q, list := range lists {
		first[q] = retrieval.Match{Index: -1}
		for _, m := range list {
			if !s.leaveOneOut() || m.Index != q {
				first[q] = m
				break
			}
		}
	}
	return first, nil
}

func found(query photos.Photo, gallery []photos.Photo, m retrieval.Match) Found {
	if m.Index < 0 {
		return Found{}
	}
	p := gallery[m.Index]
	return Found{Photo: p.Path, Class: p.Class, Cosine: m.Score, Right: p.Class == query.Class}
}
