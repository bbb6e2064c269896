package pipeline

import (
	"slices"
	"strings"
	"time"

	"xbmedge/internal/gallery"
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
// is still that thing until its name has not been seen for the hold. A thing that looks like another one altogether is
// another track, and takes its place as soon as it is told.
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

// decide settles what a track that was just seen is told as.
func (t *tracker) decide(tr *track, frame *Event) {
	label := frame.Identity.ID
	if tr.label == label {
		t.follow(tr, frame)
		return
	}
	if tr.label != "" {
		t.doubt(tr, frame)
	}
	count, weight, margin := tr.tally(label)
	switch {
	case count < t.cfg.MinFrames || !frame.Known && tr.age < t.cfg.UnknownFrames:
		tr.verdict = "too few frames agree"
	case tr.outweighed(label, weight):
		tr.verdict = "others weigh as much"
	case frame.Known && margin < t.cfg.Margin:
		tr.verdict = "too close to the runner-up"
	case t.timed && frame.Time.Sub(tr.begun) < t.cfg.Dwell:
		tr.verdict = "not there long enough"
	case tr.label != "" && !frame.Known:
		tr.verdict = "unknown, but its name holds"
	default:
		if tr.label != "" {
			t.leave(tr, frame.Time)
		}
		t.start(tr, label, frame.Time)
	}
}

// doubt takes a frame that does not say what its track is told as, and ends that when it has held long enough, or when
// the frames are nearer to something else.
func (t *tracker) doubt(tr *track, frame *Event) {
	tr.missing++
	if tr.best.Known && !frame.Known && len(frame.TopK) > 0 && frame.TopK[0].ID != tr.label {
		tr.doubts++
	} else {
		tr.doubts = 0
	}
	held := tr.missing >= min(t.cfg.HoldFrames, tr.best.Frames) &&
		(!t.timed || frame.Time.Sub(tr.seenAt) >= min(t.cfg.Hold, tr.seenAt.Sub(tr.since)))
	if held || tr.doubts >= t.cfg.MinFrames {
		t.leave(tr, frame.Time)
	}
}

// overdue reports whether what a track was told as has not been seen for the hold's time.
func (t *tracker) overdue(tr *track, now time.Time) bool {
	return !t.timed || now.Sub(tr.seenAt) >= t.cfg.Hold
}

// follow brings a track up to date with a frame that says what it is told as.
func (t *tracker) follow(tr *track, frame *Event) {
	tr.missing, tr.doubts, tr.seenAt, tr.verdict = 0, 0, frame.Time, "goes on"
	tr.best.Frames++
	if frame.Score > tr.best.Score {
		tr.adopt(frame)
	}
	tr.best.Box = frame.Box
	if !frame.Known || tr.best.Score < tr.told+t.cfg.UpdateGain || t.timed && frame.Time.Sub(tr.toldAt) < t.cfg.UpdateInterval {
		return
	}
	t.tell(tr, TrackUpdate, tr.best.Kind, frame.Time)
}

// start tells a track under a label, unless a track that is out of sight has been told as the same thing: then that one
// goes on here. Other tracks out of sight in the same place are over.
func (t *tracker) start(tr *track, label string, now time.Time) {
	best := tr.bestVote(label)
	who := best.Identity
	if label == gallery.UnknownID && t.strangers != nil && len(tr.looks) > 0 {
		id, _ := t.strangers.Identify(tr.looks, best.Threshold, now)
		who = gallery.Identity{ID: id, Name: "Unknown" + strings.ReplaceAll(strings.TrimPrefix(id, gallery.UnknownID), "-", " ")}
	}
	count, _, _ := tr.tally(label)
	tr.label, tr.missing, tr.doubts, tr.seenAt, tr.verdict = label, 0, 0, now, "settled"
	tr.since = best.Time
	if other := t.find(func(o *track) bool { return o != tr && o.absent > 0 && o.label != "" && o.best.Identity.ID == who.ID }); other != nil && who.ID != gallery.UnknownID {
		tr.best.ID, tr.best.Identity, tr.best.Frames = other.best.ID, who, other.best.Frames+count
		tr.told, tr.toldAt = other.told, other.toldAt
		if best.Score > other.best.Score {
			tr.adopt(&best.Event)
		} else {
			tr.adopt(&other.best)
		}
		tr.verdict = "goes on after a gap"
		other.label = ""
		return
	}
	for _, o := range t.tracks {
		if o != tr && o.absent > 0 && o.label != "" && overlap(o.box, tr.box) > samePlace {
			t.leave(o, now)
		}
	}
	tr.best.ID, tr.best.Identity, tr.best.Frames = t.newID(now), who, count
	tr.adopt(&best.Event)
	t.tell(tr, TrackNew, tr.best.Kind, now)
}

// samePlace is the overlap of two boxes in which only one thing can be.
const samePlace = 0.5

func (t *tracker) find(is func(*track) bool) *track {
	if i := slices.IndexFunc(t.tracks, is); i >= 0 {
		return t.tracks[i]
	}
	return nil
}

func (t *tracker) leave(tr *track, now time.Time) {
	t.tell(tr, TrackEnd, Left, now)
	tr.label, tr.verdict = "", "left"
}

func (t *tracker) tell(tr *track, typ EventType, kind EventKind, now time.Time) {
	e := tr.best
	e.TopK = slices.Clone(e.TopK) // the track's own is used again
	e.Type, e.Kind, e.Time = typ, kind, now
	tr.told, tr.toldAt = e.Score, now
	t.out = append(t.out, e)
	if typ != TrackEnd {
		t.last = &e
	}
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
