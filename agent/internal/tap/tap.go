// Package tap remembers what a running agent's cameras see, for as long as somebody may want to teach it from that: the
// latest match events, and all of a camera while it is asked for.
package tap

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"xbmedge/agent/internal/curator"
	"xbmedge/agent/internal/pipeline"
	"xbmedge/internal/vision"
)

const (
	// maxEvents is how many events are remembered, with their pictures as JPEGs of that quality: some two megabytes of
	// 224×224, where the pixels would be ten.
	maxEvents = 64
	quality   = 95
	// maxSeen is how many pictures of a camera are collected at most, evenly over the time asked for.
	maxSeen = 32
)

// Tap may be used from several goroutines.
type Tap struct {
	mu        sync.Mutex
	events    []event // the latest last
	listeners map[string]*listener
	cameras   map[string]bool

	width, height int // of the model's input
}

type event struct {
	id        string
	who       string // identity's or stranger's id
	jpeg      []byte // at the model's size
	embedding []float32
	at        time.Time
}

// seen returns what the event was about; it reports whether that can be told.
func (e *event) seen() (curator.Seen, bool) {
	picture, err := vision.DecodeBytes(e.jpeg)
	return curator.Seen{Picture: picture, Embedding: e.embedding, At: e.at}, err == nil
}

// listener collects what one camera sees.
type listener struct {
	every time.Duration
	next  time.Time
	seen  []curator.Seen
}

var _ curator.Live = (*Tap)(nil)

// New returns a tap on no camera yet, for a model with an input of this size.
func New(width, height int) *Tap {
	return &Tap{listeners: map[string]*listener{}, cameras: map[string]bool{}, width: width, height: height}
}

// Camera returns the parts that a camera's pipeline is to be given; the events reach p. They belong to the pipeline's
// goroutine.
func (t *Tap) Camera(id string, p pipeline.Publisher) (pipeline.Onlooker, pipeline.Publisher) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.cameras[id] = true
	c := &camera{tap: t, id: id, prepare: vision.NewPreprocessor(t.width, t.height)}
	return c, &publisher{p, c}
}

// Collect returns what a camera sees for so long, at most 32 pictures of it.
func (t *Tap) Collect(ctx context.Context, id string, d time.Duration) ([]curator.Seen, error) {
	l := &listener{every: d / maxSeen}
	t.mu.Lock()
	known, busy := t.cameras[id], t.listeners[id] != nil
	if known && !busy {
		t.listeners[id] = l
	}
	t.mu.Unlock()
	if !known {
		return nil, fmt.Errorf("no camera %q is at work; `xbm-agent check-config` tells what there is", id)
	}
	if busy {
		return nil, fmt.Errorf("camera %s: somebody else enrolls from it; try again in a moment", id)
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	var err error
	select {
	case <-timer.C:
	case <-ctx.Done():
		err = fmt.Errorf("camera %s: %w", id, ctx.Err())
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.listeners, id)
	return l.seen, err
}

// Event returns what a match event was about, if it is one of the latest 64.
func (t *Tap) Event(id string) (curator.Seen, bool) {
	found := t.find(func(e *event) bool { return e.id == id })
	if len(found) == 0 {
		return curator.Seen{}, false
	}
	return found[len(found)-1].seen()
}

// Latest returns what the latest events that told of an identity or a stranger were about, the newest last.
func (t *Tap) Latest(identity string) []curator.Seen {
	var all []curator.Seen
	for _, e := range t.find(func(e *event) bool { return e.who == identity }) {
		if s, ok := e.seen(); ok {
			all = append(all, s)
		}
	}
	return all
}

// find returns events for the caller to decode: the cameras do not wait for that.
func (t *Tap) find(is func(*event) bool) []event {
	t.mu.Lock()
	defer t.mu.Unlock()
	var found []event
	for i := range t.events {
		if is(&t.events[i]) {
			found = append(found, t.events[i])
		}
	}
	return found
}

// camera sees what one camera's model sees.
type camera struct {
	tap     *Tap
	id      string
	prepare *vision.Preprocessor
}

// Wants reports whether somebody collects and another picture is due.
func (c *camera) Wants() bool {
	c.tap.mu.Lock()
	defer c.tap.mu.Unlock()
	l := c.tap.listeners[c.id]
	return l != nil && len(l.seen) < maxSeen && !time.Now().Before(l.next)
}

// Saw collects a picture.
func (c *camera) Saw(picture vision.Frame, embedding []float32) {
	now := time.Now()
	seen, err := c.seen(picture, embedding, now)
	if err != nil { // the model took it: it can be resized
		return
	}
	c.tap.mu.Lock()
	defer c.tap.mu.Unlock()
	if l := c.tap.listeners[c.id]; l != nil { // it may just have ended
		l.seen, l.next = append(l.seen, seen), now.Add(l.every)
	}
}

// seen returns copies, the picture's at the model's size.
func (c *camera) seen(picture vision.Frame, embedding []float32, at time.Time) (curator.Seen, error) {
	small, err := c.prepare.Resize(picture)
	if err != nil {
		return curator.Seen{}, err
	}
	small.Pix = slices.Clone(small.Pix)
	return curator.Seen{Picture: small, Embedding: slices.Clone(embedding), At: at}, nil
}

// jpeg returns a picture at the model's size.
func (c *camera) jpeg(picture vision.Frame) ([]byte, error) {
	small, err := c.prepare.Resize(picture)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	err = vision.EncodeJPEG(&out, small, quality)
	return bytes.Clone(out.Bytes()), err
}

// publisher sees each event.
type publisher struct {
	pipeline.Publisher
	camera *camera
}

// Event remembers what the event is about and hands it on.
func (p *publisher) Event(e *pipeline.Event) error {
	if e.Picture.Pix != nil {
		if jpeg, err := p.camera.jpeg(e.Picture); err == nil { // a frame that the model took can be resized
			p.camera.tap.remember(event{e.ID, e.Identity.ID, jpeg, slices.Clone(e.Embedding), e.Time})
		}
	}
	return p.Publisher.Event(e)
}

func (t *Tap) remember(latest event) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.events = slices.DeleteFunc(t.events, func(e event) bool { return e.id == latest.id }) // a better frame of the same track
	if len(t.events) == maxEvents {
		t.events = slices.Delete(t.events, 0, 1)
	}
	t.events = append(t.events, latest)
}
