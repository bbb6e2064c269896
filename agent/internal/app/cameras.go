package app

import (
	"context"
	"fmt"
	"sync"

	"xbmedge/agent/internal/capture"
	"xbmedge/agent/internal/config"
	"xbmedge/agent/internal/mqtt"
	"xbmedge/agent/internal/pipeline"
	"xbmedge/internal/gallery"
	"xbmedge/internal/vision"
)

// cameras are all cameras of one configuration, with one model and gallery.
type cameras struct {
	app  *App
	byID map[string]*pipeline.Camera // the enabled ones
	// counts are of their capture processes.
	counts map[string]*capture.Counts
	off    []string
}

// newCameras builds cameras and starts nothing.
func (a *App) newCameras(cfg *config.Config, parts Parts) (*cameras, error) {
	set := &cameras{app: a, byID: map[string]*pipeline.Camera{}, counts: map[string]*capture.Counts{}}
	publisher := mqtt.NewPublisher(a.topics, a.client, a.seq, parts.Gallery, parts.Quant)
	embedder := &shared{embedder: parts.Embedder}
	for id, cam := range cfg.Cameras {
		if !cam.Enabled {
			set.off = append(set.off, id)
			continue
		}
		matcher, err := gallery.NewMatcher(parts.Gallery, cfg.Gallery.TopK, float32(cfg.Gallery.Threshold))
		if err != nil {
			return nil, fmt.Errorf("gallery.threshold: %w", err)
		}
		eye := newEye(cam, a.log.With("camera", id))
		set.counts[id] = &eye.counts
		set.byID[id], err = pipeline.New(cfg.Pipeline(id), pipeline.Deps{
			Open: eye.open, Embedder: embedder, Matcher: matcher, Publisher: publisher, Results: parts.Results, Log: a.log,
			Watch: func(loop string) pipeline.Heartbeat {
				return eye.watched(loop, a.health.Stage("camera "+id+": "+loop))
			},
		})
		if err != nil {
			return nil, fmt.Errorf("camera %s: %w", id, err)
		}
	}
	return set, nil
}

// run runs the cameras until ctx ends or all have come to the end of their clips.
func (set *cameras) run(ctx context.Context) (faults []error) {
	for _, id := range set.off {
		set.app.client.State(set.app.topics.CameraStatus(id), []byte(mqtt.Disabled))
	}
	var group sync.WaitGroup
	var mu sync.Mutex
	for _, c := range set.byID {
		group.Go(func() {
			if err := c.Run(ctx); err != nil {
				set.app.log.Error("camera ended", "error", err)
				mu.Lock()
				faults = append(faults, err)
				mu.Unlock()
			}
		})
	}
	group.Wait()
	return faults
}

// shared lets several cameras take turns with one model.
type shared struct {
	mu       sync.Mutex
	embedder pipeline.Embedder
}

func (s *shared) Dim() int { return s.embedder.Dim() }

func (s *shared) Embed(dst []float32, f vision.Frame) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.embedder.Embed(dst, f)
}
