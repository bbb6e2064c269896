package app

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"

	"xbmedge/agent/internal/capture"
	"xbmedge/agent/internal/config"
	"xbmedge/agent/internal/mqtt"
	"xbmedge/agent/internal/pipeline"
	"xbmedge/agent/internal/strangers"
	"xbmedge/internal/detect"
	"xbmedge/internal/gallery"
	"xbmedge/internal/vision"
)

// cameras are all cameras of one configuration, with one model and gallery.
type cameras struct {
	app  *App
	cfg  *config.Config
	byID map[string]*pipeline.Camera // all but those that are off and cannot be built
	// counts are of their capture processes.
	counts   map[string]*capture.Counts
	stations map[string]*station // all, also those that are off

	topK      int
	publisher *mqtt.Publisher
	embedder  *shared
	strangers *strangers.Strangers // nil: none are remembered
	detectors []*detect.Detector   // closed when the cameras have ended

	mu      sync.Mutex
	gallery atomic.Pointer[gallery.Gallery] // at work
	before  *gallery.Gallery                // that of the cameras before these, nil for none
	atWork  bool                            // run has begun: changes are told
	waits   bool                            // for its gallery
	ready   chan struct{}                   // closed when there is one
}

// newCameras builds cameras and starts nothing.
func (a *App) newCameras(cfg *config.Config, parts Parts) (_ *cameras, err error) {
	set := &cameras{
		app: a, cfg: cfg, byID: map[string]*pipeline.Camera{}, counts: map[string]*capture.Counts{}, stations: map[string]*station{},
		topK:      cfg.Gallery.TopK,
		publisher: mqtt.NewPublisher(a.topics, a.client, a.clock, parts.Gallery, parts.Quant, cfg.MQTT.PublishSnapshots),
		embedder:  &shared{embedder: parts.Embedder}, ready: make(chan struct{}), waits: parts.Older != nil,
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, set.close())
		}
	}()
	var known pipeline.Strangers // stays nil without a store
	if set.strangers, err = a.openStrangers(cfg, parts.Gallery.Model()); err != nil {
		return nil, err
	}
	if set.strangers != nil {
		known = set.strangers
	}
	for id, cam := range cfg.Cameras {
		st := newStation(id, cfg.Features(id))
		set.stations[id] = st
		switch c, err := set.build(cfg, parts, known, st); {
		case err == nil:
			st.camera, set.byID[id] = c, c
		case cam.Enabled:
			return nil, err
		default: // it is off: that matters when somebody switches it on
			st.broken = err
		}
		set.apply(st)
	}
	if err := set.setGallery(parts.Gallery); err != nil {
		return nil, err
	}
	if !set.waits {
		close(set.ready)
	}
	return set, nil
}

// build makes a camera's pipeline.
func (set *cameras) build(cfg *config.Config, parts Parts, known pipeline.Strangers, st *station) (*pipeline.Camera, error) {
	a, id := set.app, st.id
	eye := newEye(cfg.Cameras[id], a.log.With("camera", id))
	set.counts[id] = &eye.counts
	var told pipeline.Publisher = set.publisher
	var onlooker pipeline.Onlooker // stays nil without a tap
	if parts.Tap != nil {
		onlooker, told = parts.Tap.Camera(id, set.publisher)
	}
	var viewer pipeline.Viewer // stays nil without a scene
	if parts.Scene != nil {
		viewer, told = parts.Scene.Camera(id, told)
	}
	finder, err := set.finder(cfg, id)
	if err != nil {
		return nil, err
	}
	c, err := pipeline.New(cfg.Pipeline(id), pipeline.Deps{
		Open:     eye.open,
		Embedder: set.embedder, Matcher: &st.matcher, Publisher: told, Results: parts.Results, Log: a.log,
		Finder: finder, Strangers: known, Onlooker: onlooker, Viewer: viewer,
		Watch: func(loop string) pipeline.Heartbeat {
			return eye.watched(loop, a.health.Stage("camera "+id+": "+loop))
		},
	})
	if err != nil {
		return nil, fmt.Errorf("camera %s: %w", id, err)
	}
	return c, nil
}

// finder opens a camera's detection model, where it has one.
func (set *cameras) finder(cfg *config.Config, id string) (pipeline.Finder, error) {
	d, err := OpenDetector(cfg, id, set.app.log)
	if err != nil || d == nil {
		return nil, err
	}
	set.detectors = append(set.detectors, d)
	return d, nil
}

// OpenDetector opens the detection model of a camera, nil where it has none.
func OpenDetector(cfg *config.Config, id string, log *slog.Logger) (*detect.Detector, error) {
	r := cfg.Cameras[id].Regions
	if r.Kind != string(pipeline.RegionDetector) {
		return nil, nil
	}
	model, err := os.ReadFile(r.Model)
	if err != nil {
		return nil, fmt.Errorf("cameras.%s.regions.model: %w", id, err)
	}
	d, err := detect.New(model, detect.Options{Threads: cfg.Model.Threads, Score: float32(r.Score), Log: log})
	if err != nil {
		return nil, fmt.Errorf("cameras.%s.regions.model: %s: %w", id, r.Model, err)
	}
	return d, nil
}

// close frees what the cameras used. None may be at work.
func (set *cameras) close() error {
	var faults []error
	for _, d := range set.detectors {
		faults = append(faults, d.Close())
	}
	if set.strangers != nil {
		faults = append(faults, set.strangers.Save())
	}
	return errors.Join(faults...)
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

var (
	_ pipeline.Finder    = (*detect.Detector)(nil)
	_ pipeline.Strangers = (*strangers.Strangers)(nil)
)
