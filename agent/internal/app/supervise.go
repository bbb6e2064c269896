package app

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"xbmedge/agent/internal/board"
	"xbmedge/agent/internal/mqtt"
)

const (
	// grace is how long a camera or a clip may take to its first frame before the start counts as done without it.
	grace = 10 * time.Second
	// patience is how long a stage may be silent when no watchdog says.
	patience     = 30 * time.Second
	governEvery  = 5 * time.Second
	statsEvery   = time.Minute
	statusEvery  = 10 * time.Second
	soon         = 5 * time.Second
	fpsWindow    = 10 // turns of a second
	maxTurn      = time.Second
	turnsPerFeed = 20 // of the watchdog's time
)

// view is what the supervisor has seen; other goroutines read it for Stats.
type view struct {
	started    time.Time
	heat       float64
	heatKnown  bool
	throttling board.Throttling
	share      float64
	processed  []map[string]uint64 // frames by camera, of the latest turns
	turn       time.Duration
	degraded   []string // codes of what is wrong, sorted
}

// supervise looks after the agent once a turn until ctx ends: it feeds the service manager's watchdog while every stage
// is alive, says when the start is over, measures, and lets a hot board rest.
func (a *App) supervise(ctx context.Context, started time.Time) {
	manager := a.parts.Manager
	limit, turn := patience, maxTurn
	if w := manager.WatchdogTime(); w > 0 {
		// A hung stage is noticed after two thirds of the watchdog's time: there is a third left to say which it is.
		limit, turn = w*2/3, min(maxTurn, w/turnsPerFeed)
	}
	a.mu.Lock()
	a.view.started, a.view.turn = started, turn
	a.mu.Unlock()
	s := supervisor{app: a, governor: board.NewGovernor(board.Limits{Temperature: a.cfg.Thermal.Limit, LeastShare: a.cfg.Thermal.MinShare})}
	ticker := time.NewTicker(turn)
	defer ticker.Stop()
	for {
		if hung := a.health.Hung(limit); len(hung) == 0 {
			manager.Alive()
			s.complained = false
		} else if !s.complained {
			s.complained = true
			a.fault(mqtt.FaultHung, "a stage hangs: "+strings.Join(hung, ", "), "")
			a.log.Error("a stage hangs; the watchdog is no longer fed", "stages", strings.Join(hung, ", "), "silent_for", limit)
			manager.Hung()
		}
		a.measure()
		s.look(time.Now())
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

// supervisor holds what supervise remembers from turn to turn.
type supervisor struct {
	app                        *App
	governor                   *board.Governor
	ready, complained          bool
	governed, told, statusTold time.Time
	status                     string
	connects                   uint64          // to the broker, when it was looked at last
	faulty                     map[string]bool // cameras, and the outbox as "", that were told to be
}

// look does what is due.
func (s *supervisor) look(now time.Time) {
	a := s.app
	if now.Sub(s.governed) >= governEvery {
		s.governed = now
		s.govern()
	}
	missing := a.missing()
	if !s.ready && (len(missing) == 0 || now.Sub(a.view.started) >= grace) {
		s.ready = true
		a.parts.Manager.Ready()
		if len(missing) > 0 {
			a.log.Warn("ready, but degraded: still no frames", "cameras", strings.Join(missing, ", "))
		} else {
			a.log.Info("ready", "after", now.Sub(a.view.started).Round(time.Millisecond))
		}
	}
	if s.ready {
		s.tellFaults(missing)
		if s.degraded(missing) { // say it now
			s.told, s.statusTold = now, time.Time{}
			a.publishStats()
		}
	}
	if s.ready && now.Sub(s.statusTold) >= statusEvery {
		s.statusTold = now
		if text := a.status(missing); text != s.status {
			s.status = text
			a.parts.Manager.Status(text)
		}
	}
	if connects := a.client.Stats().Connects; a.tellSoon.Swap(false) || connects != s.connects {
		// Who has just begun to listen is given the time to hear what the reading means.
		s.connects, s.told = connects, now.Add(soon-statsEvery)
	}
	if now.Sub(s.told) >= statsEvery && now.Sub(a.view.started) >= statusEvery {
		s.told = now
		a.publishStats()
	}
}

// tellFaults tells over the broker of a camera that gives no frames any more, and of an outbox that writes none.
func (s *supervisor) tellFaults(missing []string) {
	a, before := s.app, s.faulty
	s.faulty = map[string]bool{}
	for _, id := range missing {
		if s.faulty[id] = true; !before[id] {
			a.fault(mqtt.FaultCamera, "no frames", id)
		}
	}
	if a.inMemory() {
		if s.faulty[""] = true; !before[""] {
			a.fault(mqtt.FaultOutbox, "events wait in memory: the state folder's disk is full, read-only or broken; a power cut loses them", "")
		}
	}
}

// inMemory reports whether events wait in memory, since the disk takes none.
func (a *App) inMemory() bool { return a.outbox == nil || a.outbox.Stats().Degraded }

// degraded notes what is wrong now, as codes of faults, and reports whether that has changed.
func (s *supervisor) degraded(missing []string) (changed bool) {
	a, codes := s.app, []string{}
	if len(missing) > 0 {
		codes = append(codes, mqtt.FaultCamera)
	}
	if s.complained {
		codes = append(codes, mqtt.FaultHung)
	}
	if a.inMemory() {
		codes = append(codes, mqtt.FaultOutbox)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.view.share < 1 {
		codes = append(codes, mqtt.FaultThrottle)
	}
	changed = !slices.Equal(codes, a.view.degraded)
	a.view.degraded = codes
	return changed
}

// govern reads the board's heat and sets the share of frames that are looked at. It says what it changes.
func (s *supervisor) govern() {
	a := s.app
	celsius, known := a.parts.Board.Temperature()
	throttling := a.parts.Board.Throttling()
	share := s.governor.Step(celsius, known, throttling)
	for _, c := range a.atWork().byID {
		c.SetShare(share)
	}
	a.mu.Lock()
	before := a.view.share
	a.view.heat, a.view.heatKnown, a.view.throttling, a.view.share = celsius, known, throttling, share
	a.mu.Unlock()
	facts := []any{"share", share, "celsius", celsius, "under_voltage", throttling.UnderVoltage, "slowed", throttling.Slowed}
	switch {
	case share < before:
		a.fault(mqtt.FaultThrottle, fmt.Sprintf("too hot or short of power: %.0f %% of the frames are looked at", 100*share), "")
		a.log.Warn("the board is too hot or lacks power: looking at fewer frames", facts...)
	case share > before:
		a.log.Info("the board has recovered: looking at more frames", facts...)
	default:
		return
	}
	s.told, s.statusTold = time.Time{}, time.Time{} // say it now
}

// missing returns the cameras that give no frames, sorted.
func (a *App) missing() []string {
	var missing []string
	for id, c := range a.atWork().on() {
		if n := c.Stats(); n.Processed == 0 || !n.Online {
			missing = append(missing, id)
		}
	}
	slices.Sort(missing)
	return missing
}

// status is one line for people.
func (a *App) status(missing []string) string {
	s := a.Stats()
	var parts []string
	if len(missing) > 0 {
		parts = append(parts, "degraded: no frames from "+strings.Join(missing, ", "))
	}
	if a.inMemory() {
		parts = append(parts, "degraded: the disk takes no events, they wait in memory")
	}
	parts = append(parts, fmt.Sprintf("%d of %d cameras, %.1f frames/s", len(s.Cameras)-len(missing), len(s.Cameras), s.FPS))
	if s.Connected {
		parts = append(parts, "broker connected")
	} else {
		parts = append(parts, fmt.Sprintf("broker away, %d events wait", s.Queue))
	}
	if s.Share < 1 {
		parts = append(parts, fmt.Sprintf("too hot or short of power: %.0f %% of the frames", 100*s.Share))
	}
	return strings.Join(parts, "; ")
}
