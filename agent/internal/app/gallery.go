package app

import (
	"fmt"
	"sync/atomic"
	"time"

	"xbmedge/agent/internal/features"
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
	set.mu.Lock()
	defer set.mu.Unlock()
	made := map[float32]*gallery.Matcher{} // by threshold
	for _, st := range set.stations {
		if made[st.threshold] != nil {
			continue
		}
		m, err := gallery.NewMatcher(g, set.topK, st.threshold)
		if err != nil {
			return fmt.Errorf("gallery.threshold: %w", err)
		}
		made[st.threshold] = m
	}
	for _, st := range set.stations {
		st.matcher.at.Store(made[st.threshold].Fork())
	}
	before := set.gallery.Swap(g)
	set.publisher.SetGallery(g)
	for _, c := range set.byID {
		c.LookAnew()
	}
	if set.atWork && !set.waits {
		set.tellGallery(before)
	}
	return nil
}

// tellGallery tells what is enrolled, and no longer. The caller holds the lock.
func (set *cameras) tellGallery(before *gallery.Gallery) {
	set.publisher.TellGallery(before, set.gallery.Load(), time.Now())
	own := features.Settings{Threshold: float64(set.gallery.Load().Threshold())}.Text(features.Threshold)
	for _, st := range set.stations {
		if st.threshold == 0 {
			set.app.client.State(set.app.topics.FeatureState(st.id, features.Threshold), []byte(own))
		}
	}
}

// SetGallery makes the cameras at work ask another gallery of the same model, from their next frame on; where they wait for
// their first one, they start. It must not be called during Reload, nor twice at a time.
func (a *App) SetGallery(g *gallery.Gallery) error {
	set := a.atWork()
	set.mu.Lock()
	first := set.waits
	set.waits = false // it is told
	set.mu.Unlock()
	if err := set.setGallery(g); err != nil {
		return err
	}
	if first {
		close(set.ready)
	}
	a.home.announce(set.cfg, a.parts.Board, g)
	a.tellSoon.Store(true)
	return nil
}

// Embed embeds a picture with the model of the cameras at work, in turns with them. It must not be called during Reload.
func (a *App) Embed(dst []float32, f vision.Frame) error { return a.atWork().embedder.Embed(dst, f) }
