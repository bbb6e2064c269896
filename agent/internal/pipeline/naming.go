package pipeline

import (
	"slices"
	"strings"
	"time"

	"xbmedge/internal/gallery"
)

// decide settles what a track that was just seen is told as.
func (t *tracker) decide(tr *track, frame *Event) {
	label := frame.Identity.ID
	if tr.label == label {
		t.follow(tr, frame)
		return
	}
	tr.missing++
	if tr.label != "" {
		t.doubt(tr, frame)
	}
	t.crowdOut(tr, frame.Time)
	votes := tr.tally(label)
	switch {
	case votes.count < t.cfg.MinFrames || !frame.Known && tr.age < t.cfg.UnknownFrames:
		tr.verdict = "too few frames agree"
	case tr.outweighed(label, votes.weight):
		tr.verdict = "others weigh as much"
	case frame.Known && votes.clear < t.cfg.clear():
		tr.verdict = "too close to the threshold for so few frames"
	case frame.Known && votes.margin < t.cfg.Margin:
		tr.verdict = "too close to the runner-up"
	case frame.Known && t.cfg.Ratio > 0 && votes.ratio > t.cfg.Ratio:
		tr.verdict = "hardly nearer than the runner-up"
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

// clear is how clear the frames that agree on a name have to be in all: as clear as MinFrames whose scores lie a little above
// the threshold. Of frames that lie on it takes more, as many as the window has at most.
func (c *TrackConfig) clear() float32 {
	const each = 0.6 // of 0.5, on the threshold, to 1
	return min(each*float32(c.MinFrames), 0.5*float32(c.Window))
}

// doubt takes a frame that does not say what its track is told as, and ends that when it has held long enough, or when as
// many frames in a row as it takes to tell a name do not say it, once one of them has spoken for another thing: it is nearer
// to one, or looked like one beside the frame before.
func (t *tracker) doubt(tr *track, frame *Event) {
	if tr.best.Known && (tr.doubts > 0 || tr.swapped || len(frame.TopK) > 0 && frame.TopK[0].ID != tr.label) {
		tr.doubts++
	}
	held := tr.missing >= min(t.cfg.HoldFrames, tr.best.Frames) &&
		(!t.timed || frame.Time.Sub(tr.seenAt) >= min(t.cfg.Hold, tr.seenAt.Sub(tr.since)))
	if held || tr.doubts >= t.cfg.MinFrames {
		t.leave(tr, frame.Time)
	}
}

// crowdOut ends what was told of things out of sight, in whose place another has been seen for as many frames as it takes
// to tell a name, whatever that will be.
func (t *tracker) crowdOut(tr *track, now time.Time) {
	if tr.age < t.cfg.MinFrames {
		return
	}
	for _, o := range t.tracks {
		if o != tr && o.absent >= t.cfg.MinFrames && o.label != "" && overlap(o.box, tr.box) > samePlace {
			t.leave(o, now)
		}
	}
}

// overdue reports whether what a track was told as has not been seen for the hold's time.
func (t *tracker) overdue(tr *track, now time.Time) bool {
	return !t.timed || now.Sub(tr.seenAt) >= t.cfg.Hold
}

// follow brings a track up to date with a frame that says what it is told as.
func (t *tracker) follow(tr *track, frame *Event) {
	tr.missing, tr.doubts, tr.swapped, tr.seenAt, tr.verdict = 0, 0, false, frame.Time, "goes on"
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
	count := tr.tally(label).count
	tr.label, tr.missing, tr.doubts, tr.swapped, tr.seenAt, tr.verdict = label, 0, 0, false, now, "settled"
	tr.since = best.Time
	if other := t.find(func(o *track) bool { return o != tr && o.absent > 0 && o.label != "" && o.best.Identity.ID == who.ID }); other != nil && who.ID != gallery.UnknownID {
		tr.best.ID, tr.best.Identity, tr.best.Frames = other.best.ID, who, other.best.Frames+count
		tr.told, tr.toldAt = other.told, other.toldAt
		if best.Score > other.best.Score {
			tr.adopt(&best.Event)
		} else {
			tr.adopt(&other.best)
		}
		tr.best.Box = tr.box
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
