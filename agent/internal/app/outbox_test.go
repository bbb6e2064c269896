package app_test

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"xbmedge/agent/internal/app"
	"xbmedge/agent/internal/mqtt"
	"xbmedge/agent/internal/mqtt/brokertest"
	"xbmedge/agent/internal/outbox"
)

// Events that no broker took are told by the next start, before its own, and the numbers go on.
func TestEventsOutliveARestart(t *testing.T) {
	dir := t.TempDir()
	clip := film(t, dir, "....rrrrrrrrgggggggg"+strings.Repeat(".", 12))
	if err := os.WriteFile(filepath.Join(dir, "sequence.json"), []byte(`{"version":1,"next":501}`), 0o600); err != nil {
		t.Fatal(err) // of an agent of before the outbox
	}
	cfg, g := configuration(t, dir, "tcp://127.0.0.1:1", clip)
	cfg.MQTT.Drain = 50 * time.Millisecond
	away, err := app.New(cfg, parts(t, &colours{}, g))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := app.New(cfg, parts(t, &colours{}, g)); !errors.Is(err, outbox.ErrInUse) || !strings.Contains(err.Error(), "state_dir") {
		t.Errorf("a second agent in the same folder: %v", err)
	}
	if err := away.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if s := away.Summary(); s.Events != 4 || s.Unsent != 4 || s.Lost != 0 {
		t.Errorf("summary %+v; want 4 events, unsent", s)
	}
	broker := brokertest.Start(t, "127.0.0.1:0")
	wait := listenTo(t, broker.URL())
	if err := build(t, dir, broker.URL(), clip, &colours{}).Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	var seqs []uint64
	mono, boot := 0.0, ""
	for _, m := range wait() {
		var e mqtt.Match
		if !strings.HasSuffix(m.Topic, "/match") {
			continue
		}
		if err := json.Unmarshal(m.Payload, &e); err != nil {
			t.Fatal(err)
		}
		seqs = append(seqs, e.Seq)
		if e.Mono < mono || boot != "" && e.Boot != boot {
			t.Errorf("event %d: %v s after the start %q; the one before: %v s after %q", e.Seq, e.Mono, e.Boot, mono, boot)
		}
		mono, boot = e.Mono, e.Boot
	}
	if diff := cmp.Diff([]uint64{501, 502, 503, 504, 505, 506, 507, 508}, seqs); diff != "" {
		t.Errorf("numbers (-want +got):\n%s", diff)
	}
}

// A folder that is none costs the outbox, not the agent.
func TestNoOutbox(t *testing.T) {
	dir := t.TempDir()
	clip := film(t, dir, "rrrrrrrr....")
	if err := os.WriteFile(filepath.Join(dir, "outbox"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	broker := brokertest.Start(t, "127.0.0.1:0")
	a := build(t, dir, broker.URL(), clip, &colours{})
	if err := a.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if s := a.Summary(); s.Events != 2 || s.Unsent != 0 || !a.Stats().OutboxDegraded {
		t.Errorf("summary %+v; want 2 events, and the outbox degraded", s)
	}
}
