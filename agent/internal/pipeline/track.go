package pipeline

import (
	"fmt"
	"math"
	"time"

	"xbmedge/internal/gallery"
	"xbmedge/internal/retrieval"
	"xbmedge/internal/vision"
)

// TrackConfig says how single frames become events.
type TrackConfig struct {
	// Window and MinFrames: something is in view once MinFrames of the last Window frames of its track agree on it, and
	// outweigh what the others say. A frame weighs more the sharper it is and the clearer its score.
	Window, MinFrames int
	// UnknownFrames is how many frames a track has to be seen before it is told as unknown: a name may still come.
	UnknownFrames int
	// Margin is the least mean lead of a name over the runner-up in those frames.
	Margin float32
	// Ratio is the greatest mean ratio of the distance to a name to that of the runner-up in those frames: the
	// nearest-neighbour distance ratio of Lowe (IJCV 2004). Unlike Margin it means the same however far apart a model
	// puts things. 0: not asked.
	Ratio float32
	// Dwell is how long a track has to be in view before it is told, where time counts.
	Dwell time.Duration
	// HoldFrames and Hold: it is gone after so many frames, and where time counts so much time, without it. What is still
	// there but no longer looks known keeps its name no longer than it has had it.
	HoldFrames int
	Hold       time.Duration
	// UpdateGain and UpdateInterval: it is told again when its score has grown by so much, and where time counts no more
	// often than that.
	UpdateGain     float32
	UpdateInterval time.Duration
	// Similarity is the least cosine between what a track has looked like and a frame that still shows the same thing, as
	// a share of the gallery's threshold, the cosine at which two pictures count as one thing. Below it another thing has
	// taken its place.
	Similarity float32
}

// Check returns nil for settings that can be used.
func (c TrackConfig) Check() error {
	if c.MinFrames < 1 || c.Window < c.MinFrames || c.Window > maxWindow {
		return fmt.Errorf("%d agreeing frames in a window of %d: want at least 1, and a window of %d at most", c.MinFrames, c.Window, maxWindow)
	}
	if c.HoldFrames < 1 || c.Hold < 0 || c.UpdateInterval < 0 || !(c.UpdateGain > 0) {
		return fmt.Errorf("hold of %d frames and %v, updates at a gain of %v every %v: want more than 0", c.HoldFrames, c.Hold, c.UpdateGain, c.UpdateInterval)
	}
	if !(c.Margin >= 0 && c.Margin <= 1) || c.Dwell < 0 {
		return fmt.Errorf("margin %v, dwell %v: want a margin of 0 to 1 and no negative time", c.Margin, c.Dwell)
	}
	if !(c.Ratio >= 0 && c.Ratio <= 1) {
		return fmt.Errorf("ratio %v: want 0 (not asked) to 1", c.Ratio)
	}
	if !(c.Similarity >= 0 && c.Similarity <= 1) {
		return fmt.Errorf("similarity %v: want 0 (looks do not count) to 1", c.Similarity)
	}
	if c.UnknownFrames < 0 || c.UnknownFrames > 1000 {
		return fmt.Errorf("unknown after %d frames: want 0 to 1000", c.UnknownFrames)
	}
	return nil
}

const maxWindow = 64

// sighting is one region of one frame and what the model says of it.
type sighting struct {
	Event                 // as far as one frame tells; Identity.ID is what it votes for
	area       vision.Box // of the frame, in pixels
	embedding  []float32  // L2-normalised; none: everything is alike
	decision   gallery.Decision
	present    bool    // something is there
	sharpness  float64 // of the picture
	track      *track  // that it was given to
	similarity float32 // with that track, before
}

// fill makes the rest of a sighting of its decision, whose candidates it copies.
func (s *sighting) fill(at time.Time, box Box, latency Latency) {
	d := &s.decision
	s.Event = Event{
		Time: at, Known: d.Known, Score: d.Score, Margin: d.Margin, Threshold: d.Threshold,
		TopK: append(s.TopK[:0], d.TopK...), Frames: 1, Box: box, Latency: latency,
	}
	s.Kind, s.Identity, s.track, s.similarity = Unknown, unknown(), nil, 0
	if d.Known {
		s.Kind, s.Identity = Recognized, d.Identity
	}
	d.TopK = s.TopK
}

func unknown() gallery.Identity { return gallery.Identity{ID: gallery.UnknownID, Name: "Unknown"} }

// clearness is how far a score lies from the threshold, from a half (on it) to one.
func clearness(e *Event) float32 {
	const enough = 0.1 // of cosine
	distance := e.Score - e.Threshold
	if distance < 0 {
		distance = -distance
	}
	return 0.5 + 0.5*min(distance/enough, 1)
}

// distanceRatio is the ratio of the distance from the nearest thing to that from the runner-up; vectors of length 1 with
// cosine s are √(2−2s) apart. It is 0 where there is no runner-up: there the margin is the score.
func distanceRatio(e *Event) float32 {
	first, second := 1-float64(e.Score), 1-float64(e.Score-e.Margin)
	switch {
	case e.Margin == e.Score:
		return 0
	case second <= 0:
		return 1
	}
	return float32(math.Sqrt(max(first, 0) / second))
}

// vote is what one frame said of a track; Identity.ID is "" where the track was not seen.
type vote struct {
	Event
	weight float32
	clear  float32 // its clearness
}

// track is one thing before the camera, while it is seen and a little longer. Its votes name it.
type track struct {
	number int // grows with each track of the camera, for people
	votes  []vote
	next   int
	begun  time.Time
	box    Box       // where it was seen last
	looks  []float32 // slow mean of its embeddings, L2-normalised
	latest []float32 // its embedding when it was seen last
	age    int       // frames in which it was seen
	absent int       // frames since it was seen under any name
	sharp  float64   // of its sharpest frame

	label   string    // what it has been told as: an identity's id, gallery.UnknownID, or "" for nothing yet
	best    Event     // the best frame under that label
	missing int       // frames since it was seen under that, or what it was told as before
	doubts  int       // of those, frames since one has spoken for another thing
	swapped bool      // the first of those looked like another thing beside the one before
	since   time.Time // when it was told so
	seenAt  time.Time // when it was last seen under it
	told    float32   // score in the latest event
	toldAt  time.Time
	verdict string // why it is told as it is, for people
}

func (t *track) reset(number int, at time.Time) {
	votes, looks, latest, topK := t.votes, t.looks[:0], t.latest[:0], t.best.TopK[:0]
	for i := range votes {
		votes[i] = vote{Event: Event{TopK: votes[i].TopK[:0]}}
	}
	*t = track{number: number, votes: votes, looks: looks, latest: latest, begun: at, best: Event{TopK: topK}}
}

// add takes the frame's vote; nil is a frame without the track.
func (t *track) add(s *sighting) {
	v := &t.votes[t.next]
	t.next = (t.next + 1) % len(t.votes)
	topK := v.TopK[:0]
	if s == nil {
		*v = vote{Event: Event{TopK: topK}}
		t.absent++
		t.missing++
		return
	}
	if t.missing == 0 && t.label != s.Identity.ID {
		t.swapped = len(s.embedding) > 0 && len(t.latest) == len(s.embedding) && retrieval.Dot(t.latest, s.embedding) < s.Threshold
	}
	t.latest = append(t.latest[:0], s.embedding...)
	t.absent = 0
	t.age++
	t.box = s.Box
	t.sharp = max(t.sharp, s.sharpness)
	quality := float32(1)
	if t.sharp > 0 {
		quality = float32(max(0.25, s.sharpness/t.sharp))
	}
	v.Event, v.clear = s.Event, clearness(&s.Event)
	v.weight = quality * v.clear
	topK = append(topK, s.TopK...)
	v.TopK = topK
	// What does not look like what it is told as may be another thing on its way in.
	if t.label == "" || t.label == s.Identity.ID {
		t.learn(s.embedding, 0.25)
	} else {
		t.learn(s.embedding, 0.05)
	}
}

// learn moves the track's looks towards an embedding by a part of the way.
func (t *track) learn(embedding []float32, rate float32) {
	if len(t.looks) != len(embedding) {
		t.looks = append(t.looks[:0], embedding...)
		return
	}
	var square float64
	for i, x := range embedding {
		t.looks[i] += rate * (x - t.looks[i])
		square += float64(t.looks[i]) * float64(t.looks[i])
	}
	if square > 1e-12 {
		scale := float32(1 / math.Sqrt(square))
		for i := range t.looks {
			t.looks[i] *= scale
		}
	}
}

// recent returns the latest vote but i, nil for one that does not count any more: when the frames no longer say what the
// track was told as, those before have had their say.
func (t *track) recent(i int) *vote {
	if i >= len(t.votes) || i >= t.missing {
		return nil
	}
	return &t.votes[(t.next-1-i+2*len(t.votes))%len(t.votes)]
}

// tally is what the votes that count say for a label.
type tally struct {
	count         int
	weight, clear float32 // sums
	margin, ratio float32 // means
}

func (t *track) tally(label string) (sum tally) {
	for i := 0; t.recent(i) != nil; i++ {
		if v := t.recent(i); v.Identity.ID == label {
			sum.count++
			sum.weight += v.weight
			sum.clear += v.clear
			sum.margin += v.Margin
			sum.ratio += distanceRatio(&v.Event)
		}
	}
	sum.margin /= max(1, float32(sum.count))
	sum.ratio /= max(1, float32(sum.count))
	return sum
}

// outweighed reports whether the votes for some other label weigh at least as much.
func (t *track) outweighed(label string, weight float32) bool {
	for i := 0; t.recent(i) != nil; i++ {
		if other := t.recent(i).Identity.ID; other != "" && other != label {
			if t.tally(other).weight >= weight {
				return true
			}
		}
	}
	return false
}

// bestVote returns the vote for a label with the highest score, nil for none.
func (t *track) bestVote(label string) *vote {
	var best *vote
	for i := 0; t.recent(i) != nil; i++ {
		if v := t.recent(i); v.Identity.ID == label && (best == nil || v.Score > best.Score) {
			best = v
		}
	}
	return best
}

// adopt makes a frame the best of what the track is told as, under the identity and id it has.
func (t *track) adopt(frame *Event) {
	b := &t.best
	id, who, frames, topK := b.ID, b.Identity, b.Frames, b.TopK[:0]
	topK = append(topK, frame.TopK...)
	*b = *frame
	b.ID, b.Identity, b.Frames, b.TopK = id, who, frames, topK
}
