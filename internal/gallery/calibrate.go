package gallery

import (
	"fmt"
	"math"
	"slices"
	"time"
)

// Calibration says how a threshold was come to.
type Calibration struct {
	Threshold  float32   `json:"threshold"`
	Asked      float64   `json:"asked,omitempty"` // the wanted FAR
	FAR        float64   `json:"far"`             // share of impostor scores at or above the threshold
	FRR        float64   `json:"frr"`             // share of genuine scores below it
	Impostors  int       `json:"impostors"`       // how many scores each share rests on
	Genuine    int       `json:"genuine"`
	Background int       `json:"background,omitempty"` // of the impostors
	Supported  float64   `json:"supported,omitempty"`  // least rate that so many impostors can show
	Why        string    `json:"why"`                  // which rule decided, for people
	Time       time.Time `json:"time,omitzero"`
}

const (
	// maxFRR is the share of enrolled pictures that may be taken for unknown before the wish for few false names
	// gives way.
	maxFRR = 0.1
	// gapFRR is the share of enrolled pictures that are set aside when a gap is looked for: there is always an odd one.
	gapFRR = 0.01
	// maxProbes bounds the work: scores are the maximum over the whole gallery, so the cost is probes × gallery.
	maxProbes = 4000
)

// Calibrate suggests a threshold for a wanted false accept rate: the share of strangers that may get a name.
//
// What a stranger scores is the best cosine over the whole gallery, so the impostor scores are: every enrolled
// embedding against all other identities (as if its own had never been enrolled), and every background embedding
// (pictures of nothing that is enrolled; L2-normalised) against all. The genuine scores are leave-one-out: every
// embedding against the others of its identity. Then:
//
//   - Where there is a gap between the impostor score at the wanted rate and the genuine score at 1 %, the threshold
//     lies in its middle: pictures taken later score lower than those enrolled, and strangers seen later higher.
//   - Where the wanted rate costs at most 10 % of the genuine scores, it is just above the impostor score at that
//     rate. Not higher: what is enrolled beside a thing is more like it than most strangers are.
//   - Where the two overlap more, it is where FAR + FRR is least. Look-alikes are enrolled on purpose (two brands of
//     milk), and a threshold above all their mutual scores would know nothing.
//   - Without impostors (one identity, no background) it is the genuine score at 10 % less a tenth; without genuine
//     scores (one picture each) the impostor score and a tenth of the way to 1; without either DefaultThreshold.
//
// It does not change the gallery.
func (g *Gallery) Calibrate(far float64, background [][]float32) (Calibration, error) {
	if !(far >= 0 && far < 1) {
		return Calibration{}, fmt.Errorf("calibrate: false accept rate %v; want 0 to less than 1", far)
	}
	if err := g.checkBackground(background); err != nil {
		return Calibration{}, err
	}
	impostors, genuine := g.scores(background)
	slices.Sort(impostors)
	slices.Sort(genuine)
	c := Calibration{Impostors: len(impostors), Genuine: len(genuine)}
	switch {
	case len(impostors) == 0 && len(genuine) == 0:
		c.Threshold, c.Why = DefaultThreshold, "too few pictures to tell: the default"
	case len(impostors) == 0:
		c.Threshold, c.Why = quantile(genuine, maxFRR)-0.1, "nothing to tell it from: a tenth below the enrolled pictures' own scores"
	case len(genuine) == 0:
		top := quantile(impostors, 1-far)
		c.Threshold, c.Why = top+0.1*(1-top), "one picture each: a little above the scores between identities"
	default:
		strangers, own := quantile(impostors, 1-far), quantile(genuine, gapFRR)
		above := math.Nextafter32(strangers, 1)
		switch {
		case strangers < own:
			c.Threshold, c.Why = (strangers+own)/2, "midway between strangers' and own scores"
		case 1-shareFrom(genuine, above) <= maxFRR:
			c.Threshold, c.Why = above, "just above strangers' scores"
		default:
			c.Threshold, c.Why = leastError(impostors, genuine), "strangers' and own scores overlap: least sum of errors"
		}
	}
	c.Threshold = max(-0.99, min(c.Threshold, 1))
	c.FAR, c.FRR = shareFrom(impostors, c.Threshold), 1-shareFrom(genuine, c.Threshold)
	if len(genuine) == 0 {
		c.FRR = 0
	}
	return c, nil
}

func (g *Gallery) checkBackground(background [][]float32) error {
	for i, b := range background {
		if len(b) != g.model.Dim {
			return fmt.Errorf("calibrate: background embedding %d has %d values, the gallery's model makes %d", i, len(b), g.model.Dim)
		}
	}
	return nil
}

// scores returns the impostor and genuine scores, of at most maxProbes embeddings each, evenly taken.
func (g *Gallery) scores(background [][]float32) (impostors, genuine []float32) {
	stride := 1 + g.Len()/maxProbes
	n := 0
	for i := range g.things {
		own := g.things[i].own
		for r := range own.records {
			if n++; n%stride != 0 {
				continue
			}
			if len(own.records) > 1 {
				score, _ := own.nearest(own.row(r), r)
				genuine = append(genuine, score)
			}
			if len(g.things) > 1 {
				impostors = append(impostors, g.nearestThing(own.row(r), i).Score)
			}
		}
	}
	if len(g.things) == 0 {
		return impostors, genuine
	}
	stride = 1 + len(background)/maxProbes
	for i := 0; i < len(background); i += stride {
		impostors = append(impostors, g.nearestThing(background[i], -1).Score)
	}
	return impostors, genuine
}

// quantile returns the value below or at which the share q of the sorted values lies.
func quantile(sorted []float32, q float64) float32 {
	i := int(math.Ceil(q*float64(len(sorted)))) - 1
	return sorted[max(0, min(i, len(sorted)-1))]
}

// shareFrom returns the share of the sorted values that are at least t.
func shareFrom(sorted []float32, t float32) float64 {
	if len(sorted) == 0 {
		return 0
	}
	i, _ := slices.BinarySearch(sorted, t)
	return float64(len(sorted)-i) / float64(len(sorted))
}

// leastError returns the threshold with the least FAR + FRR; of several, the highest.
func leastError(impostors, genuine []float32) float32 {
	bestT, bestSum := genuine[0], math.Inf(1)
	for _, t := range genuine {
		if sum := shareFrom(impostors, t) + 1 - shareFrom(genuine, t); sum <= bestSum {
			bestT, bestSum = t, sum
		}
	}
	return bestT
}
