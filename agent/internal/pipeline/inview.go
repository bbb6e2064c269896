package pipeline

import (
	"slices"
	"time"

	"xbmedge/internal/gallery"
)

// still takes a frame in which nothing has moved: what was in view still is.
func (t *tracker) still(at time.Time) {
	t.frameAt = at
	for _, tr := range t.tracks {
		tr.seenAt = at
	}
}

// settled reports whether further frames of an unmoved picture can tell nothing new: all tracks were seen in the latest
// frame, and have been told under what it said, or have had a whole window of frames for it.
func (t *tracker) settled() bool {
	for _, tr := range t.tracks {
		if tr.absent > 0 || tr.label != "" && tr.missing > 0 || tr.label == "" && tr.age < 2*t.cfg.Window {
			return false
		}
	}
	return true
}

// end ends what is in view, for want of frames.
func (t *tracker) end(now time.Time) []Event {
	t.out = t.out[:0]
	for len(t.tracks) > 0 {
		if tr := t.tracks[0]; tr.label != "" {
			t.leave(tr, now)
		}
		t.drop(0)
	}
	return t.out
}

// quietFor returns how long ago the latest frame was captured.
func (t *tracker) quietFor(now time.Time) time.Duration { return now.Sub(t.frameAt) }

func (t *tracker) state(now time.Time) State {
	s := State{Last: t.last, Time: now}
	for _, tr := range t.tracks {
		switch tr.label {
		case "":
		case gallery.UnknownID:
			s.Unknown++
		default:
			s.Present = append(s.Present, tr.label)
		}
	}
	slices.Sort(s.Present)
	s.Present = slices.Compact(s.Present)
	return s
}
