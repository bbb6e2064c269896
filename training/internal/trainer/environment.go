package trainer

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"syscall"
	"time"

	"xbmedge/internal/atomicfile"
)

// environmentFile says what a run was made with. It is written at the start and again by every Resume.
const environmentFile = "environment.json"

// Environment is what a run was made with, for whoever wants to repeat it.
type Environment struct {
	Started  time.Time         `json:"started"`
	Version  string            `json:"version"` // of xbm-train
	Commit   string            `json:"commit"`  // of its sources, with "+changes" where they were not committed; empty: not known
	Go       string            `json:"go"`
	Platform string            `json:"platform"`
	CPUs     int               `json:"cpus"` // that the program may use
	Engine   string            `json:"engine"`
	Modules  map[string]string `json:"modules"` // versions of what computes
	Seed     uint64            `json:"seed"`
	Photos   int               `json:"photos"`
	Classes  int               `json:"classes"`
	// Compatible is the older model whose galleries the network was trained to find its way in; nil for none.
	Compatible *OldModel `json:"compatible,omitempty"`
}

func (f *fitting) environment(version string) *Environment {
	classes := 0
	for _, l := range f.labels {
		classes = max(classes, l+1)
	}
	e := &Environment{
		Started: f.started.UTC(), Version: version, Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH,
		CPUs: runtime.GOMAXPROCS(0), Engine: f.cfg.Backend, Seed: f.cfg.Seed, Modules: map[string]string{},
		Photos: len(f.labels), Classes: classes, Compatible: f.oldRef,
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return e
	}
	changed := ""
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			e.Commit = s.Value
		case "vcs.modified":
			if s.Value == "true" {
				changed = "+changes"
			}
		}
	}
	if e.Commit != "" {
		e.Commit += changed
	}
	for _, m := range info.Deps {
		if strings.HasPrefix(m.Path, "github.com/gomlx/") || strings.HasSuffix(m.Path, "/go-tflite") {
			e.Modules[m.Path] = m.Version
		}
	}
	return e
}

func (f folder) writeEnvironment(e *Environment) error {
	return atomicfile.WriteJSON(f.path(environmentFile), 0o644, e)
}

// runLog is the log of a run, in its folder as well as where the program logs. What is logged before the folder exists
// is kept for it. It is safe for concurrent use.
type runLog struct {
	mu     sync.Mutex
	before bytes.Buffer
	file   *os.File // nil before open
}

// logFile holds the log of a run, all its starts one after another.
const logFile = "train.log"

func newRunLog(log *slog.Logger) (*runLog, *slog.Logger) {
	r := &runLog{}
	return r, slog.New(slog.NewMultiHandler(log.Handler(), slog.NewTextHandler(r, &slog.HandlerOptions{Level: slog.LevelDebug})))
}

func (r *runLog) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.file == nil {
		return r.before.Write(p)
	}
	return r.file.Write(p)
}

// open begins to write the log, and keeps other programs from the run until close: two that trained in one folder would
// mix up its checkpoints and metrics.
func (r *runLog) open(f folder) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	file, err := os.OpenFile(f.path(logFile), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644) //nolint:gosec // a run is meant to be read by others
	if err != nil {
		return fmt.Errorf("open the run's log: %w", err)
	}
	// The kernel lets go of the lock when the program ends, however it does. File systems that cannot lock do without.
	err = syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return errors.Join(fmt.Errorf("%s: another xbm-train is at work on this run: wait until it ends, or take another --out", f), file.Close())
	}
	if _, err := io.Copy(file, &r.before); err != nil {
		return errors.Join(fmt.Errorf("write the run's log: %w", err), file.Close())
	}
	r.file = file
	return nil
}

func (r *runLog) close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.file == nil {
		return nil
	}
	return r.file.Close()
}
