package app

import (
	"fmt"
	"sync/atomic"

	"xbmedge/agent/internal/pipeline"
	"xbmedge/internal/gallery"
	"xbmedge/internal/vision"
)

// matcher is a camera's, and can be changed while the camera works.
type matcher struct {
	at atomic.Pointer[gallery.Matcher]
}

var _ pipeline.Matcher = (*matcher)(nil)

// Match asks the gallery of the moment.
func (m *matcher) Match(embedding []float32) gallery.Decision { return m.at.Load().Match(embedding) }

// setGallery makes all cameras ask another gallery from their next frame on.
func (set *cameras) setGallery(g *gallery.Gallery) error {
	first, err := gallery.NewMatcher(g, set.topK, set.threshold)
	if err != nil {
		return fmt.Errorf("gallery.threshold: %w", err)
	}
	for _, m := range set.matchers {
		m.at.Store(first.Fork())
	}
	set.publisher.SetGallery(g)
	set.gallery.Store(g)
	for _, c := range set.byID {
		c.LookAnew()
	}
	return nil
}

// SetGallery makes the cameras at work ask another gallery of the same model, from their next frame on. It must not be
// called during Reload.
func (a *App) SetGallery(g *gallery.Gallery) error {
	set := a.atWork()
	if err := set.setGallery(g); err != nil {
		return err
	}
	a.home.announce(set.cfg, a.parts.Board, g)
	a.tellSoon.Store(true)
	return nil
}

// Embed embeds a picture with the model of the cameras at work, in turns with them. It must not be called during Reload.
func (a *App) Embed(dst []float32, f vision.Frame) error { return a.atWork().embedder.Embed(dst, f) }
