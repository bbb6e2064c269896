package report

import (
	"context"
	"math"
	"slices"

	"xbmedge/internal/retrieval"
)

// PairsAt says where thresholds lie by the cosines of pairs, each of a query and a photo of the gallery.
type PairsAt struct {
	Impostors  int         `json:"impostors"` // pairs of different classes
	Same       int         `json:"same"`      // pairs of one class
	Queries    int         `json:"queries"`   // that the pairs are of, evenly taken when there are very many pairs
	Thresholds []Threshold `json:"thresholds"`
}

// Threshold is the lowest cosine at which no more than a share of the impostors is accepted: has that cosine or a
// higher one.
type Threshold struct {
	FAR   float64 `json:"far"` // false accepts allowed, a share of the impostors
	Float float32 `json:"float"`
	Int8  float32 `json:"int8"`
	// What becomes of a threshold that was found with the float model and is used with the int8 one.
	FARKept float64 `json:"int8_far_at_float_threshold"`
	// Shares of the pairs of one class that are accepted.
	AcceptedFloat float64 `json:"accepted_float"`
	AcceptedInt8  float64 `json:"accepted_int8"`
	AcceptedKept  float64 `json:"accepted_int8_at_float_threshold"`
}

// maxPairs bounds the memory that cosines take.
const maxPairs = 4 << 20

// pairsAt returns nil when there are no impostors.
func pairsAt(ctx context.Context, float, int8s *split) (*PairsAt, error) {
	stride := 1 + float.compared().Len()*float.gallery.Len()/maxPairs
	floats, err := scores(ctx, float, stride)
	if err != nil {
		return nil, err
	}
	ints, err := scores(ctx, int8s, stride)
	if err != nil || len(floats.impostors) == 0 {
		return nil, err
	}
	p := &PairsAt{Impostors: len(floats.impostors), Same: len(floats.same), Queries: (float.compared().Len() + stride - 1) / stride}
	for _, far := range []float64{0.001, 0.01} {
		if far*float64(p.Impostors) < 1 {
			continue // too few to tell
		}
		t := Threshold{FAR: far, Float: lowest(floats.impostors, far), Int8: lowest(ints.impostors, far)}
		t.FARKept = shareFrom(ints.impostors, t.Float)
		t.AcceptedFloat, t.AcceptedInt8 = shareFrom(floats.same, t.Float), shareFrom(ints.same, t.Int8)
		t.AcceptedKept = shareFrom(ints.same, t.Float)
		p.Thresholds = append(p.Thresholds, t)
	}
	return p, nil
}

// pairScores are the cosines of pairs, ascending.
type pairScores struct{ impostors, same []float32 }

func scores(ctx context.Context, s *split, stride int) (pairScores, error) {
	var p pairScores
	queries, labels := s.compared(), s.labels()
	for i := 0; i < queries.Len(); i += stride {
		if err := ctx.Err(); err != nil {
			return p, err
		}
		for j := range s.gallery.Len() {
			switch {
			case s.leaveOneOut() && (j == i || j < i && j%stride == 0): // itself, or seen from the other side
			case labels[i] == s.galleryLabels[j]:
				p.same = append(p.same, retrieval.Dot(queries.Row(i), s.gallery.Row(j)))
			default:
				p.impostors = append(p.impostors, retrieval.Dot(queries.Row(i), s.gallery.Row(j)))
			}
		}
	}
	slices.Sort(p.same)
	slices.Sort(p.impostors)
	return p, nil
}

// lowest returns the lowest threshold that at most that share of the sorted scores reaches.
func lowest(sorted []float32, share float64) float32 {
	allowed := int(share * float64(len(sorted)))
	return math.Nextafter32(sorted[len(sorted)-allowed-1], math.MaxFloat32)
}

// shareFrom returns the share of the sorted scores that are at least t.
func shareFrom(sorted []float32, t float32) float64 {
	if len(sorted) == 0 {
		return 0
	}
	i, _ := slices.BinarySearch(sorted, t)
	return float64(len(sorted)-i) / float64(len(sorted))
}
