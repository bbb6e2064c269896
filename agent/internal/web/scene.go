package web

import (
	"slices"
	"sync"
	"time"

	"xbmedge/agent/internal/pipeline"
	"xbmedge/internal/gallery"
	"xbmedge/internal/vision"
)

const (
	// maxEvents is how many events are remembered: three megabytes with their pictures.
	maxEvents = 64
	// pictureSide is the size of an event's picture, in pixels.
	pictureSide = 128
)

// Scene is what the cameras show: the present picture of each, and the latest events. Its methods may be called from
// several goroutines.
type Scene struct {
	mu      sync.Mutex
	windows map[string]*window
	events  []event // the latest last
}

// event is a stay in view, as far as it is known.
type event struct {
	ID, Camera string
	Identity   gallery.Identity
	Known      bool
	Score      float32
	Threshold  float32
	Nearest    gallery.Candidate // of something unknown; may be empty
	Time       time.Time
	Gone       bool
	Shown      int64 // which picture it is: its time in Unix microseconds
	Wrong      bool  // somebody said that this picture is not what it was taken for
	picture    vision.Frame
}

// NewScene returns a scene without cameras.
func NewScene() *Scene { return &Scene{windows: map[string]*window{}} }

// Camera returns the parts that a camera's pipeline is to be given; its events reach p. They belong to the pipeline's
// goroutine.
func (s *Scene) Camera(id string, p pipeline.Publisher) (pipeline.Viewer, pipeline.Publisher) {
	s.mu.Lock()
	defer s.mu.Unlock()
	w := s.windows[id]
	if w == nil {
		w = &window{}
		s.windows[id] = w
	}
	return w, &publisher{p, s, vision.NewPreprocessor(pictureSide, pictureSide)}
}

// window returns a camera's, nil where there is none.
func (s *Scene) window(id string) *window {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.windows[id]
}

// publisher sees each event.
type publisher struct {
	pipeline.Publisher
	scene   *Scene
	prepare *vision.Preprocessor
}

// Event remembers the event and hands it on.
func (p *publisher) Event(e *pipeline.Event) error {
	seen := event{
		ID: e.ID, Camera: e.Camera, Identity: e.Identity, Known: e.Known, Score: e.Score, Threshold: e.Threshold, Time: e.Time,
		Gone: e.Type == pipeline.TrackEnd,
	}
	if !e.Known && len(e.TopK) > 0 {
		seen.Nearest = e.TopK[0]
	}
	if e.Picture.Pix != nil {
		if small, err := p.prepare.Resize(e.Picture); err == nil { // a frame that the model took can be resized
			small.Pix = slices.Clone(small.Pix)
			seen.picture, seen.Shown = small, e.Time.UnixMicro()
		}
	}
	p.scene.remember(&seen)
	return p.Publisher.Event(e)
}

// remember puts an event in its place among the latest: a stay in view is one, whatever is told of it.
func (s *Scene) remember(e *event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	at := slices.IndexFunc(s.events, func(o event) bool { return o.ID == e.ID })
	if at < 0 {
		if len(s.events) == maxEvents {
			s.events = slices.Delete(s.events, 0, 1)
		}
		s.events = append(s.events, *e)
		return
	}
	old := &s.events[at]
	if e.picture.Pix == nil {
		e.picture, e.Shown, e.Wrong = old.picture, old.Shown, old.Wrong
	}
	if e.Gone {
		e.Time = old.Time
	}
	*old = *e
}

// latest returns the remembered events, the newest first.
func (s *Scene) latest() []event {
	s.mu.Lock()
	defer s.mu.Unlock()
	events := slices.Clone(s.events)
	slices.Reverse(events)
	return events
}

// event returns a remembered one.
func (s *Scene) event(id string) (event, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	at := slices.IndexFunc(s.events, func(e event) bool { return e.ID == id })
	if at < 0 {
		return event{}, false
	}
	return s.events[at], true
}

// wrong notes that an event was not what it was taken for.
func (s *Scene) wrong(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if at := slices.IndexFunc(s.events, func(e event) bool { return e.ID == id }); at >= 0 {
		s.events[at].Wrong = true
	}
}
