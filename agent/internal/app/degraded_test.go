package app_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"xbmedge/agent/internal/app"
	"xbmedge/agent/internal/mqtt"
	"xbmedge/agent/internal/mqtt/brokertest"
	"xbmedge/agent/internal/stats"
	"xbmedge/internal/vision"
)

// slow takes its time for each frame, so that a clip lasts.
type slow struct{ colours }

func (m *slow) Embed(dst []float32, f vision.Frame) error {
	time.Sleep(10 * time.Millisecond)
	return m.colours.Embed(dst, f)
}

// A state folder whose disk is full, or read-only from the start, costs nothing that is told: events come at once, in
// order, the agent says that it is degraded, and that it no longer is when the disk is back.
func TestDegraded(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("mounting a small tmpfs takes root")
	}
	mount := func(t *testing.T, args ...string) {
		t.Helper()
		if out, err := exec.Command("mount", args...).CombinedOutput(); err != nil {
			t.Skipf("mount: %v: %s", err, out)
		}
	}
	for _, tt := range []struct {
		name       string
		fail, mend func(t *testing.T, dir string)
		early      bool // it fails before the agent starts
	}{
		{"a full disk", func(t *testing.T, dir string) {
			if err := os.WriteFile(filepath.Join(dir, "filler"), make([]byte, 2<<20), 0o600); !errors.Is(err, syscall.ENOSPC) {
				t.Fatalf("not full: %v", err)
			}
		}, func(t *testing.T, dir string) {
			if err := os.Remove(filepath.Join(dir, "filler")); err != nil {
				t.Fatal(err)
			}
		}, false},
		{
			"a read-only folder", func(t *testing.T, dir string) { mount(t, "-o", "remount,ro", dir) },
			func(t *testing.T, dir string) { mount(t, "-o", "remount,rw", dir) }, true,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			mount(t, "-t", "tmpfs", "-o", "size=1m", "tmpfs", dir)
			defer func() {
				if out, err := exec.Command("umount", dir).CombinedOutput(); err != nil {
					t.Errorf("umount: %v: %s", err, out)
				}
			}()
			clip := film(t, t.TempDir(), strings.Repeat("rrrrrrrrgggggggg", 150))
			if tt.early {
				tt.fail(t, dir)
			}
			broker := brokertest.Start(t, "127.0.0.1:0")
			heard := hearAll(t, broker.URL())
			cfg, g := configuration(t, dir, broker.URL(), clip)
			cfg.MQTT.PublishEmbeddings, cfg.MQTT.PublishSnapshots = false, false
			a, err := app.New(cfg, parts(t, new(slow), g))
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan error, 1)
			go func() { done <- a.Run(ctx) }()
			heard.until(t, "an event", func(m mqtt.Message) bool { return strings.HasSuffix(m.Topic, "/match") })
			if !tt.early {
				tt.fail(t, dir)
			}
			heard.until(t, "the error", func(m mqtt.Message) bool {
				return m.Topic == "xbm/board-1/error" && strings.Contains(string(m.Payload), `"code":"outbox"`)
			})
			heard.until(t, "the state degraded", says(func(s *stats.Stats) bool { return slices.Equal(s.Degraded, []string{"outbox"}) && s.OutboxDegraded }))
			before := len(heard.seqs)
			for len(heard.seqs) < before+20 { // live, from memory
				heard.until(t, "events while it is degraded", func(m mqtt.Message) bool { return strings.HasSuffix(m.Topic, "/match") })
			}
			tt.mend(t, dir)
			heard.until(t, "its end", says(func(s *stats.Stats) bool { return len(s.Degraded) == 0 && !s.OutboxDegraded }))
			heard.until(t, "an event after it", func(m mqtt.Message) bool { return strings.HasSuffix(m.Topic, "/match") })
			cancel()
			if err := <-done; err != nil {
				t.Error(err)
			}
			heard.until(t, "the end", func(m mqtt.Message) bool { return m.Topic == "xbm/board-1/status" && string(m.Payload) == "offline" })
			for i, seq := range heard.seqs {
				if seq != heard.seqs[0]+uint64(i) {
					t.Fatalf("event %d comes after %d", seq, heard.seqs[i-1])
				}
			}
			if s := a.Summary(); s.Lost != 0 || s.Unsent != 0 || s.Failed != 0 || int(s.Events) != len(heard.seqs) {
				t.Errorf("%d events came, summary %+v", len(heard.seqs), s)
			}
			t.Logf("%d events, none lost", len(heard.seqs))
		})
	}
}

// listening takes all that an agent says, and notes the numbers of its events.
type listening struct {
	messages chan mqtt.Message
	seqs     []uint64
}

func hearAll(t *testing.T, url string) *listening {
	t.Helper()
	l := &listening{messages: make(chan mqtt.Message, 100_000)}
	ctx, cancel := context.WithCancel(context.Background())
	ready, done := make(chan struct{}), make(chan error, 1)
	go func() {
		done <- mqtt.Listen(ctx, mqtt.Config{Broker: url}, []string{"xbm/#"}, slog.New(slog.DiscardHandler), func() error {
			close(ready)
			return nil
		}, func(m mqtt.Message) bool {
			l.messages <- m
			return true
		})
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	select {
	case <-ready:
	case <-time.After(patience):
		t.Fatal("not subscribed")
	}
	return l
}

// until waits for a message, and holds all that come before it to the contract.
func (l *listening) until(t *testing.T, what string, is func(mqtt.Message) bool) {
	t.Helper()
	shapes := schemas(t)
	for late := time.After(patience); ; {
		select {
		case m := <-l.messages:
			valid(t, shapes, m)
			if strings.HasSuffix(m.Topic, "/match") {
				var e mqtt.Match
				if err := json.Unmarshal(m.Payload, &e); err != nil {
					t.Fatal(err)
				}
				l.seqs = append(l.seqs, e.Seq)
			}
			if is(m) {
				return
			}
		case <-late:
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

// says is a reading that is as wanted.
func says(want func(*stats.Stats) bool) func(mqtt.Message) bool {
	return func(m mqtt.Message) bool {
		var s stats.Stats
		return m.Topic == "xbm/board-1/stats" && json.Unmarshal(m.Payload, &s) == nil && want(&s)
	}
}
