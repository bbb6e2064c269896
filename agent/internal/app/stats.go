package app

import (
	"encoding/json"
	"runtime"
	"time"

	"xbmedge/agent/internal/pipeline"
	"xbmedge/agent/internal/stats"
)

// measure notes how far each camera is, once a turn.
func (a *App) measure() {
	now := map[string]uint64{}
	for id, c := range a.atWork().byID {
		now[id] = c.Stats().Processed
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	keep := int(fpsWindow*time.Second/a.view.turn) + 1
	a.view.processed = append(a.view.processed, now)
	if n := len(a.view.processed); n > keep {
		a.view.processed = a.view.processed[n-keep:]
	}
}

// fps returns a camera's frames per second over the window. The caller holds the lock.
func (v *view) fps(id string) float64 {
	if len(v.processed) < 2 {
		return 0
	}
	first, last := v.processed[0], v.processed[len(v.processed)-1]
	if last[id] < first[id] { // another set of cameras
		return 0
	}
	return float64(last[id]-first[id]) / (float64(len(v.processed)-1) * v.turn.Seconds())
}

// Stats returns a reading of the agent's health; it may be called from any goroutine while Run works.
func (a *App) Stats() stats.Stats {
	set, m, now := a.atWork(), a.client.Stats(), time.Now()
	a.mu.Lock()
	v := a.view
	v.processed = append([]map[string]uint64(nil), v.processed...)
	degraded := append([]string{}, v.degraded...)
	a.mu.Unlock()
	s := stats.Stats{
		Schema: stats.Schema, Node: a.cfg.Node, TS: float64(now.UnixMilli()) / 1000, Uptime: float64(int(now.Sub(v.started).Seconds())),
		RSS: a.parts.Board.RSS(), Goroutines: runtime.NumGoroutine(), OpenFiles: a.parts.Board.OpenFiles(), Throttled: v.throttling.Slowed, UnderVoltage: v.throttling.UnderVoltage, Share: v.share,
		Degraded: degraded, Connected: m.Connected, Broker: m.Broker, BrokerNumber: m.BrokerNumber, Queue: m.Queued, Dropped: m.DroppedEvents, DroppedSamples: m.DroppedSamples,
		Cameras: map[string]stats.Camera{},
	}
	if g := set.gallery.Load(); g != nil {
		s.GalleryThings, s.GalleryEmbeddings = len(g.Entries()), g.Len()
	}
	if a.outbox != nil {
		o := a.outbox.Stats()
		s.OutboxBytes, s.OutboxDegraded, s.OutboxDamaged = o.Bytes, o.Degraded || o.Resting, o.Damaged
		s.OutboxWritten, s.OutboxToday, s.OutboxSyncs = o.BytesWritten, o.BytesToday, o.Syncs+o.FolderSyncs
	} else {
		s.OutboxDegraded = true
	}
	if m.Connects > 0 {
		s.Reconnects = m.Connects - 1
	}
	if v.heatKnown {
		s.Temperature = &v.heat
	}
	for id, camera := range set.on() {
		n := camera.Stats()
		c := stats.Camera{
			Online: n.Online, FPS: round(v.fps(id)), Frames: n.Processed, Skipped: n.Dropped + set.counts[id].Dropped.Load(), Failed: n.Failed, Events: n.Events,
			EmbedP50: milliseconds(n.EmbedP50), EmbedP95: milliseconds(n.EmbedP95),
			Still: n.Still, Moving: n.Moving, Covered: n.Covered, Coverage: coverage(n),
			Blurred: n.Blurred, Small: n.Small, Exposed: n.Exposed,
		}
		s.Cameras[id] = c
		s.FPS = round(s.FPS + c.FPS)
		s.EmbedP50, s.EmbedP95 = max(s.EmbedP50, c.EmbedP50), max(s.EmbedP95, c.EmbedP95)
	}
	return s
}

func (a *App) publishStats() {
	if payload, err := json.Marshal(a.Stats()); err == nil { // plain values: cannot fail
		a.client.Sample(a.topics.Stats(), payload)
	}
}

// coverage is the share of the frames with movement that the model saw.
func coverage(n pipeline.Stats) float64 {
	if n.Moving == 0 {
		return 1
	}
	return float64(int(1000*float64(n.Covered)/float64(n.Moving)+0.5)) / 1000
}

func round(x float64) float64 { return float64(int(10*x+0.5)) / 10 }

func milliseconds(d time.Duration) float64 { return round(float64(d.Microseconds()) / 1000) }
