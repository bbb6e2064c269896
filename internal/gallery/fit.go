package gallery

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"
)

// PerRate is how many impostors a rate has to be expected in before it can be told from chance: ten strangers named by
// mistake are known to some ±60 % (Doddington's rule of 30 would give ±30 %).
const PerRate = 10

// Pair is two embeddings that are alike although they show different things.
type Pair struct {
	Vector uint64  `json:"vector"` // number of the embedding; 0 for one of the background
	Of     string  `json:"of"`     // id of the identity it shows, "" for the background
	Row    int     `json:"row"`    // of the background
	Taken  string  `json:"taken"`  // id of the identity it is most like
	Near   uint64  `json:"near"`   // number of that identity's embedding
	Score  float32 `json:"score"`
}

// Fit is a threshold for a wanted rate and all that it rests on.
type Fit struct {
	Calibration
	Revision         uint64    `json:"-"` // of the gallery that it was worked out on
	EnrolledScores   []float32 `json:"-"` // impostor scores of enrolled pictures, ascending
	BackgroundScores []float32 `json:"-"` // impostor scores of the background, ascending
	GenuineScores    []float32 `json:"-"` // ascending
	Closest          []Pair    `json:"closest"`
	// Wrong are the enrolled pictures that, had they not been enrolled, would be given another's name at the threshold.
	Wrong []Pair `json:"wrong"`
}

// maxPairs is how many of the closest pairs a Fit tells.
const maxPairs = 24

// Fit works out the threshold at which the share far of strangers gets a name, for use with SetCalibration. What a
// stranger scores is the best cosine over the gallery. Enrolled embeddings against all other identities tell how alike
// the things here are; the background (embeddings of what is not enrolled, L2-normalised) tells what else comes before
// the camera. The two are different kinds of strangers, so the rate is kept for each by itself: the threshold lies just
// above the larger of the two quantiles.
//
// One threshold for all identities, from what strangers score: measured against thresholds from a tail fitted to each
// identity's impostors, against z-norm and against adaptive s-norm on a cohort, it alone kept the rate on strangers that
// were not calibrated on (BENCHMARKS.md).
//
// Fewer than 10/far impostors cannot show such a rate: Supported is the least rate they can.
func (g *Gallery) Fit(far float64, background [][]float32) (*Fit, error) {
	if !(far > 0 && far < 1) {
		return nil, fmt.Errorf("calibrate: false accept rate %v; want more than 0 and less than 1", far)
	}
	if err := g.checkBackground(background); err != nil {
		return nil, err
	}
	f := g.fit(background)
	f.Revision = g.revision
	if len(f.EnrolledScores)+len(f.BackgroundScores) == 0 {
		return nil, errors.New("calibrate: there is one identity and no background, so nothing to tell it from; " +
			"enroll a second thing, or give a --background of pictures that show nothing enrolled")
	}
	threshold := float32(-0.99)
	for _, scores := range [][]float32{f.EnrolledScores, f.BackgroundScores} {
		if len(scores) > 0 {
			threshold = max(threshold, math.Nextafter32(quantile(scores, 1-far), 2))
		}
	}
	impostors := len(f.EnrolledScores) + len(f.BackgroundScores)
	f.Calibration = Calibration{
		Threshold: min(threshold, 1), Asked: far, Impostors: impostors, Genuine: len(f.GenuineScores),
		Background: len(f.BackgroundScores), Supported: math.Min(1, PerRate/float64(impostors)),
		Why: "just above what the wanted share of strangers scores",
	}
	f.measure(g)
	return f, nil
}

// measure fills in the rates at the threshold, and the wrong names.
func (f *Fit) measure(g *Gallery) {
	n := float64(len(f.EnrolledScores) + len(f.BackgroundScores))
	f.FAR = (float64(len(f.EnrolledScores))*shareFrom(f.EnrolledScores, f.Threshold) + float64(len(f.BackgroundScores))*shareFrom(f.BackgroundScores, f.Threshold)) / max(n, 1)
	f.FRR = 0
	if len(f.GenuineScores) > 0 {
		f.FRR = 1 - shareFrom(f.GenuineScores, f.Threshold)
	}
	f.Wrong = g.wrong(f.Threshold)
}

// fit gathers the scores.
func (g *Gallery) fit(background [][]float32) *Fit {
	f := &Fit{Closest: []Pair{}}
	for i := range g.things {
		t := &g.things[i]
		for r := range t.own.records {
			v := t.own.row(r)
			if len(t.own.records) > 1 {
				s, _ := t.own.nearest(v, r)
				f.GenuineScores = append(f.GenuineScores, s)
			}
			if len(g.things) > 1 {
				p := g.nearestThing(v, i)
				p.Vector, p.Of = t.own.records[r].ID, t.ID
				f.EnrolledScores = append(f.EnrolledScores, p.Score)
				f.close(p)
			}
		}
	}
	if len(g.things) > 0 {
		for i, v := range background {
			p := g.nearestThing(v, -1)
			p.Row = i
			f.BackgroundScores = append(f.BackgroundScores, p.Score)
			f.close(p)
		}
	}
	f.close(Pair{Score: -2}) // sorts
	f.Closest = slices.DeleteFunc(f.Closest, func(p Pair) bool { return p.Score == -2 })
	slices.Sort(f.EnrolledScores)
	slices.Sort(f.BackgroundScores)
	slices.Sort(f.GenuineScores)
	return f
}

// close keeps the pair if it is among the closest.
func (f *Fit) close(p Pair) {
	at, _ := slices.BinarySearchFunc(f.Closest, p, func(a, b Pair) int { return cmp.Compare(b.Score, a.Score) })
	if at < maxPairs {
		f.Closest = slices.Insert(f.Closest, at, p)
		f.Closest = f.Closest[:min(len(f.Closest), maxPairs)]
	}
}

// nearestThing returns the identity most like v, but for one.
func (g *Gallery) nearestThing(v []float32, but int) Pair {
	p := Pair{Score: -2}
	for i := range g.things {
		if i == but {
			continue
		}
		if s, at := g.things[i].own.nearest(v, -1); s > p.Score {
			p.Score, p.Taken, p.Near = s, g.things[i].ID, g.things[i].own.records[at].ID
		}
	}
	return p
}

// wrong returns the enrolled embeddings that are more like another identity than like the others of their own, as like
// as the threshold asks. A single embedding is not among them: without it its identity would not be there.
func (g *Gallery) wrong(threshold float32) []Pair {
	found := []Pair{}
	for i := range g.things {
		t := &g.things[i]
		for r := range t.own.records {
			v := t.own.row(r)
			own, _ := t.own.nearest(v, r)
			if p := g.nearestThing(v, i); len(t.own.records) > 1 && p.Score >= threshold && p.Score > own {
				p.Vector, p.Of = t.own.records[r].ID, t.ID
				found = append(found, p)
			}
		}
	}
	return found
}

// ErrWrongNames is returned for a threshold at which more enrolled pictures would get another's name than do now.
var ErrWrongNames = errors.New("would give an enrolled picture another thing's name")

// SetCalibration sets a calibration's threshold and remembers what it rests on. A threshold lower than the present one
// that would give enrolled pictures another's name, which they do not get now, is refused unless forced, with an error
// that wraps ErrWrongNames and tells which.
func (g *Gallery) SetCalibration(c Calibration, force bool, now time.Time) error {
	if c.Threshold < g.threshold && !force {
		for _, p := range g.wrong(c.Threshold) {
			if p.Score < g.threshold {
				return fmt.Errorf("threshold %.3f, now %.3f: it %w: embedding %d of %s would be taken for %s, with %.3f; "+
					"remove that embedding, merge the two, or force it", c.Threshold, g.threshold, ErrWrongNames, p.Vector, p.Of, p.Taken, p.Score)
			}
		}
	}
	if err := g.SetThreshold(c.Threshold); err != nil {
		return err
	}
	c.Time = now.UTC().Truncate(time.Second)
	g.calibration = &c
	g.revision++
	return nil
}

// tooAlike is the cosine from which on two things are alike whatever the threshold: with one picture of each it lies above
// any score between them, and tells nothing.
const tooAlike = 0.9

// Alike returns, for each other identity with an embedding so like one of id's that it has id's name or the other way
// round, or would but for a very high threshold, the closest pair.
func (g *Gallery) Alike(id string) []Pair {
	at, known := g.find(id)
	if !known {
		return nil
	}
	var found []Pair
	t := &g.things[at]
	for i := range g.things {
		other := &g.things[i]
		top := Pair{Score: -2}
		for r := range t.own.records {
			if s, n := other.own.nearest(t.own.row(r), -1); i != at && s > top.Score {
				top = Pair{Vector: t.own.records[r].ID, Of: id, Taken: other.ID, Near: other.own.records[n].ID, Score: s}
			}
		}
		if i != at && top.Score >= min(g.limit(t), g.limit(other), tooAlike) {
			found = append(found, top)
		}
	}
	return found
}
