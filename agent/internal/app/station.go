package app

import (
	"context"
	"sync"
	"sync/atomic"

	"xbmedge/agent/internal/features"
	"xbmedge/agent/internal/mqtt"
	"xbmedge/agent/internal/pipeline"
	"xbmedge/internal/gallery"
)

// station is a camera's place among the others, where it is switched on and off.
type station struct {
	id         string
	configured features.Settings
	camera     *pipeline.Camera // nil: it cannot be built
	broken     error            // why
	matcher    matcher
	threshold  float32 // 0: the gallery's own; guarded by cameras.mu

	on      atomic.Bool
	changed chan struct{} // has room for one
	ended   atomic.Bool   // its clip has
}

func newStation(id string, configured features.Settings) *station {
	return &station{id: id, configured: configured, changed: make(chan struct{}, 1)}
}

// apply gives a camera the features that are set.
func (set *cameras) apply(st *station) features.Settings {
	s := set.app.features.Over(st.id, st.configured)
	if c := st.camera; c != nil {
		c.SetRecognition(s.Recognition)
		c.SetFPS(s.FPS)
		c.SetEmbeddings(s.PublishEmbeddings)
	}
	set.mu.Lock()
	if t := float32(s.Threshold); t != st.threshold {
		st.threshold = t
		if m, err := set.match(t); err == nil { // a threshold of 0 to 1, as it was checked
			st.matcher.at.Store(m)
		}
	}
	set.mu.Unlock()
	if on := s.Enabled && st.camera != nil; st.on.Swap(on) != on {
		if on {
			st.camera.LookAnew()
		}
		select {
		case st.changed <- struct{}{}:
		default: // it has not heard of the last change yet, and will find this one
		}
	}
	return s
}

// match makes a matcher of the gallery at work. The caller holds the lock.
func (set *cameras) match(threshold float32) (*gallery.Matcher, error) {
	g := set.gallery.Load()
	if g == nil { // setGallery comes
		return nil, nil //nolint:nilnil // nothing to match with, and nothing wrong
	}
	return gallery.NewMatcher(g, set.topK, threshold)
}

// run runs the cameras until ctx ends or all that are on have come to the end of their clips.
func (set *cameras) run(ctx context.Context) (faults []error) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	set.mu.Lock()
	set.atWork = true
	if !set.waits {
		set.tellGallery(set.before)
	}
	set.mu.Unlock()
	set.publisher.Model()
	for _, st := range set.stations { // again: something may have been set since they were built
		set.tellFeatures(st, set.apply(st))
	}
	var group sync.WaitGroup
	var mu sync.Mutex
	for _, st := range set.stations {
		group.Go(func() {
			if err := set.tend(ctx, st); err != nil {
				set.app.log.Error("camera ended", "error", err)
				set.app.fault(mqtt.FaultCamera, err.Error(), st.id)
				mu.Lock()
				faults = append(faults, err)
				mu.Unlock()
			}
			if set.over() {
				stop()
			}
		})
	}
	group.Wait()
	return faults
}

// on returns the cameras that are switched on.
func (set *cameras) on() map[string]*pipeline.Camera {
	out := map[string]*pipeline.Camera{}
	for id, st := range set.stations {
		if st.on.Load() {
			out[id] = st.camera
		}
	}
	return out
}

// over reports whether clips have ended and no other camera is on.
func (set *cameras) over() bool {
	ended := false
	for _, st := range set.stations {
		switch {
		case st.ended.Load():
			ended = true
		case st.on.Load():
			return false
		}
	}
	return ended
}

// tend runs a camera while it is on, until ctx ends or it comes to its end by itself.
func (set *cameras) tend(ctx context.Context, st *station) error {
	select {
	case <-set.ready:
	case <-ctx.Done():
		return nil
	}
	for ctx.Err() == nil {
		if !st.on.Load() {
			set.app.client.State(set.app.topics.CameraStatus(st.id), []byte(mqtt.Disabled))
			if set.over() {
				return nil
			}
			select {
			case <-st.changed:
			case <-ctx.Done():
			}
			continue
		}
		if ended, err := st.run(ctx); ended {
			st.ended.Store(true)
			return err
		}
	}
	return nil
}

// run runs the camera until it is switched off. ended: it has come to its end without that.
func (st *station) run(ctx context.Context) (ended bool, err error) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	done := make(chan error, 1)
	go func() { done <- st.camera.Run(ctx) }()
	for {
		select {
		case err := <-done:
			return true, err
		case <-st.changed:
			if !st.on.Load() {
				stop()
				return false, <-done
			}
		}
	}
}
