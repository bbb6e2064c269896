// Package replay runs a clip through the same pipeline as a camera, in time that follows from the frames' numbers, so that
// the same clip, model and gallery give the same answers, to the byte, at any speed and on any day.
package replay

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"math/rand/v2"
	"time"

	"xbmedge/agent/internal/pipeline"
	"xbmedge/internal/gallery"
)

// Options are what a replay works with. Pipeline.Live is not asked.
type Options struct {
	Pipeline  pipeline.Config
	FPS       float64 // of the clip
	Embedder  pipeline.Embedder
	Matcher   pipeline.Matcher
	Finder    pipeline.Finder    // may be nil, as the rest
	Strangers pipeline.Strangers // to be reproducible it has to begin empty
	Results   pipeline.Results
	Event     func(*pipeline.Event) error
	Trace     func(*pipeline.Trace)
	Log       *slog.Logger
}

// Run plays what open opens from its beginning to its end, and returns what the pipeline counted. The first frame is at
// second 0 of Unix time.
func Run(ctx context.Context, open func(context.Context) (pipeline.Source, error), o Options) (pipeline.Stats, error) {
	if !(o.FPS > 0 && o.FPS <= 1000) {
		return pipeline.Stats{}, fmt.Errorf("replay: a clip of %v frames a second; want more than 0, up to 1000", o.FPS)
	}
	random := rand.New(rand.NewPCG(1, 1))
	cfg := o.Pipeline
	cfg.Live, cfg.Timed = false, true
	var failed error
	camera, err := pipeline.New(cfg, pipeline.Deps{
		Open: func(ctx context.Context) (pipeline.Source, error) {
			src, err := open(ctx)
			if err != nil {
				return nil, err
			}
			return &source{Source: src, fps: o.FPS, limit: o.Pipeline.FPS}, nil
		},
		Embedder: o.Embedder, Matcher: o.Matcher, Finder: o.Finder, Strangers: o.Strangers, Results: o.Results,
		Publisher: &publisher{event: o.Event, failed: &failed}, Trace: o.Trace, Log: o.Log,
		Now:   func() time.Time { return time.Time{} }, // the time it takes is not what is asked
		NewID: func(t time.Time) string { return pipeline.NewEventID(t, random.IntN) },
	})
	if err != nil {
		return pipeline.Stats{}, fmt.Errorf("replay: %w", err)
	}
	err = camera.Run(ctx)
	stats := camera.Stats()
	if err == nil {
		err = ctx.Err()
	}
	return stats, errors.Join(err, failed)
}

// source gives a clip's frames the times at which a camera would have given them, and leaves out what a camera of the
// limited rate would.
type source struct {
	pipeline.Source
	fps, limit float64
	n          uint64
	next       time.Duration
}

func (s *source) Read(ctx context.Context, f *pipeline.Frame) error {
	for {
		if err := s.Source.Read(ctx, f); err != nil {
			return err
		}
		at := time.Duration(math.Round(float64(s.n)/s.fps*1e6)) * time.Microsecond
		s.n++
		f.Seq, f.Captured = s.n, time.Unix(0, 0).Add(at).UTC()
		if s.limit <= 0 || at >= s.next {
			if s.limit > 0 {
				s.next = max(s.next, at-time.Duration(float64(time.Second)/s.limit)) + time.Duration(float64(time.Second)/s.limit)
			}
			return nil
		}
	}
}

// publisher passes on events only.
type publisher struct {
	event  func(*pipeline.Event) error
	failed *error
}

func (p *publisher) Event(e *pipeline.Event) error {
	if p.event == nil || *p.failed != nil { // told once, at the end
		return nil //nolint:nilerr // as above
	}
	*p.failed = p.event(e)
	return *p.failed
}

func (*publisher) State(*pipeline.State)                                              {}
func (*publisher) Status(string, bool)                                                {}
func (*publisher) Embedding(string, *pipeline.Frame, []float32)                       {}
func (*publisher) Candidate(string, *pipeline.Frame, *gallery.Decision, pipeline.Box) {}
