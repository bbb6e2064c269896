// Package app puts the agent together: cameras, model, gallery and broker, in the order in which they start and end.
package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"xbmedge/agent/internal/config"
	"xbmedge/agent/internal/mqtt"
	"xbmedge/agent/internal/pipeline"
	"xbmedge/camera"
	"xbmedge/internal/gallery"
	"xbmedge/internal/vision"
)

// Parts are what the agent is given ready made. Results may be nil.
type Parts struct {
	Embedder pipeline.Embedder // used by one camera at a time
	Quant    string            // what the model computes with, such as int8
	Gallery  *gallery.Gallery
	Results  pipeline.Results
	Log      *slog.Logger
}

// App is a whole agent.
type App struct {
	cfg     *config.Config
	log     *slog.Logger
	client  *mqtt.Client
	seq     *mqtt.Sequence
	cameras map[string]*pipeline.Camera
	summary Summary // of a Run that has ended
}

// New builds an agent. It reads files, sets numbers aside for events in the state folder, and touches no network and no
// camera.
func New(cfg *config.Config, parts Parts) (*App, error) {
	topics := mqtt.Topics{Base: cfg.MQTT.Base, Node: cfg.Node}
	tlsConfig, err := mqtt.TLSFiles{CA: cfg.MQTT.TLS.CA, Cert: cfg.MQTT.TLS.Cert, Key: cfg.MQTT.TLS.Key}.Config()
	if err != nil {
		return nil, fmt.Errorf("mqtt.tls: %w", err)
	}
	seq, err := mqtt.OpenSequence(cfg.SequenceFile(), parts.Log)
	if err != nil {
		return nil, err
	}
	a := &App{cfg: cfg, log: parts.Log, seq: seq, cameras: map[string]*pipeline.Camera{}}
	a.client, err = mqtt.New(mqtt.Config{
		Broker: cfg.MQTT.Broker, ClientID: cfg.MQTT.ClientID, Username: cfg.MQTT.Username, Password: cfg.MQTT.Password,
		TLS: tlsConfig, StatusTopic: topics.Status(), KeepAlive: cfg.MQTT.KeepAlive, DrainTimeout: cfg.MQTT.Drain,
	}, mqtt.NewMemoryOutbox(cfg.MQTT.Queue), parts.Log)
	if err != nil {
		return nil, err
	}
	publisher := mqtt.NewPublisher(topics, a.client, seq, parts.Gallery, parts.Quant)
	embedder := &shared{embedder: parts.Embedder}
	for id, cam := range cfg.Cameras {
		if !cam.Enabled {
			a.client.State(topics.CameraStatus(id), []byte(mqtt.Disabled))
			continue
		}
		matcher, err := gallery.NewMatcher(parts.Gallery, cfg.Gallery.TopK, float32(cfg.Gallery.Threshold))
		if err != nil {
			return nil, fmt.Errorf("gallery.threshold: %w", err)
		}
		source := SourceConfig(cam)
		a.cameras[id], err = pipeline.New(cfg.Pipeline(id), pipeline.Deps{
			Open: func(context.Context) (pipeline.Source, error) {
				src, err := camera.Open(source, parts.Log)
				if err != nil {
					return nil, err
				}
				return frames{src}, nil
			},
			Embedder: embedder, Matcher: matcher, Publisher: publisher, Results: parts.Results, Log: parts.Log,
		})
		if err != nil {
			return nil, fmt.Errorf("camera %s: %w", id, err)
		}
	}
	return a, nil
}

// SourceConfig returns where a configured camera's frames come from.
func SourceConfig(c config.Camera) camera.Config {
	return camera.Config{
		Kind: camera.Kind(c.Kind), Address: c.Address, Width: c.Width, Height: c.Height, FPS: c.FPS, Timeout: c.Timeout,
	}
}

// Run works until ctx ends or all cameras have come to the end of their clips. Then it sends what is left and says
// goodbye to the broker. A clip that cannot be read is an error; a broker or a camera that is away is not.
func (a *App) Run(ctx context.Context) error {
	started := time.Now()
	toBroker, stopBroker := context.WithCancel(context.WithoutCancel(ctx)) // the broker hears of the end last
	defer stopBroker()
	sent := make(chan error, 1)
	go func() { sent <- a.client.Run(toBroker) }()

	var group sync.WaitGroup
	var mu sync.Mutex
	var faults []error
	for _, c := range a.cameras {
		group.Go(func() {
			if err := c.Run(ctx); err != nil {
				a.log.Error("camera ended", "error", err)
				mu.Lock()
				faults = append(faults, err)
				mu.Unlock()
			}
		})
	}
	group.Wait()
	elapsed := time.Since(started)
	stopBroker()
	faults = append(faults, <-sent, a.seq.Close())
	a.summarise(elapsed)
	return errors.Join(faults...)
}

// Summary is what an agent did from its start to its end.
type Summary struct {
	Seconds     float64 `json:"seconds"`
	Frames      uint64  `json:"frames"`       // looked at, by all cameras
	Skipped     uint64  `json:"skipped"`      // replaced by a newer frame before they were looked at
	Failed      uint64  `json:"failed"`       // without a result
	Events      uint64  `json:"events"`       // handed to the outbox
	Unsent      int     `json:"unsent"`       // of those, still there at the end
	Lost        uint64  `json:"lost"`         // of those, dropped because the outbox was full
	Connects    uint64  `json:"connects"`     // connections to the broker
	SamplesLost uint64  `json:"samples_lost"` // messages at QoS 0 that were not sent
}

// Summary returns the counts of the Run that has ended.
func (a *App) Summary() Summary { return a.summary }

// summarise counts and logs what was done.
func (a *App) summarise(elapsed time.Duration) {
	s := Summary{Seconds: elapsed.Seconds()}
	for id, c := range a.cameras {
		n := c.Stats()
		a.log.Info("camera done", "camera", id, "frames", n.Processed, "dropped", n.Dropped, "failed", n.Failed,
			"events", n.Events, "fps", float64(int(10*float64(n.Processed)/s.Seconds))/10)
		s.Frames, s.Skipped, s.Failed, s.Events = s.Frames+n.Processed, s.Skipped+n.Dropped, s.Failed+n.Failed, s.Events+n.Events
	}
	m := a.client.Stats()
	a.log.Info("broker done", "confirmed", m.Acknowledged, "unsent", m.Queued, "dropped", m.DroppedEvents,
		"dropped_samples", m.DroppedSamples, "connects", m.Connects)
	s.Unsent, s.Lost, s.Connects, s.SamplesLost = m.Queued, m.DroppedEvents, m.Connects, m.DroppedSamples
	a.summary = s
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
