package pipeline

import (
	"fmt"
	"time"

	"xbmedge/internal/gallery"
)

// TrackConfig says how single frames become events. One camera has one thing in view at a time: the whole picture is
// embedded.
type TrackConfig struct {
	// Window and MinFrames: something is in view once MinFrames of the last Window frames agree on it.
	Window, MinFrames int
	// HoldFrames and Hold: it is gone after so many frames, and when Live so much time, without it.
	HoldFrames int
	Hold       time.Duration
	// UpdateGain and UpdateInterval: it is told again when its score has grown by so much, and when Live no more often
	// than that.
	UpdateGain     float32
	UpdateInterval time.Duration
}

// Check returns nil for settings that can be used.
func (c TrackConfig) Check() error {
	if c.MinFrames < 1 || c.Window < c.MinFrames || c.Window > maxWindow {
		return fmt.Errorf("%d agreeing frames in a window of %d: want at least 1, and a window of %d at most", c.MinFrames, c.Window, maxWindow)
	}
	if c.HoldFrames < 1 || c.Hold < 0 || c.UpdateInterval < 0 || !(c.UpdateGain > 0) {
		return fmt.Errorf("hold of %d frames and %v, updates at a gain of %v every %v: want more than 0", c.HoldFrames, c.Hold, c.UpdateGain, c.UpdateInterval)
	}
	return nil
}

const maxWindow = 64

// EventType says where in its track an event lies.
type EventType string

// The types of events.
const (
	TrackNew    EventType = "new"
	TrackUpdate EventType = "update"
	TrackEnd    EventType = "end"
)

// EventKind says what happened.
type EventKind string

// The kinds of events.
const (
	Recognized EventKind = "recognized"
	Unknown    EventKind = "unknown"
	Left       EventKind = "left"
)

// Latency is where a frame's time went.
type Latency struct {
	Capture time.Duration // from its capture until it was taken up
	Embed   time.Duration
	Match   time.Duration
}

// Event tells that something came, was seen better, or went. Score and what follows are those of its best frame.
type Event struct {
	Type      EventType
	Kind      EventKind
	ID        string // the same for all events of a track
	Camera    string
	Time      time.Time
	Known     bool
	Identity  gallery.Identity // gallery.UnknownID unless Known
	Score     float32
	Margin    float32
	Threshold float32
	TopK      []gallery.Candidate
	Frames    int // of the track so far
	Latency   Latency
}

// State says what is in view.
type State struct {
	Camera  string
	Present []string // identity ids
	Unknown int
	Last    *Event // the latest that was no end, nil before the first
	Time    time.Time
}

// sighting is the outcome of one frame.
type sighting struct {
	at       time.Time
	present  bool
	decision *gallery.Decision
	latency  Latency
}

// tracker decides over several frames. It belongs to one goroutine and allocates only when a track begins.
//
// A label (an identity or unknown) starts a track when it is the present frame's and that of MinFrames of the last
// Window frames. A known one also takes over from another track, once it has more of the window than that one's. Unknown
// takes over from nothing: a thing turned around is still that thing until it is gone.
type tracker struct {
	cfg   TrackConfig
	live  bool
	newID func(time.Time) string

	window  []Event // last frames, a ring; Identity.ID is the label, "" for nothing
	next    int
	current *track
	last    *Event
	out     []Event   // reused
	frameAt time.Time // of the latest frame
}

// track is what is in view.
type track struct {
	Event             // its best frame
	missing int       // frames since it was last seen
	seenAt  time.Time // last
	told    float32   // score in its latest event
	toldAt  time.Time
}

func newTracker(cfg TrackConfig, live bool, newID func(time.Time) string) *tracker {
	return &tracker{cfg: cfg, live: live, newID: newID, window: make([]Event, cfg.Window)}
}

// see takes one frame and returns what has to be told, valid until the next call.
func (t *tracker) see(s sighting) []Event {
	t.out = t.out[:0]
	t.frameAt = s.at
	frame := &t.window[t.next]
	t.next = (t.next + 1) % len(t.window)
	fill(frame, &s)
	label := frame.Identity.ID

	if t.current != nil {
		t.follow(frame)
	}
	arrived := label != "" && t.count(label) >= t.cfg.MinFrames && (t.current == nil || t.current.Identity.ID != label)
	switch {
	case t.current == nil:
	case arrived && frame.Known && t.count(label) > t.count(t.current.Identity.ID):
		t.leave(s.at)
	case t.current.missing >= t.cfg.HoldFrames && (!t.live || s.at.Sub(t.current.seenAt) >= t.cfg.Hold):
		t.leave(s.at)
	}
	if arrived && t.current == nil {
		t.start(label, s.at)
	}
	return t.out
}

func fill(e *Event, s *sighting) {
	d := s.decision
	*e = Event{
		Time: s.at, Known: d.Known, Score: d.Score, Margin: d.Margin, Threshold: d.Threshold,
		TopK: append(e.TopK[:0], d.TopK...), Frames: 1, Latency: s.latency,
	}
	switch {
	case d.Known:
		e.Kind, e.Identity = Recognized, d.Identity
	case s.present:
		e.Kind, e.Identity = Unknown, gallery.Identity{ID: gallery.UnknownID, Name: "Unknown"}
	}
}

// follow brings the present track up to date with a frame.
func (t *tracker) follow(frame *Event) {
	c := t.current
	if frame.Identity.ID != c.Identity.ID {
		c.missing++
		return
	}
	c.missing, c.seenAt = 0, frame.Time
	c.Frames++
	if frame.Score > c.Score {
		t.adopt(frame)
	}
	if !c.Known || c.Score < c.told+t.cfg.UpdateGain || t.live && frame.Time.Sub(c.toldAt) < t.cfg.UpdateInterval {
		return
	}
	t.tell(TrackUpdate, c.Kind, frame.Time)
}

// adopt makes a frame the present track's best.
func (t *tracker) adopt(frame *Event) {
	c := t.current
	id, frames, topK := c.ID, c.Frames, c.TopK[:0]
	topK = append(topK, frame.TopK...)
	c.Event = *frame
	c.ID, c.Frames, c.TopK = id, frames, topK
}

func (t *tracker) start(label string, now time.Time) {
	var best *Event
	for i := range t.window {
		if e := &t.window[i]; e.Identity.ID == label && (best == nil || e.Score > best.Score) {
			best = e
		}
	}
	t.current = &track{seenAt: now}
	t.current.ID, t.current.Frames = t.newID(now), t.count(label)
	t.adopt(best)
	t.tell(TrackNew, t.current.Kind, now)
}

func (t *tracker) leave(now time.Time) {
	t.tell(TrackEnd, Left, now)
	t.current = nil
}

func (t *tracker) tell(typ EventType, kind EventKind, now time.Time) {
	e := t.current.Event
	e.Type, e.Kind, e.Time = typ, kind, now
	t.current.told, t.current.toldAt = e.Score, now
	t.out = append(t.out, e)
	if typ != TrackEnd {
		t.last = &e
	}
}

func (t *tracker) count(label string) int {
	n := 0
	for i := range t.window {
		if t.window[i].Identity.ID == label {
			n++
		}
	}
	return n
}

// end ends what is in view, for want of frames.
func (t *tracker) end(now time.Time) []Event {
	t.out = t.out[:0]
	if t.current != nil {
		t.leave(now)
	}
	for i := range t.window {
		t.window[i] = Event{TopK: t.window[i].TopK[:0]}
	}
	return t.out
}

// label returns the identity id of the present track, or "".
func (t *tracker) label() string {
	if t.current == nil {
		return ""
	}
	return t.current.Identity.ID
}

// quietFor returns how long ago the latest frame was captured.
func (t *tracker) quietFor(now time.Time) time.Duration { return now.Sub(t.frameAt) }

func (t *tracker) state(now time.Time) State {
	s := State{Last: t.last, Time: now}
	switch {
	case t.current == nil:
	case t.current.Known:
		s.Present = []string{t.current.Identity.ID}
	default:
		s.Unknown = 1
	}
	return s
}
