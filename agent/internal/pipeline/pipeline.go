// Package pipeline turns a camera's frames into events: capture, find what to look at, embed, match, decide over several
// frames, publish. It knows neither cameras nor networks nor brokers, only the small interfaces below.
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

	"xbmedge/agent/internal/motion"
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
	// Candidate takes what one frame shows where the nearest identity is below its threshold.
	Candidate(camera string, f *Frame, d *gallery.Decision, box Box)
}

// Onlooker sees what a camera's model sees, on the pipeline's goroutine.
type Onlooker interface {
	// Wants reports whether Saw is to be called for the present frame, which then is looked at even if nothing moved.
	Wants() bool
	// Saw takes the frame's largest or surest region and its embedding, both valid during the call.
	Saw(picture vision.Frame, embedding []float32)
}

// Results takes the outcome of every region of every processed frame.
type Results interface {
	Frame(r Result) error
}

// Heartbeat is told that a loop is alive, at least once a second while it waits, and that it has ended.
type Heartbeat interface {
	Beat()
	End()
}

// Result is the outcome of one region of one frame. A frame without a region has one, too.
type Result struct {
	Camera   string
	Seq      uint64
	Present  bool // something is in view, or a known thing was seen
	Decision *gallery.Decision
	Box      Box    // of the region, empty where there was none
	Track    string // identity id or gallery.UnknownID that its track is told under, "" for nothing yet
}

// Config describes one camera.
type Config struct {
	Camera string // slug
	// Live: frames come at their own pace, the newest wins, and a lost source is opened again. Otherwise every frame
	// counts and the end of the source is the end.
	Live     bool
	FPS      float64 // at most so many frames a second are processed when Live; 0 for all
	Timed    bool    // the times of frames count as well as their number; always when Live
	Regions  RegionConfig
	Motion   motion.Config // its zero value: movement is not looked for
	Gate     bool          // a picture in which nothing has moved is not looked at again, unless its embedding is published
	Quality  GateConfig
	Track    TrackConfig
	Presence PresenceConfig
	// Embeddings publishes every frame's embedding.
	Embeddings bool
	// Candidates publishes near misses, of each frame that the model looks at.
	Candidates bool
	// BackoffMin and BackoffMax bound the time between attempts to open a Live source; 0 means 500 ms and 30 s.
	BackoffMin, BackoffMax time.Duration
}

// Deps are the parts a Camera works with. What comes after Log may be nil.
type Deps struct {
	Open      func(ctx context.Context) (Source, error)
	Embedder  Embedder
	Matcher   Matcher
	Publisher Publisher
	Log       *slog.Logger
	Results   Results
	Watch     func(loop string) Heartbeat // called when the loop begins
	Finder    Finder                      // for RegionDetector
	Strangers Strangers                   // gives what is unknown an id; nil: it is all gallery.UnknownID
	Onlooker  Onlooker                    // sees what the model sees
	Viewer    Viewer                      // sees what people are shown
	Trace     func(*Trace)                // is told why, after each frame
	Now       func() time.Time            // nil: time.Now
	NewID     func(time.Time) string      // makes an event's id, of which the contract has the form; nil: NewEventID
}

// Stats are counts since the start.
type Stats struct {
	Captured  uint64 // frames read
	Dropped   uint64 // of those, replaced by a newer one before they were processed
	Processed uint64
	Failed    uint64 // processed without a result
	Events    uint64
	Still     uint64 // processed, but nothing had moved
	Moving    uint64 // frames in which something moved; a dropped one moved if the next processed one did
	Covered   uint64 // of those, embedded
	// Blurred, Small and Exposed are regions that a gate kept from the model.
	Blurred, Small, Exposed uint64
	Online                  bool // the source gives frames
	// EmbedP50 and EmbedP95 are quantiles of the latest frames' time in the model; 0 before the first.
	EmbedP50, EmbedP95 time.Duration
	// RestP50 and RestP95 are those of the time a frame took besides.
	RestP50, RestP95 time.Duration
}

// Camera runs one camera.
type Camera struct {
	cfg      Config
	deps     Deps
	log      *slog.Logger
	finder   *finder
	tracker  *tracker
	presence []*presence // of each fixed region
	slots    [maxRegions]sighting
	seen     int               // slots in use for the latest frame
	shown    [maxRegions]Thing // to the viewer
	empty    sighting          // of a frame without a region
	reported bool              // a result of the present frame has been written
	trace    *tracer           // may be nil
	wanted   bool              // the onlooker waits for the present frame
	idle     bool              // nothing has come since the tracks were ended for want of frames
	inModel  time.Duration     // of the present frame

	droppedBefore                                uint64 // when the latest frame was processed
	captured, dropped, processed, failed, events atomic.Uint64
	still, moving, covered                       atomic.Uint64
	blurred, small, exposed                      atomic.Uint64
	online                                       atomic.Bool
	anew                                         atomic.Int64  // frames to look at even if nothing moved in them
	share                                        atomic.Uint64 // of frames looked at when Live, as float64 bits
	fps                                          atomic.Uint64 // greatest rate when Live, as float64 bits
	asleep                                       atomic.Bool   // recognition is switched off
	embeddings                                   atomic.Bool   // each is published
	embedTimes, restTimes                        latencies
}

// New returns a camera that waits for Run.
func New(cfg Config, deps Deps) (*Camera, error) {
	if deps.Open == nil || deps.Embedder == nil || deps.Matcher == nil || deps.Publisher == nil || deps.Log == nil {
		return nil, errors.New("new pipeline: a part is missing")
	}
	if err := errors.Join(cfg.Track.Check(), cfg.Quality.Check()); err != nil {
		return nil, err
	}
	find, err := newFinder(cfg.Regions, cfg.Motion, deps.Finder)
	if err != nil {
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
	if deps.Now == nil {
		deps.Now = time.Now
	}
	if deps.NewID == nil {
		deps.NewID = func(t time.Time) string { return NewEventID(t, rand.IntN) }
	}
	c := &Camera{
		cfg: cfg, deps: deps, log: deps.Log.With("camera", cfg.Camera), finder: find,
		tracker: newTracker(cfg.Track, cfg.Live || cfg.Timed, deps.NewID, deps.Strangers),
		trace:   newTracer(deps.Trace), idle: true,
	}
	for i := range c.slots {
		c.slots[i].embedding = make([]float32, deps.Embedder.Dim())
	}
	switch find.cfg.Kind {
	case RegionWhole:
		c.presence = []*presence{newPresence(cfg.Presence)}
	case RegionBoxes:
		for range find.cfg.Boxes {
			c.presence = append(c.presence, newPresence(cfg.Presence))
		}
	}
	c.SetShare(1)
	c.SetFPS(cfg.FPS)
	c.SetEmbeddings(cfg.Embeddings)
	return c, nil
}

// unwatched is the heartbeat of a loop that nobody watches.
type unwatched struct{}

func (unwatched) Beat() {}
func (unwatched) End()  {}

// Stats returns the counts so far; it may be called from any goroutine.
func (c *Camera) Stats() Stats {
	p50, p95 := c.embedTimes.quantiles()
	rest50, rest95 := c.restTimes.quantiles()
	return Stats{
		RestP50: rest50, RestP95: rest95,
		Online: c.online.Load(), EmbedP50: p50, EmbedP95: p95,
		Captured: c.captured.Load(), Dropped: c.dropped.Load(), Processed: c.processed.Load(),
		Failed: c.failed.Load(), Events: c.events.Load(),
		Still: c.still.Load(), Moving: c.moving.Load(), Covered: c.covered.Load(),
		Blurred: c.blurred.Load(), Small: c.small.Load(), Exposed: c.exposed.Load(),
	}
}

// SetShare makes a Live camera look at only this share of the frames that its rate lets through, 0 to 1, from now on.
// It may be called from any goroutine.
func (c *Camera) SetShare(share float64) { c.share.Store(math.Float64bits(min(max(share, 0), 1))) }

// LookAnew makes the camera look at the next frames even if nothing moves in them, as many as decide on a name: what it
// matches with has changed. It may be called from any goroutine.
func (c *Camera) LookAnew() { c.anew.Store(int64(c.cfg.Track.Window)) }

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

	c.publishState(c.deps.Now())
	c.work(ctx, frames)
	cancel()
	var err error
	select {
	case err = <-captured:
	case <-time.After(stopPatience):
		c.log.Warn("the camera's driver hangs; it is left behind")
	}
	c.finish(c.now())
	c.setOnline(false)
	return err
}

// work processes frames until there are no more.
func (c *Camera) work(ctx context.Context, frames *exchange) {
	quiet := time.NewTicker(time.Second) // ends tracks when a camera stops giving frames
	defer quiet.Stop()
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
			if fps := math.Float64frombits(c.fps.Load()); c.cfg.Live && fps > 0 {
				interval := time.Duration(float64(time.Second) / fps)
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

// now is the present; of a clip its last frame.
func (c *Camera) now() time.Time {
	if at := c.tracker.frameAt; !c.cfg.Live && !at.IsZero() {
		return at
	}
	return c.deps.Now()
}

// finish ends what is in view.
func (c *Camera) finish(now time.Time) {
	c.idle = true
	c.seen = 0
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

// NewEventID returns an identifier that sorts by time: Unix seconds with microseconds, and six random characters. random
// returns a number of 0 to n-1.
func NewEventID(t time.Time, random func(n int) int) string {
	const alphabet = "0123456789abcdefghijklmnopqrstuvwxyz"
	var tail [6]byte
	for i := range tail {
		tail[i] = alphabet[random(len(alphabet))]
	}
	return fmt.Sprintf("%s.%06d-%s", strconv.FormatInt(t.Unix(), 10), t.Nanosecond()/1000, tail[:])
}
