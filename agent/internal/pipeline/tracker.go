package pipeline

import (
	"slices"
	"time"

	"xbmedge/internal/retrieval"
)

// Limits of one camera.
const (
	maxTracks  = 16
	maxRegions = 8 // of one frame
)

// Strangers give things that are not enrolled an id, the same one each time.
type Strangers interface {
	Identify(embedding []float32, threshold float32, now time.Time) (id string, again bool)
}

// tracker decides over several frames and several things. It belongs to one goroutine and allocates only when something
// is told.
//
// Each sighting goes to the track that it continues, by place and looks, or begins one. A track is told under a label (an
// identity or unknown) when it is the present frame's, that of enough of its window's votes, and outweighs the rest. A
// known one also takes over from another label. Unknown takes over from nothing on the same track: a thing turned around
// is still that thing until its name has not been seen for the hold, unless frames speak for another thing. A thing that
// looks like another one altogether is another track, and takes its place as soon as it has been seen often enough to be told.
type tracker struct {
	cfg       TrackConfig
	timed     bool // the frames' times count
	newID     func(time.Time) string
	strangers Strangers // may be nil

	tracks  []*track // in the order in which they began
	spare   []*track
	counter int
	last    *Event
	out     []Event   // reused
	frameAt time.Time // of the latest frame
}

func newTracker(cfg TrackConfig, timed bool, newID func(time.Time) string, strangers Strangers) *tracker {
	t := &tracker{cfg: cfg, timed: timed, newID: newID, strangers: strangers}
	for range maxTracks {
		t.spare = append(t.spare, &track{votes: make([]vote, cfg.Window)})
	}
	return t
}

// see takes what one frame shows and returns what has to be told, valid until the next call.
func (t *tracker) see(at time.Time, seen []sighting) []Event {
	t.out = t.out[:0]
	t.frameAt = at
	t.assign(seen)
	for _, tr := range t.tracks {
		if !slices.ContainsFunc(seen, func(s sighting) bool { return s.track == tr }) {
			tr.add(nil)
			tr.verdict = "out of sight"
		}
	}
	for i := range seen {
		s := &seen[i]
		if s.track == nil {
			s.track = t.begin(at)
		}
		if s.track != nil {
			s.track.add(s)
		}
	}
	for i := range seen {
		if s := &seen[i]; s.track != nil {
			t.decide(s.track, &s.Event)
		}
	}
	t.expire(at)
	return t.out
}

// assign gives each sighting the track that it fits best, the best fit first, each track at most once.
func (t *tracker) assign(seen []sighting) {
	var taken [maxTracks]bool
	for {
		bestTrack, bestSeen, best, similarity := -1, -1, float32(0), float32(0)
		for i, tr := range t.tracks {
			for j := range seen {
				if taken[i] || seen[j].track != nil {
					continue
				}
				if fit, sim := t.fit(tr, &seen[j]); fit > best {
					bestTrack, bestSeen, best, similarity = i, j, fit, sim
				}
			}
		}
		if bestTrack < 0 {
			return
		}
		taken[bestTrack] = true
		seen[bestSeen].track, seen[bestSeen].similarity = t.tracks[bestTrack], similarity
	}
}

// fit says how well a sighting continues a track, 0 for not at all, and how much it looks like it.
func (t *tracker) fit(tr *track, s *sighting) (fit, similarity float32) {
	similarity = 1
	if len(s.embedding) > 0 && len(tr.looks) == len(s.embedding) {
		similarity = min(1, retrieval.Dot(tr.looks, s.embedding))
	}
	sameName := s.Known && tr.label == s.Identity.ID
	if t.cfg.Similarity > 0 && similarity < t.cfg.Similarity*s.Threshold && !sameName {
		return 0, similarity
	}
	// A thing may move by its own size between two frames, and further the longer it was not seen.
	reach := max(tr.box[2], tr.box[3], s.Box[2], s.Box[3]) * float64(1+min(tr.absent, 5))
	dx, dy := tr.box[0]+tr.box[2]/2-s.Box[0]-s.Box[2]/2, tr.box[1]+tr.box[3]/2-s.Box[1]-s.Box[3]/2
	if dx*dx+dy*dy > reach*reach {
		return 0, similarity
	}
	fit = 2 + similarity + float32(overlap(tr.box, s.Box)) // more than 0 for a cosine of -1, too
	if sameName {
		fit++
	}
	return fit, similarity
}

// begin returns a new track. When there are too many it takes the place of the one longest unseen of those that have not
// been told; nil where all have.
func (t *tracker) begin(at time.Time) *track {
	if len(t.spare) == 0 {
		oldest := -1
		for i, tr := range t.tracks {
			if tr.label == "" && tr.absent > 0 && (oldest < 0 || tr.absent > t.tracks[oldest].absent) {
				oldest = i
			}
		}
		if oldest < 0 {
			return nil
		}
		t.drop(oldest)
	}
	tr := t.spare[len(t.spare)-1]
	t.spare = t.spare[:len(t.spare)-1]
	t.counter++
	tr.reset(t.counter, at)
	t.tracks = append(t.tracks, tr)
	return tr
}

func (t *tracker) drop(i int) {
	t.spare = append(t.spare, t.tracks[i])
	t.tracks = slices.Delete(t.tracks, i, i+1)
}

// expire ends what has been out of sight for long.
func (t *tracker) expire(at time.Time) {
	for i := 0; i < len(t.tracks); i++ {
		tr := t.tracks[i]
		if tr.label != "" && tr.absent > 0 && tr.missing >= t.cfg.HoldFrames && t.overdue(tr, at) {
			t.leave(tr, at)
		}
		if tr.label == "" && tr.absent >= min(t.cfg.Window, t.cfg.HoldFrames) {
			t.drop(i)
			i--
		}
	}
}
