package app

import (
	"context"
	"log/slog"
	"sync/atomic"

	"xbmedge/agent/internal/capture"
	"xbmedge/agent/internal/config"
	"xbmedge/agent/internal/pipeline"
	"xbmedge/camera"
)

// eye opens a camera's source for its pipeline: pictures in this process, and what may hang or crash in one of its own.
type eye struct {
	cam    config.Camera
	counts capture.Counts
	beat   atomic.Pointer[pipeline.Heartbeat] // of the loop that reads, from when it begins
	log    *slog.Logger
}

func newEye(cam config.Camera, log *slog.Logger) *eye { return &eye{cam: cam, log: log} }

// watched notes the heartbeat of the loop that reads frames, so that a wait for one is not taken for a hang.
func (e *eye) watched(loop string, beat pipeline.Heartbeat) pipeline.Heartbeat {
	if loop == "capture" {
		e.beat.Store(&beat)
	}
	return beat
}

func (e *eye) alive() {
	if beat := e.beat.Load(); beat != nil {
		(*beat).Beat()
	}
}

// OpenSource opens a configured camera, clip or folder, as a running agent does. ctx bounds the opening.
func OpenSource(ctx context.Context, cam config.Camera, log *slog.Logger) (pipeline.Source, error) {
	return newEye(cam, log).open(ctx)
}

func (e *eye) open(ctx context.Context) (pipeline.Source, error) {
	source := e.cam.Source()
	if !source.Apart() {
		src, err := camera.Open(source, camera.Parts{Alive: e.alive, Log: e.log}) //nolint:contextcheck // a stream goes on until Close
		if err != nil {
			return nil, err
		}
		return frames{src}, nil
	}
	src, err := capture.Open(ctx, capture.Options{
		Camera: source, Stall: e.cam.Stall, Frozen: e.cam.FrozenLimit(), Alive: e.alive, Counts: &e.counts, Log: e.log,
	})
	if err != nil {
		return nil, err
	}
	return frames{src}, nil
}

// frames makes a camera's source a pipeline's.
type frames struct{ camera.Source }

var _ pipeline.Source = frames{}

// Read fills f.
func (s frames) Read(ctx context.Context, f *pipeline.Frame) error {
	return s.Source.Read(ctx, (*camera.Frame)(f))
}
