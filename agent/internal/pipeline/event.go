package pipeline

import (
	"time"

	"xbmedge/internal/gallery"
	"xbmedge/internal/vision"
)

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
	ID        string // the same for all events of one identity's stay in view
	Camera    string
	Time      time.Time
	Known     bool
	Identity  gallery.Identity // unless Known: gallery.UnknownID, or a stranger's
	Score     float32
	Margin    float32
	Threshold float32
	TopK      []gallery.Candidate
	Frames    int // of the stay so far
	Box       Box
	Latency   Latency
	// Picture is the region of the present frame that the event is about, as the model sees it, and Embedding what the
	// model made of it. Both are valid while the event is published; an end has none.
	Picture   vision.Frame
	Embedding []float32
}

// Box is a part of a picture: left, top, width and height as shares of it.
type Box [4]float64

// whole is the whole picture.
func whole() Box { return Box{0, 0, 1, 1} }

// State says what is in view.
type State struct {
	Camera  string
	Present []string // identity ids, sorted, each once
	Unknown int
	Last    *Event // the latest that was no end, nil before the first
	Time    time.Time
}

// overlap returns the intersection of two boxes over their union, 0 to 1.
func overlap(a, b Box) float64 {
	w := min(a[0]+a[2], b[0]+b[2]) - max(a[0], b[0])
	h := min(a[1]+a[3], b[1]+b[3]) - max(a[1], b[1])
	if w <= 0 || h <= 0 {
		return 0
	}
	return w * h / (a[2]*a[3] + b[2]*b[3] - w*h)
}
