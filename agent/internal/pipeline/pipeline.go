// Package pipeline turns a camera's frames into events: capture, embed, match, decide over several frames, publish.
// It knows neither cameras nor networks nor brokers, only the small interfaces below.
//
// One Camera runs two goroutines. One reads frames; the other does the rest, so that a slow model costs frames and
// never delays them. Live cameras hand over by newest-wins; clips and folders wait for their reader.
package pipeline

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"math/rand/v2"
	"strconv"
	"sync/atomic"
	"time"

	"xbmedge/internal/gallery"
	"xbmedge/internal/vision"
)

// Frame is a picture with its number and the time at which it was captured.
type Frame struct {
	vision.Frame
	Seq      uint64
	Captured time.Time // with its monotonic reading
}

// Source gives frames one after another; io.EOF ends a clip. Read reuses the frame's buffer.
type Source interface {
	Read(ctx context.Context, f *Frame) error
	Close() error
}

// Embedder turns a picture into an L2-normalised vector.
type Embedder interface {
	Embed(dst []float32, f vision.Frame) error
	Dim() int
}

// Matcher decides what an embedding shows. The decision is used before the next call.
type Matcher interface {
	Match(embedding []float32) gallery.Decision
}

// Publisher takes what is to be told. Its methods do not wait for a network and may be called from several goroutines;
// they keep nothing of their arguments.
type Publisher interface {
	Event(e *Event) error
	State(s *State)
	Status(camera string, online bool)
	Embedding(camera string, f *Frame, embedding []float32)
}

// Results takes the outcome of every processed frame.
type Results interface {
	Frame(r Result) error
}

// Heartbeat is told that a loop is alive, at least once a second while it waits, and that it has ended.
type Heartbeat interface {
	Beat()
	End()
}

// Result is the outcome of one frame.
type Result struct {
	Camera   string
	Seq      uint64
	Present  bool // something is in view, or a known thing was seen
	Decision *gallery.Decision
	Track    string // identity id or gallery.UnknownID of the track it belongs to, "" for none
}

// Config describes one camera.
type Config struct {
	Camera string // slug
	// Live: frames come at their own pace, the newest wins, and a lost source is opened again. Otherwise every frame
	// counts and the end of the source is the end.
	Live     bool
	FPS      float64 // at most so many frames a second are processed when Live; 0 for all
	Track    TrackConfig
	Presence PresenceConfig
	// Embeddings publishes every frame's embedding.
	Embeddings bool
	// BackoffMin and BackoffMax bound the time between attempts to open a Live source; 0 means 500 ms and 30 s.
	BackoffMin, BackoffMax time.Duration
}

// Deps are the parts a Camera works with; Results and Watch may be nil.
type Deps struct {
	Open      func(ctx context.Context) (Source, error)
	Embedder  Embedder
	Matcher   Matcher
	Publisher Publisher
	Results   Results
	Watch     func(loop string) Heartbeat // called when the loop begins
	Log       *slog.Logger
}

// Stats are counts since the start.
type Stats struct {
	Captured  uint64 // frames read
	Dropped   uint64 // of those, replaced by a newer one before they were processed
	Processed uint64
	Failed    uint64 // processed without a result
	Events    uint64
	Online    bool // the source gives frames
	// EmbedP50 and EmbedP95 are quantiles of the latest frames' time in the model; 0 before the first.
	EmbedP50, EmbedP95 time.Duration
}

// Camera runs one camera.
type Camera struct {
	cfg       Config
	deps      Deps
	log       *slog.Logger
	tracker   *tracker
	presence  *presence
	embedding []float32
	decision  gallery.Decision // of the present frame; here, since on the stack it would be allocated anew
	idle      bool             // nothing has come since the tracks were ended for want of frames

	captured, dropped, processed, failed, events atomic.Uint64
	online                                       atomic.Bool
	share                                        atomic.Uint64 // of frames looked at when Live, as float64 bits
	embedTimes                                   latencies
}

// New returns a camera that waits for Run.
func New(cfg Config, deps Deps) (*Camera, error) {
	if deps.Open == nil || deps.Embedder == nil || deps.Matcher == nil || deps.Publisher == nil || deps.Log == nil {
		return nil, errors.New("new pipeline: a part is missing")
	}
	if err := cfg.Track.Check(); err != nil {
		return nil, err
	}
	if cfg.BackoffMin <= 0 {
		cfg.BackoffMin = 500 * time.Millisecond
	}
	if cfg.BackoffMax <= 0 {
		cfg.BackoffMax = 30 * time.Second
	}
	if deps.Watch == nil {
		deps.Watch = func(string) Heartbeat { return unwatched{} }
	}
	c := &Camera{
		cfg: cfg, deps: deps, log: deps.Log.With("camera", cfg.Camera),
		tracker:   newTracker(cfg.Track, cfg.Live, newEventID),
		presence:  newPresence(cfg.Presence),
		embedding: make([]float32, deps.Embedder.Dim()),
		idle:      true,
	}
	c.SetShare(1)
	return c, nil
}

// unwatched is the heartbeat of a loop that nobody watches.
type unwatched struct{}

func (unwatched) Beat() {}
func (unwatched) End()  {}

// Stats returns the counts so far; it may be called from any goroutine.
func (c *Camera) Stats() Stats {
	p50, p95 := c.embedTimes.quantiles()
	return Stats{
		Online: c.online.Load(), EmbedP50: p50, EmbedP95: p95,
		Captured: c.captured.Load(), Dropped: c.dropped.Load(), Processed: c.processed.Load(),
		Failed: c.failed.Load(), Events: c.events.Load(),
	}
}

// SetShare makes a Live camera look at only this share of the frames that its rate lets through, 0 to 1, from now on.
// It may be called from any goroutine.
func (c *Camera) SetShare(share float64) { c.share.Store(math.Float64bits(min(max(share, 0), 1))) }

// stopPatience is how long a source may take to end, once it is no longer wanted.
const stopPatience = 3 * time.Second

// Run works until ctx ends or the source does; both are no error. A clip that cannot be opened or read is one. All
// tracks have ended and the camera is offline when it returns. A source that does not return from Read, since its driver
// hangs, is left behind with its goroutine after stopPatience, so that what is left to tell can be told.
func (c *Camera) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	frames := newExchange(c.cfg.Live, &c.dropped)
	captured := make(chan error, 1)
	go func() { captured <- c.capture(ctx, frames) }()

	c.publishState(time.Now())
	c.work(ctx, frames)
	cancel()
	var err error
	select {
	case err = <-captured:
	case <-time.After(stopPatience):
		c.log.Warn("the camera's driver hangs; it is left behind")
	}
	c.finish(time.Now())
	c.setOnline(false)
	return err
}

// work processes frames until there are no more.
func (c *Camera) work(ctx context.Context, frames *exchange) {
	quiet := time.NewTicker(time.Second) // ends tracks when a camera stops giving frames
	defer quiet.Stop()
	var interval time.Duration
	if c.cfg.Live && c.cfg.FPS > 0 {
		interval = time.Duration(float64(time.Second) / c.cfg.FPS)
	}
	next := time.Time{}
	credit := 1.0 // a frame costs 1, and each one that comes brings the share
	beat := c.deps.Watch("recognition")
	defer beat.End()
	for {
		beat.Beat()
		select {
		case f, more := <-frames.ready:
			if !more {
				return
			}
			if wait := time.Until(next); wait > 0 { // early: drop it, a newer one comes
				c.dropped.Add(1)
				frames.free <- f
				continue
			}
			if credit += math.Float64frombits(c.share.Load()); c.cfg.Live && credit < 1 {
				c.dropped.Add(1)
				frames.free <- f
				continue
			}
			credit = min(credit-1, 1)
			if interval > 0 {
				next = time.Now().Add(interval - interval/8) // so that a camera at just this rate loses none
			}
			c.process(f)
			frames.free <- f
		case now := <-quiet.C:
			if c.cfg.Live && !c.idle && c.tracker.quietFor(now) > max(c.cfg.Track.Hold, time.Second) {
				c.finish(now)
			}
		case <-ctx.Done():
			return
		}
	}
}

// process does everything for one frame. Without an event it allocates nothing.
func (c *Camera) process(f *Frame) {
	started := time.Now()
	c.idle = false
	err := c.deps.Embedder.Embed(c.embedding, f.Frame)
	c.processed.Add(1) // not before: a frame in a model that hangs has not been looked at
	if err != nil {
		if c.failed.Add(1) == 1 {
			c.log.Error("frame not embedded; further ones are only counted", "error", err)
		}
		return
	}
	embedded := time.Now()
	c.embedTimes.add(embedded.Sub(started))
	c.decision = c.deps.Matcher.Match(c.embedding)
	matched := time.Now()
	present := c.presence.look(f.Frame) || c.decision.Known

	seen := sighting{
		at: f.Captured, present: present, decision: &c.decision,
		latency: Latency{started.Sub(f.Captured), embedded.Sub(started), matched.Sub(embedded)},
	}
	changed := c.tracker.see(seen)
	for i := range changed {
		c.emit(&changed[i])
	}
	if len(changed) > 0 {
		c.publishState(f.Captured)
	}
	if c.cfg.Embeddings {
		c.deps.Publisher.Embedding(c.cfg.Camera, f, c.embedding)
	}
	if c.deps.Results != nil {
		r := Result{c.cfg.Camera, f.Seq, present, &c.decision, c.tracker.label()}
		if err := c.deps.Results.Frame(r); err != nil {
			c.log.Error("results are no longer written", "error", err)
			c.deps.Results = nil
		}
	}
}

// finish ends what is in view.
func (c *Camera) finish(now time.Time) {
	c.idle = true
	ended := c.tracker.end(now)
	for i := range ended {
		c.emit(&ended[i])
	}
	if len(ended) > 0 {
		c.publishState(now)
	}
}

func (c *Camera) emit(e *Event) {
	e.Camera = c.cfg.Camera
	c.events.Add(1)
	c.log.Info("event", "type", e.Type, "kind", e.Kind, "identity", e.Identity.ID, "score", e.Score, "frames", e.Frames)
	if err := c.deps.Publisher.Event(e); err != nil {
		c.log.Error("event not published", "event", e.ID, "error", err)
	}
}

func (c *Camera) publishState(now time.Time) {
	s := c.tracker.state(now)
	s.Camera = c.cfg.Camera
	c.deps.Publisher.State(&s)
}

// newEventID returns an identifier that sorts by time: Unix seconds with microseconds, and six random characters.
func newEventID(t time.Time) string {
	const alphabet = "0123456789abcdefghijklmnopqrstuvwxyz"
	var tail [6]byte
	for i := range tail {
		tail[i] = alphabet[rand.IntN(len(alphabet))]
	}
	return fmt.Sprintf("%s.%06d-%s", strconv.FormatInt(t.Unix(), 10), t.Nanosecond()/1000, tail[:])
}
