// Package health knows which of the agent's stages are alive. A stage is a loop of one goroutine: a camera's capture,
// its recognition, the connection to the broker. It beats once a turn, and a turn is bounded, so a stage that has not
// beaten for long hangs: inside a driver, a library or a lock, where nothing but a restart helps.
package health

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Monitor watches stages. The zero value is ready; its methods may be called from any goroutine.
type Monitor struct {
	mu     sync.Mutex
	stages []*Stage
}

// Stage is one watched loop, which must End when the loop does.
type Stage struct {
	monitor *Monitor
	name    string
	started time.Time
	last    atomic.Int64 // of the latest beat, since started: monotonic, so a clock that is set changes nothing
}

// Stage begins to watch a loop, as if it had just beaten.
func (m *Monitor) Stage(name string) *Stage {
	s := &Stage{monitor: m, name: name, started: time.Now()}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.stages = append(m.stages, s)
	return s
}

// Beat says that the loop has made another turn. It allocates nothing.
func (s *Stage) Beat() { s.last.Store(int64(time.Since(s.started))) }

// End says that the loop has ended as it should.
func (s *Stage) End() {
	s.monitor.mu.Lock()
	defer s.monitor.mu.Unlock()
	s.monitor.stages = slices.DeleteFunc(s.monitor.stages, func(o *Stage) bool { return o == s })
}

// Hung returns the names of the stages that have not beaten for longer than limit.
func (m *Monitor) Hung(limit time.Duration) []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	var hung []string
	for _, s := range m.stages {
		if s.silent() > limit {
			hung = append(hung, s.name)
		}
	}
	return hung
}

// State is how a stage is.
type State struct {
	Name   string
	Silent time.Duration // since its latest beat
}

// States returns all stages, in the order in which they began.
func (m *Monitor) States() []State {
	m.mu.Lock()
	defer m.mu.Unlock()
	states := make([]State, 0, len(m.stages))
	for _, s := range m.stages {
		states = append(states, State{s.name, s.silent()})
	}
	return states
}

// silent returns how long ago the latest beat was.
func (s *Stage) silent() time.Duration { return time.Since(s.started) - time.Duration(s.last.Load()) }
