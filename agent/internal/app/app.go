// Package app puts the agent together: cameras, model, gallery and broker, in the order in which they start and end.
package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"xbmedge/agent/internal/board"
	"xbmedge/agent/internal/clock"
	"xbmedge/agent/internal/commands"
	"xbmedge/agent/internal/config"
	"xbmedge/agent/internal/features"
	"xbmedge/agent/internal/health"
	"xbmedge/agent/internal/metrics"
	"xbmedge/agent/internal/mqtt"
	"xbmedge/agent/internal/outbox"
	"xbmedge/agent/internal/pipeline"
	"xbmedge/agent/internal/systemd"
	"xbmedge/agent/internal/tap"
	"xbmedge/agent/internal/web"
	"xbmedge/internal/gallery"
)

// Parts are what the agent is given ready made. Results, Tap and Scene may be nil.
type Parts struct {
	Embedder pipeline.Embedder // used by one camera at a time
	Tap      *tap.Tap          // sees what the cameras see
	Scene    *web.Scene        // shows it to people
	Quant    string            // what the model computes with, such as int8
	Gallery  *gallery.Gallery
	// Older is a gallery of another model of which Gallery, empty yet, is still to be made; nil for none. With it no camera
	// starts before SetGallery, and what is told to be enrolled stays as it is.
	Older   *gallery.Gallery
	Results pipeline.Results
	Manager *systemd.Notifier
	Board   *board.Board
	Log     *slog.Logger
}

// App is a whole agent.
type App struct {
	cfg     *config.Config // of the start; cameras may be of a later one
	parts   Parts
	log     *slog.Logger
	topics  mqtt.Topics
	client  *mqtt.Client
	outbox  *outbox.Log // nil: events wait in memory
	clock   *clock.Clock
	health  health.Monitor
	reloads chan reload
	home    *home
	// tellSoon asks for a reading a few seconds later.
	tellSoon atomic.Bool

	features *features.Store
	desk     *desk
	commands *commands.Desk

	mu      sync.Mutex
	faults  map[string]time.Time // told over the broker, by code and camera
	cameras *cameras             // at work
	view    view                 // of the supervisor
	summary Summary              // of what has ended
}

// New builds an agent. It reads files, opens the outbox in the state folder, which Run closes, and touches no network
// and no camera.
func New(cfg *config.Config, parts Parts) (*App, error) {
	client := cfg.Client()
	if _, err := client.TLS.Config(); err != nil {
		return nil, fmt.Errorf("mqtt.tls: %w", err)
	}
	a := &App{
		cfg: cfg, parts: parts, log: parts.Log, clock: clock.New(), topics: mqtt.Topics{Base: cfg.MQTT.Base, Node: cfg.Node},
		reloads: make(chan reload), view: view{share: 1}, faults: map[string]time.Time{},
		features: features.Open(cfg.FeaturesFile(), parts.Log),
	}
	a.desk = &desk{app: a}
	a.commands = commands.New(cfg.CommandsFile(), a.desk, parts.Log)
	events, onDisk, err := openOutbox(cfg, a.clock.Boot(), parts.Log)
	if err != nil {
		return nil, err
	}
	a.outbox = onDisk
	a.home = newHome(cfg, parts.Log)
	client.StatusTopic, client.Keeps = a.topics.Status(), onDisk != nil
	client.Subscribe, client.Receive = a.home.topics(), a.receive
	client.Watch = func() mqtt.Heartbeat { return a.health.Stage("connection to the broker") }
	if cfg.MQTT.Commands {
		client.Subscribe = append(client.Subscribe, a.topics.Commands()...)
	}
	if a.client, err = mqtt.New(client, events, parts.Log); err != nil {
		return nil, errors.Join(err, a.closeOutbox())
	}
	a.home.client = a.client
	if a.cameras, err = a.newCameras(cfg, parts); err != nil {
		return nil, errors.Join(err, a.closeOutbox())
	}
	return a, nil
}

// Run works until ctx ends or all cameras have come to the end of their clips. Then it sends what is left and says
// goodbye to the broker. A clip that cannot be read is an error; a broker or a camera that is away is not.
func (a *App) Run(ctx context.Context) error {
	started := time.Now()
	var server *metrics.Server
	if address := a.cfg.MetricsAddress(); address != "" {
		var err error
		if server, err = metrics.Listen(address, a.Stats, a.log); err != nil {
			a.log.Error("no metrics; all else goes on", "error", err)
		} else {
			a.log.Info("metrics are served", "address", address)
		}
	}
	a.home.announce(a.cfg, a.parts.Board, cmp.Or(a.parts.Older, a.parts.Gallery))
	toBroker, stopBroker := context.WithCancel(context.WithoutCancel(ctx)) // the broker hears of the end last
	defer stopBroker()
	sent := make(chan error, 1)
	go func() { sent <- a.client.Run(toBroker) }()
	watching, stopWatching := context.WithCancel(context.WithoutCancel(ctx))
	defer stopWatching()
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		a.supervise(watching, started)
	}()

	saved := make(chan struct{})
	go func() {
		defer close(saved)
		a.saveStrangers(watching)
	}()

	atHome := make(chan struct{})
	go func() {
		defer close(atHome)
		a.home.run(watching, func() { a.tellSoon.Store(true) })
	}()

	commanding, stopCommands := context.WithCancel(ctx)
	defer stopCommands()
	commanded := make(chan struct{})
	go func() {
		defer close(commanded)
		a.commands.Run(commanding)
	}()

	faults := a.runCameras(ctx)
	a.parts.Manager.Stopping()
	stopCommands()
	<-commanded
	elapsed := time.Since(started)
	stopBroker()
	faults = append(faults, <-sent, a.closeOutbox())
	stopWatching()
	<-watched
	<-saved
	<-atHome
	if server != nil {
		faults = append(faults, server.Close()) //nolint:contextcheck // it ends after ctx, in a second at most
	}
	a.summarise(elapsed)
	return errors.Join(faults...)
}

// reload is a new set of cameras on its way in.
type reload struct {
	cameras *cameras
	done    chan struct{} // closed when they are at work
}

// runCameras runs one set of cameras after another, until ctx ends or those at work have.
func (a *App) runCameras(ctx context.Context) (faults []error) {
	for next := (*reload)(nil); ; {
		set := a.atWork()
		running, stop := context.WithCancel(ctx)
		ended := make(chan []error, 1)
		go func() { ended <- set.run(running) }()
		if next != nil {
			close(next.done)
			next = nil
		}
		select {
		case errs := <-ended:
			stop()
			a.count(set)
			return append(append(faults, errs...), set.close())
		case r := <-a.reloads:
			stop()
			faults = append(append(faults, <-ended...), set.close())
			a.count(set)
			next = &r
			set.mu.Lock()
			r.cameras.before = set.gallery.Load()
			set.mu.Unlock()
			a.mu.Lock()
			a.cameras = r.cameras
			a.mu.Unlock()
		}
	}
}

// Reload puts the cameras of another configuration, with another model and gallery, in the place of those at work. It
// refuses a configuration whose other parts differ from those at the start. When it returns without an error, nothing
// uses the old embedder and gallery any more; otherwise all goes on as before.
func (a *App) Reload(ctx context.Context, cfg *config.Config, parts Parts) error {
	if keys := a.cfg.RestartNeeded(cfg); len(keys) > 0 {
		return fmt.Errorf("%s changed: that takes a restart (systemctl restart xbm-agent)", strings.Join(keys, ", "))
	}
	set, err := a.newCameras(cfg, parts)
	if err != nil {
		return err
	}
	r := reload{set, make(chan struct{})}
	select {
	case a.reloads <- r:
	case <-ctx.Done():
		return ctx.Err()
	}
	<-r.done
	a.home.announce(cfg, a.parts.Board, parts.Gallery)
	return nil
}

func (a *App) atWork() *cameras {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.cameras
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

// count adds what a set of cameras that has ended did, and logs it.
func (a *App) count(set *cameras) {
	for id, c := range set.byID {
		n := c.Stats()
		a.log.Info("camera done", "camera", id, "frames", n.Processed, "dropped", n.Dropped, "failed", n.Failed, "events", n.Events)
		s := &a.summary
		s.Frames, s.Skipped, s.Failed, s.Events = s.Frames+n.Processed, s.Skipped+n.Dropped, s.Failed+n.Failed, s.Events+n.Events
	}
}

// summarise counts and logs what the connection did.
func (a *App) summarise(elapsed time.Duration) {
	m, s := a.client.Stats(), &a.summary
	s.Seconds = elapsed.Seconds()
	s.Unsent, s.Lost, s.Connects, s.SamplesLost = m.Queued, m.DroppedEvents, m.Connects, m.DroppedSamples
	a.log.Info("broker done", "confirmed", m.Acknowledged, "unsent", m.Queued, "dropped", m.DroppedEvents,
		"dropped_samples", m.DroppedSamples, "connects", m.Connects,
		"fps", float64(int(10*float64(s.Frames)/s.Seconds))/10)
}
