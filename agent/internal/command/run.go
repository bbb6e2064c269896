package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"xbmedge/agent/internal/app"
	"xbmedge/agent/internal/board"
	"xbmedge/agent/internal/capture"
	"xbmedge/agent/internal/config"
	"xbmedge/agent/internal/control"
	"xbmedge/agent/internal/curator"
	"xbmedge/agent/internal/model"
	"xbmedge/agent/internal/results"
	"xbmedge/agent/internal/systemd"
	"xbmedge/agent/internal/tap"
	"xbmedge/agent/internal/web"
	"xbmedge/camera"
	"xbmedge/internal/atomicfile"
	"xbmedge/internal/cli"
	"xbmedge/internal/gallery"
	"xbmedge/internal/tflite"
	"xbmedge/internal/vision"
)

// runFlags is the command line of run.
type runFlags struct {
	load             func() (*config.Config, error)
	results, summary string
	control          string
}

func run() cli.Command {
	return cli.Command{
		Name: "run", Summary: "run the cameras",
		Long: `Recognises what the cameras see until it is interrupted, or, where all sources are
clips and folders, until their end.

Every key of the configuration is in configs/agent.yaml. Environment variables
win over the file (XBM_MQTT_BROKER sets mqtt.broker), and --set over both.`,
		Examples: `xbm-agent run --config agent.yaml
xbm-agent run --config agent.yaml --set mqtt.broker=tcp://broker:1883 --set log.level=debug`,
		Setup: func(f *cli.Flags) cli.Func {
			o := runFlags{load: configFlags(f)}
			f.StringVar(&o.results, "results", "", "write the outcome of every frame to this `FILE`, one JSON object a line")
			f.StringVar(&o.control, "control", "auto", "socket `FILE` through which the gallery is changed; auto: control.sock in the folder that "+
				"the service manager makes for the program, and none without one")
			f.StringVar(&o.summary, "summary", "", "write what was done to this `FILE` at the end (JSON)")
			return o.run
		},
	}
}

// garbage is how much the heap may grow, in percent, before it is collected, unless GOGC says. Frames allocate nothing: to
// collect early costs next to nothing, and a board has little memory.
const garbage = 30

func (o *runFlags) run(ctx context.Context, _ []string, _, stderr io.Writer) (err error) {
	if os.Getenv("GOGC") == "" {
		defer debug.SetGCPercent(debug.SetGCPercent(garbage)) // the inner call runs now
	}
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP) // from here on it does not end the program
	defer signal.Stop(hangups)
	cfg, err := o.load()
	if err != nil {
		return setupError{err}
	}
	log := newLogger(stderr, cfg.Log)
	with, err := open(ctx, cfg, log)
	if err != nil {
		return setupError{err}
	}
	g := with.gallery
	if damage := g.Recovered(); damage != nil {
		log.Error("the gallery was damaged", "error", damage)
	}
	r := &reloader{load: o.load, model: with.model, asked: make(chan chan error), log: log}
	defer func() { err = errors.Join(err, r.model.Close()) }()
	if err := os.MkdirAll(cfg.StateDir, 0o750); err != nil {
		log.Warn("the state folder cannot be made; nothing is kept across restarts", "error", err)
	}
	if o.summary != "" {
		if err := atomicfile.Check(o.summary); err != nil {
			return err
		}
	}
	manager, err := systemd.NewNotifier(log)
	if err != nil {
		return err
	}
	parts := app.Parts{
		Embedder: with.model, Tap: tap.New(with.model.InputSize()), Quant: with.model.Model().Quant, Gallery: g, Older: with.older, Manager: manager,
		Board: board.New("/"), Log: log,
	}
	if cfg.Web.On() {
		parts.Scene = web.NewScene()
	}
	if o.results != "" {
		file, failed := results.Create(o.results)
		if failed != nil {
			return failed
		}
		parts.Results = file
		defer func() { err = errors.Join(err, file.Close()) }() // the caller's err: what was not written has to be told
	}
	a, err := app.New(cfg, parts)
	if err != nil {
		return setupError{err}
	}
	with.versions.Ran(with.model.Info)
	log.Info("agent starts", "node", cfg.Node, "model", with.model.Model().Name, "identities", len(g.Entries()),
		"embeddings", g.Len(), "threshold", g.Threshold())
	r.app, r.parts = a, parts
	r.curator = curator.New(curatorParts(cfg, a, with.model, parts.Tap, log))
	a.Control(r.curator, r.ask)
	if parts.Scene != nil {
		page, failed := openPage(cfg, a, r.curator, parts.Scene, log) //nolint:contextcheck // it ends with Close
		if failed != nil {
			log.Error("no web page; all else goes on", "error", failed)
		} else {
			defer func() { err = errors.Join(err, page.Close()) }() //nolint:contextcheck // it ends with Close
		}
	}
	if socket := o.socket(); socket != "" {
		server, failed := control.Listen(socket, r.curator, log) //nolint:contextcheck // it ends with Close
		if failed != nil {
			return failed
		}
		defer func() { err = errors.Join(err, server.Close()) }()
	}
	err = withMove(ctx, with, r.curator, log, func(ctx context.Context) error { return withReloads(ctx, r, hangups, a.Run) })
	if o.summary != "" {
		err = errors.Join(err, atomicfile.WriteJSON(o.summary, 0o644, a.Summary()))
	}
	return err
}

// socket returns where the gallery can be changed, "" for nowhere.
func (o *runFlags) socket() string {
	if o.control != "auto" {
		return o.control
	}
	if os.Getenv("RUNTIME_DIRECTORY") == "" {
		return ""
	}
	return control.DefaultPath()
}

// curatorParts are what changes to the gallery of an agent work with.
func curatorParts(cfg *config.Config, a *app.App, m *model.Model, seen *tap.Tap, log *slog.Logger) curator.Parts {
	parts := curator.Parts{
		Path: cfg.Gallery.Path, Live: seen, Log: log, Use: a.SetGallery,
		Model: func() (curator.Embedder, error) { return inTurns{m, a}, nil },
	}
	if s := a.Strangers(); s != nil {
		parts.Strangers = s
	}
	return parts
}

// inTurns is the model of an agent's cameras, for others to use in turns with them.
type inTurns struct {
	*model.Model
	app *app.App
}

// Embed waits for its turn.
func (m inTurns) Embed(dst []float32, f vision.Frame) error { return m.app.Embed(dst, f) }

// withReloads runs the agent and reloads it at each signal, until the agent ends.
func withReloads(ctx context.Context, r *reloader, signals <-chan os.Signal, run func(context.Context) error) error {
	reloading, stop := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		r.run(reloading, signals)
	}()
	err := run(ctx)
	stop()
	<-done
	return err
}

// setupError is a start that cannot succeed before somebody changes something.
type setupError struct{ error }

func (e setupError) Unwrap() error { return e.error }

// ExitCode is EX_CONFIG of sysexits.h: the service manager does not try again (see the unit file).
func (setupError) ExitCode() int { return 78 }

// configFlags adds the flags that say what configuration to take. The function loads it, once they are parsed.
func configFlags(f *cli.Flags) (load func() (*config.Config, error)) {
	path := f.String("config", "", "configuration `FILE` (YAML)")
	var set cli.Settings
	f.Var(&set, "set", "`KEY=VALUE`, over the file and the environment; may be repeated")
	return func() (*config.Config, error) { return config.Load(*path, set...) }
}

// checkCamera refuses a source that no program here can read.
func checkCamera(cfg camera.Config) error {
	if err := camera.Check(cfg); err != nil || !cfg.Apart() {
		return err
	}
	_, err := capture.Program(cfg)
	return err
}

// opened is what the agent recognises with.
type opened struct {
	model    *model.Model
	gallery  *gallery.Gallery
	older    *gallery.Gallery // of another model, whose pictures gallery, which is empty, has to be made of; nil for none
	versions *model.Versions
}

// open refuses parts that are missing, and opens the model and its gallery.
func open(ctx context.Context, cfg *config.Config, log *slog.Logger) (*opened, error) {
	if err := tflite.Available(); err != nil {
		return nil, err
	}
	for id, cam := range cfg.Cameras {
		if err := checkCamera(cam.Source()); cam.Enabled && err != nil {
			return nil, fmt.Errorf("cameras.%s: %w", id, err)
		}
		if err := checkDetector(cfg, id, log); cam.Enabled && err != nil {
			return nil, err
		}
	}
	versions, err := model.OpenVersions(cfg.StateDir, log)
	if err != nil {
		return nil, fmt.Errorf("state_dir: %w", err)
	}
	m, err := model.Open(ctx, model.Options{
		Path: cfg.Model.Path, Threads: cfg.Model.Threads, Keys: cfg.Model.Keys, Trial: &model.Trial{}, Log: log,
	})
	if err != nil {
		return nil, fmt.Errorf("model.path: %w", err)
	}
	if err := versions.Check(m.Info); err != nil && !cfg.Model.AllowDowngrade {
		return nil, errors.Join(fmt.Errorf("model.path: %w", err), m.Close())
	}
	g, older, err := loadGallery(m, cfg.Gallery.Path)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("gallery.path: %w", err), m.Close())
	}
	m.Describe(log, g)
	return &opened{m, g, older, versions}, nil
}

// checkDetector opens and closes a camera's detection model, where it has one.
func checkDetector(cfg *config.Config, id string, log *slog.Logger) error {
	d, err := app.OpenDetector(cfg, id, log)
	if err != nil || d == nil {
		return err
	}
	return d.Close()
}

// openModel opens a model without trying it first, for commands that are no service.
func openModel(ctx context.Context, path string, threads int, log *slog.Logger) (*model.Model, error) {
	return model.Open(ctx, model.Options{Path: path, Threads: threads, Log: log})
}
