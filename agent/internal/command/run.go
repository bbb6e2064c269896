package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"xbmedge/agent/internal/app"
	"xbmedge/agent/internal/board"
	"xbmedge/agent/internal/capture"
	"xbmedge/agent/internal/config"
	"xbmedge/agent/internal/results"
	"xbmedge/agent/internal/systemd"
	"xbmedge/camera"
	"xbmedge/internal/atomicfile"
	"xbmedge/internal/cli"
	"xbmedge/internal/embed"
	"xbmedge/internal/gallery"
	"xbmedge/internal/tflite"
)

// runFlags is the command line of run.
type runFlags struct {
	load             func() (*config.Config, error)
	results, summary string
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
			f.StringVar(&o.summary, "summary", "", "write what was done to this `FILE` at the end (JSON)")
			return o.run
		},
	}
}

func (o *runFlags) run(ctx context.Context, _ []string, _, stderr io.Writer) (err error) {
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP) // from here on it does not end the program
	defer signal.Stop(hangups)
	cfg, err := o.load()
	if err != nil {
		return setupError{err}
	}
	log := newLogger(stderr, cfg.Log)
	embedder, g, err := open(cfg, log)
	if err != nil {
		return setupError{err}
	}
	r := &reloader{load: o.load, embedder: embedder, log: log}
	defer func() { err = errors.Join(err, r.embedder.Close()) }()
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
		Embedder: embedder, Quant: embedder.Model().Quant, Gallery: g, Manager: manager, Board: board.New("/"), Log: log,
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
	log.Info("agent starts", "node", cfg.Node, "model", embedder.Model().Name, "identities", len(g.Entries()),
		"embeddings", g.Len(), "threshold", g.Threshold())
	r.app, r.parts = a, parts
	err = withReloads(ctx, r, hangups, a.Run)
	if o.summary != "" {
		err = errors.Join(err, atomicfile.WriteJSON(o.summary, 0o644, a.Summary()))
	}
	return err
}

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

// open refuses parts that are missing, and opens the model and its gallery.
func open(cfg *config.Config, log *slog.Logger) (*embed.Embedder, *gallery.Gallery, error) {
	if err := tflite.Available(); err != nil {
		return nil, nil, err
	}
	for id, cam := range cfg.Cameras {
		if err := checkCamera(cam.Source()); cam.Enabled && err != nil {
			return nil, nil, fmt.Errorf("cameras.%s: %w", id, err)
		}
	}
	embedder, err := openModel(cfg.Model.Path, cfg.Model.Threads, log)
	if err != nil {
		return nil, nil, fmt.Errorf("model.path: %w", err)
	}
	g, err := loadGallery(cfg.Gallery.Path, embedder)
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("gallery.path: %w", err), embedder.Close())
	}
	return embedder, g, nil
}

// checkCamera refuses a source that no program here can read.
func checkCamera(cfg camera.Config) error {
	if err := camera.Check(cfg); err != nil || !cfg.Apart() {
		return err
	}
	_, err := capture.Program(cfg)
	return err
}

func openModel(path string, threads int, log *slog.Logger) (*embed.Embedder, error) {
	if err := tflite.Available(); err != nil {
		return nil, err
	}
	model, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read model: %w", err)
	}
	embedder, err := embed.New(model, embed.Options{Threads: threads, Log: log})
	if err != nil {
		return nil, fmt.Errorf("model %s: %w", path, err)
	}
	return embedder, nil
}

func galleryModel(e *embed.Embedder) gallery.Model {
	m := e.Model()
	return gallery.Model{Name: m.Name, SHA256: m.SHA256, Dim: m.Dim}
}

func loadGallery(path string, e *embed.Embedder) (*gallery.Gallery, error) {
	g, err := gallery.Load(path, galleryModel(e))
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("%w; make it with `xbm-agent enroll`", err)
	}
	return g, err
}
