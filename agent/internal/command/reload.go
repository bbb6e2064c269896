package command

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"

	"xbmedge/agent/internal/app"
	"xbmedge/agent/internal/config"
	"xbmedge/agent/internal/curator"
	"xbmedge/agent/internal/model"
	"xbmedge/agent/internal/tap"
	"xbmedge/internal/gallery"
)

// reloader takes over a changed configuration, model and gallery while the agent runs.
type reloader struct {
	load    func() (*config.Config, error)
	app     *app.App
	parts   app.Parts
	model   *model.Model     // at work; belongs to the reloader
	curator *curator.Curator // changes the gallery
	asked   chan chan error  // to reload; each gets the outcome
	log     *slog.Logger
}

// run reloads at each signal, and when it is asked to, until ctx ends, and closes the model that is then at work.
func (r *reloader) run(ctx context.Context, signals <-chan os.Signal) {
	for {
		select {
		case <-signals:
			if err := r.reload(ctx); err != nil && ctx.Err() == nil {
				r.log.Error("not reloaded; all goes on as before", "error", err)
			}
		case outcome := <-r.asked:
			outcome <- r.reload(ctx) // has room
		case <-ctx.Done():
			return
		}
	}
}

// ask reloads as a signal does, and returns what came of it.
func (r *reloader) ask(ctx context.Context) error {
	outcome := make(chan error, 1)
	select {
	case r.asked <- outcome:
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case err := <-outcome:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// reload takes over what has changed. The gallery stays as it is meanwhile.
func (r *reloader) reload(ctx context.Context) error {
	r.parts.Manager.Reloading()
	defer r.parts.Manager.Ready()
	return r.curator.During(func(p *curator.Parts) error {
		cfg, err := r.takeOver(ctx)
		if cfg != nil {
			*p = curatorParts(cfg, r.app, r.model, r.parts.Tap, r.log)
		}
		return err
	})
}

// takeOver returns the configuration that is at work then, nil where it is the old one.
func (r *reloader) takeOver(ctx context.Context) (*config.Config, error) {
	cfg, err := r.load()
	if err != nil {
		return nil, err
	}
	with, err := open(ctx, cfg, r.log)
	if err != nil {
		return nil, err
	}
	undo := func() error { return nil }
	if with.older != nil {
		if undo, err = r.moveFirst(ctx, cfg, with); err != nil {
			return nil, errors.Join(err, with.model.Close())
		}
	}
	g, parts := with.gallery, r.parts
	parts.Embedder, parts.Quant, parts.Gallery, parts.Older = with.model, with.model.Model().Quant, g, nil
	parts.Tap = tap.New(with.model.InputSize())
	if err := r.app.Reload(ctx, cfg, parts); err != nil {
		return nil, errors.Join(err, undo(), with.model.Close())
	}
	old := r.model
	r.model, r.parts = with.model, parts
	with.versions.Ran(with.model.Info)
	r.log.Info("reloaded", "cameras", len(cfg.Cameras), "model", with.model.Model().Name, "identities", len(g.Entries()),
		"embeddings", g.Len(), "threshold", g.Threshold())
	if err := old.Close(); err != nil {
		return cfg, fmt.Errorf("close the old model: %w", err)
	}
	return cfg, nil
}

// moveFirst moves a gallery to the model that is about to be taken over, while the cameras work on with the old ones. undo
// brings the file back.
func (r *reloader) moveFirst(ctx context.Context, cfg *config.Config, with *opened) (undo func() error, err error) {
	c := curator.New(curator.Parts{
		Path: cfg.Gallery.Path, Log: r.log, Model: func() (curator.Embedder, error) { return with.model, nil },
		Use: func(g *gallery.Gallery) error { with.gallery = g; return nil },
	})
	out, err := move(ctx, with, c, r.log)
	if err != nil {
		return nil, err
	}
	return func() error {
		r.log.Warn("the gallery is put back as it was", "from", out.Kept)
		return os.Rename(out.Kept, cfg.Gallery.Path)
	}, nil
}
