package app_test

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"xbmedge/agent/internal/app"
	"xbmedge/agent/internal/board"
	"xbmedge/internal/vision"
)

// serviceManager stands in for systemd: it sets the environment of a service with a watchdog and returns a function that
// waits so long and returns the notifications that came meanwhile. The socket holds ten and then makes the agent wait, so
// nothing else may let time pass.
func serviceManager(t *testing.T, watchdog time.Duration) (wait func(time.Duration) []string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "notify")
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_DGRAM, 0)
	if err == nil {
		err = syscall.Bind(fd, &syscall.SockaddrUnix{Name: path})
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Close(fd) })
	t.Setenv("NOTIFY_SOCKET", path)
	t.Setenv("WATCHDOG_USEC", strconv.FormatInt(watchdog.Microseconds(), 10))
	t.Setenv("WATCHDOG_PID", "")
	return func(d time.Duration) []string {
		var got []string
		buffer := make([]byte, 4096)
		for until := time.Now().Add(d); ; time.Sleep(100 * time.Millisecond) {
			n, _, err := syscall.Recvfrom(fd, buffer, syscall.MSG_DONTWAIT)
			for ; err == nil; n, _, err = syscall.Recvfrom(fd, buffer, syscall.MSG_DONTWAIT) {
				got = append(got, string(buffer[:n]))
			}
			if !time.Now().Before(until) {
				return got
			}
		}
	}
}

// blocking is a model that hangs from a frame on, until it is let go.
type blocking struct {
	colours
	after int
	hung  chan struct{} // closed when it hangs
	free  chan struct{}
}

func (b *blocking) Embed(dst []float32, f vision.Frame) error {
	if b.frames == b.after {
		close(b.hung)
		<-b.free
	}
	time.Sleep(100 * time.Millisecond)
	return b.colours.Embed(dst, f)
}

// A hung stage is told to the service manager in less than the watchdog's time, and one that only works slowly is not.
func TestWatchdog(t *testing.T) {
	const watchdog = 30 * time.Second
	wait := serviceManager(t, watchdog)
	dir := t.TempDir()
	clip := film(t, dir, strings.Repeat("r", 400))
	synctest.Test(t, func(t *testing.T) {
		model := &blocking{after: 100, hung: make(chan struct{}), free: make(chan struct{})}
		a := build(t, dir, "tcp://127.0.0.1:1", clip, model)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- a.Run(ctx) }()
		before := wait(9 * time.Second)
		if !slices.Contains(before, "READY=1") || slices.Contains(before, "WATCHDOG=trigger") || count(before, "WATCHDOG=1") < 8 {
			t.Errorf("notifications before it hangs: %q", before)
		}
		for hung := false; !hung; wait(100 * time.Millisecond) {
			select {
			case <-model.hung:
				hung = true
			default:
			}
		}
		since := time.Now()
		for !slices.Contains(wait(100*time.Millisecond), "WATCHDOG=trigger") {
			if time.Since(since) > watchdog {
				t.Fatal("no word of the hung stage within the watchdog's time")
			}
		}
		t.Logf("told after %v", time.Since(since))
		if got := wait(10 * time.Second); slices.Contains(got, "WATCHDOG=1") || slices.Contains(got, "WATCHDOG=trigger") {
			t.Errorf("while it hangs: %q", got)
		}
		close(model.free)
		if got := wait(10 * time.Second); count(got, "WATCHDOG=1") < 8 {
			t.Errorf("when it goes on: %q", got)
		}
		cancel()
		if got := wait(10 * time.Second); !slices.Contains(got, "STOPPING=1") {
			t.Errorf("at the end: %q", got)
		}
		<-done // the events of an agent without a broker are left unsent: not of interest here
	})
}

// A camera that is not there delays the start, and does not prevent it.
func TestReadyWithoutACamera(t *testing.T) {
	wait := serviceManager(t, 30*time.Second)
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		model := &blocking{after: 0, hung: make(chan struct{}), free: make(chan struct{})}
		a := build(t, dir, "tcp://127.0.0.1:1", film(t, dir, "rrrr"), model)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- a.Run(ctx) }()
		if got := wait(9 * time.Second); slices.Contains(got, "READY=1") {
			t.Errorf("ready before the first frame: %q", got)
		}
		got := wait(5 * time.Second)
		if !slices.Contains(got, "READY=1") || !slices.ContainsFunc(got, func(s string) bool {
			return strings.HasPrefix(s, "STATUS=degraded: no frames from shelf")
		}) {
			t.Errorf("after the grace: %q", got)
		}
		close(model.free)
		cancel()
		wait(10 * time.Second)
		<-done
	})
}

// The readings are published, once there is something to say, and say what happened.
func TestStats(t *testing.T) {
	wait := serviceManager(t, 30*time.Second)
	dir := t.TempDir()
	hot := t.TempDir()
	zone := filepath.Join(hot, "sys/class/thermal/thermal_zone0")
	if err := os.MkdirAll(zone, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(zone, "temp"), []byte("81500"), 0o600); err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		cfg, g := configuration(t, dir, "tcp://127.0.0.1:1", film(t, dir, strings.Repeat("r", 400)))
		p := parts(t, &blocking{after: 1000}, g)
		p.Board = board.New(hot)
		a, err := app.New(cfg, p)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- a.Run(ctx) }()
		got := wait(25 * time.Second)
		s := a.Stats()
		text, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
		if err == nil {
			err = schemas(t)["stats"].Validate(doc)
		}
		if err != nil {
			t.Errorf("%v\n%s", err, text)
		}
		cam := s.Cameras["shelf"]
		if s.FPS < 9 || s.FPS > 11 || cam.FPS != s.FPS || cam.Frames < 200 || !cam.Online || cam.EmbedP50 < 100 || s.EmbedP95 < 100 ||
			s.Temperature == nil || *s.Temperature != 81.5 || s.Connected || s.Queue == 0 || s.Uptime != 25 {
			t.Errorf("after 25 s at ten frames a second, hot, without a broker: %s", text)
		}
		if s.Share > 0.5 {
			t.Errorf("share %v after 25 s at 81.5 °C", s.Share)
		}
		if !slices.ContainsFunc(got, func(line string) bool { return strings.Contains(line, "too hot or short of power") }) {
			t.Errorf("the status does not tell of the heat: %q", got)
		}
		cancel()
		wait(10 * time.Second)
		<-done
	})
}

func count(list []string, s string) (n int) {
	for _, o := range list {
		if o == s {
			n++
		}
	}
	return n
}
