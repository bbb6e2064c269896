package app

import (
	"context"
	"fmt"
	"sync"

	"xbmedge/agent/internal/config"
	"xbmedge/agent/internal/mqtt"
	"xbmedge/agent/internal/pipeline"
	"xbmedge/camera"
	"xbmedge/internal/vision"
)

// cameras are all cameras of one configuration, with one model and gallery.
type cameras struct {
	app  *App
	byID map[string]*pipeline.Camera // the enabled ones
	off  []string

	topK      int
	threshold float32
	matchers  []*matcher // of the enabled cameras
	publisher *mqtt.Publisher
	embedder  *shared
}

// newCameras builds cameras and starts nothing.
func (a *App) newCameras(cfg *config.Config, parts Parts) (*cameras, error) {
	set := &cameras{
		app: a, byID: map[string]*pipeline.Camera{}, topK: cfg.Gallery.TopK, threshold: float32(cfg.Gallery.Threshold),
		publisher: mqtt.NewPublisher(a.topics, a.client, a.clock, parts.Gallery, parts.Quant),
		embedder:  &shared{embedder: parts.Embedder},
	}
	for id, cam := range cfg.Cameras {
		if !cam.Enabled {
			set.off = append(set.off, id)
			continue
		}
		asked := &matcher{}
		set.matchers = append(set.matchers, asked)
		source := SourceConfig(cam)
		var used pipeline.Embedder = set.embedder
		var told pipeline.Publisher = set.publisher
		if parts.Tap != nil {
			used, told = parts.Tap.Camera(id, set.embedder, set.publisher)
		}
		var err error
		set.byID[id], err = pipeline.New(cfg.Pipeline(id), pipeline.Deps{
			Open: func(context.Context) (pipeline.Source, error) {
				src, err := camera.Open(source, a.log)
				if err != nil {
					return nil, err
				}
				return frames{src}, nil
			},
			Embedder: used, Matcher: asked, Publisher: told, Results: parts.Results, Log: a.log,
			Watch: func(loop string) pipeline.Heartbeat { return a.health.Stage("camera " + id + ": " + loop) },
		})
		if err != nil {
			return nil, fmt.Errorf("camera %s: %w", id, err)
		}
	}
	return set, set.setGallery(parts.Gallery)
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

// SourceConfig returns where a configured camera's frames come from.
func SourceConfig(c config.Camera) camera.Config {
	return camera.Config{
		Kind: camera.Kind(c.Kind), Address: c.Address, Width: c.Width, Height: c.Height, FPS: c.FPS, Timeout: c.Timeout,
	}
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

// frames makes a camera's source a pipeline's.
type frames struct{ camera.Source }

var _ pipeline.Source = frames{}

// Read fills f.
func (s frames) Read(ctx context.Context, f *pipeline.Frame) error {
	return s.Source.Read(ctx, (*camera.Frame)(f))
}
