package command

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"xbmedge/agent/internal/control"
	"xbmedge/agent/internal/curator"
	"xbmedge/agent/internal/model"
	"xbmedge/internal/gallery"
)

// loadGallery reads a gallery for a model. One of another model that has pictures of everything enrolled is returned as
// older, beside an empty one for this model, into which it can be moved.
func loadGallery(m *model.Model, path string) (g, older *gallery.Gallery, err error) {
	g, err = m.LoadGallery(path)
	if !errors.Is(err, gallery.ErrWrongModel) {
		return g, nil, err
	}
	older, failed := gallery.Read(path)
	if failed != nil {
		return nil, nil, failed
	}
	if lacking := older.CheckReembed(); lacking != nil {
		return nil, nil, fmt.Errorf("%w\nit cannot be moved by itself: %w", err, lacking)
	}
	g, err = gallery.New(m.ForGallery())
	return g, older, err
}

// withMove runs the agent, and meanwhile moves the gallery to its model where it is of another. The cameras wait for that.
// The agent ends when it fails.
func withMove(ctx context.Context, with *opened, c *curator.Curator, log *slog.Logger, run func(context.Context) error) error {
	if with.older == nil {
		return run(ctx)
	}
	running, stop := context.WithCancel(ctx)
	defer stop()
	moved := make(chan error, 1)
	go func() {
		_, err := move(running, with, c, log)
		if err != nil {
			stop()
		}
		moved <- err
	}()
	err := run(running)
	stop()
	failed := <-moved
	if errors.Is(failed, context.Canceled) {
		log.Info("the gallery was not moved to the end; it is as it was, and the next start begins anew")
		failed = nil
	}
	return errors.Join(failed, err)
}

// move makes a gallery's embeddings anew with the model in use, and says what came of it.
func move(ctx context.Context, with *opened, c *curator.Curator, log *slog.Logger) (*curator.Outcome, error) {
	older := with.older
	log.Info("the gallery is of another model; its embeddings are made anew from the kept pictures", "from", older.Model().String(),
		"to", with.gallery.Model().String(), "identities", len(older.Entries()), "embeddings", older.Len())
	started := time.Now()
	result, err := c.Handle(ctx, &control.Request{Op: "reembed"})
	if err != nil {
		return nil, fmt.Errorf("move the gallery to the model in use: %w", err)
	}
	out := result.(*curator.Outcome) // as Handle has it
	for _, left := range out.Refused {
		log.Warn("left out of the moved gallery", "what", left.Name, "why", left.Why)
	}
	log.Info("the gallery has been moved", "embeddings", out.N, "left_out", len(out.Refused), "threshold", out.Threshold, "kept", out.Kept,
		"took", time.Since(started).Round(time.Millisecond))
	for _, w := range out.Warnings {
		log.Warn("the moved gallery", "note", w)
	}
	return out, nil
}
