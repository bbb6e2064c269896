package main

import (
	"context"
	"math"
	"slices"

	"xbmedge/internal/bundle"
	"xbmedge/internal/embed"
	"xbmedge/internal/photos"
	"xbmedge/internal/retrieval"
)

// Photos of a class that thresholds are measured on: the time grows with the square of all.
const thresholdPhotos = 20

// falseAcceptRates are those that a threshold is suggested for, as far as there are photos enough to tell.
func falseAcceptRates() []float64 { return []float64{0.05, 0.01, 0.001, 0.0001} }

// measureThresholds searches each photo among the others, and looks where strangers and kin part. Without two classes
// there are no strangers.
func (o *bundleFlags) measureThresholds(ctx context.Context, model []byte, list []photos.Photo) ([]bundle.Threshold, error) {
	var some []photos.Photo
	count := map[string]int{}
	for _, p := range list {
		if count[p.Class]++; count[p.Class] <= thresholdPhotos {
			some = append(some, p)
		}
	}
	if len(count) < 2 {
		return nil, nil
	}
	set, _, err := embed.Photos(ctx, model, embed.Options{}, some)
	if err != nil {
		return nil, err
	}
	genuine, impostors := bestScores(set)
	var found []bundle.Threshold
	for _, rate := range falseAcceptRates() {
		if len(genuine) == 0 || float64(len(impostors))*rate < 1 { // too few to tell such a share
			break
		}
		found = append(found, thresholdFor(rate, genuine, impostors))
	}
	return found, nil
}

// bestScores returns, sorted, each photo's best cosine with another of its class, where there is one, and with one of
// other classes.
func bestScores(set embed.Set) (genuine, impostors []float32) {
	for i, p := range set.Photos {
		own, other := float32(-2), float32(-2)
		for k, q := range set.Photos {
			switch score := retrieval.Dot(set.Row(i), set.Row(k)); {
			case k == i:
			case q.Class == p.Class:
				own = max(own, score)
			default:
				other = max(other, score)
			}
		}
		if own > -2 {
			genuine = append(genuine, own)
		}
		if other > -2 {
			impostors = append(impostors, other)
		}
	}
	slices.Sort(genuine)
	slices.Sort(impostors)
	return genuine, impostors
}

// thresholdFor returns the lowest threshold that at most that share of impostors reaches.
func thresholdFor(rate float64, genuine, impostors []float32) bundle.Threshold {
	highest := impostors[len(impostors)-1-int(rate*float64(len(impostors)))] // of those that must not reach it
	t := min(math.Nextafter32(highest, 2), 1)
	below := func(scores []float32) int {
		n, _ := slices.BinarySearch(scores, t)
		return n
	}
	return bundle.Threshold{
		Threshold:   t,
		FalseAccept: float64(len(impostors)-below(impostors)) / float64(len(impostors)),
		FalseReject: float64(below(genuine)) / float64(len(genuine)),
	}
}
