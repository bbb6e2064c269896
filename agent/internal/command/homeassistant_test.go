package command_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"xbmedge/agent/internal/mqtt"
	"xbmedge/agent/internal/mqtt/brokertest"
	"xbmedge/internal/gallery"
)

func TestHomeAssistantCommands(t *testing.T) {
	broker := brokertest.Start(t, "127.0.0.1:0")
	dir := t.TempDir()
	g, err := gallery.New(gallery.Model{Name: "m", SHA256: strings.Repeat("0a", 32), Dim: 2})
	if err != nil {
		t.Fatal(err)
	}
	if err := g.Enroll("alice", "Alice", [][]float32{{1, 0}}); err != nil {
		t.Fatal(err)
	}
	if err := g.Save(filepath.Join(dir, "g.gallery")); err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(dir, "agent.yaml")
	text := "node: n\nstate_dir: " + dir + "\nmodel: {path: none}\ngallery: {path: " + filepath.Join(dir, "g.gallery") + "}\n" +
		"mqtt: {broker: '" + broker.URL() + "'}\ncameras: {c: {kind: test}}\n"
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := run(t, "ha", "print", "--config", config)
	if err != nil {
		t.Fatal(err)
	}
	var topics []string
	for line := range strings.Lines(out) {
		var m struct {
			Topic   string
			Payload map[string]any
		}
		if err := json.Unmarshal([]byte(line), &m); err != nil || m.Payload["cmps"] == nil {
			t.Fatalf("%q: %v", line, err)
		}
		topics = append(topics, m.Topic)
	}
	if len(topics) != 2 || !strings.Contains(out, `"Alice last seen"`) {
		t.Fatalf("printed %q", out)
	}
	for _, step := range []struct {
		command string
		said    string
		kept    int
	}{{"send", "announced", 2}, {"remove", "removed", 0}} {
		out, err := run(t, "ha", step.command, "--config", config)
		if err != nil {
			t.Fatal(err)
		}
		for _, topic := range topics {
			if !strings.Contains(out, step.said+" "+topic+"\n") {
				t.Errorf("ha %s says %q", step.command, out)
			}
		}
		if diff := cmp.Diff(step.kept, len(keptBy(t, broker.URL(), topics))); diff != "" {
			t.Errorf("messages kept after ha %s (-want +got):\n%s", step.command, diff)
		}
	}
	broker.Stop()
	if _, err := run(t, "ha", "send", "--config", config); err == nil || !strings.Contains(err.Error(), "mqtt.broker") {
		t.Errorf("without a broker: %v", err)
	}
}

// keptBy returns the topics of those that a broker keeps something on.
func keptBy(t *testing.T, url string, topics []string) (kept []string) {
	t.Helper()
	// What is kept comes soon after the subscription, in no order that the protocol promises beside what is published then.
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	ready := func() error {
		time.AfterFunc(500*time.Millisecond, stop)
		return nil
	}
	err := mqtt.Listen(ctx, mqtt.Config{Broker: url}, topics, slog.New(slog.DiscardHandler), ready, func(m mqtt.Message) bool {
		if m.Retained {
			kept = append(kept, m.Topic)
		}
		return true
	})
	if err != nil {
		t.Fatal(err)
	}
	return kept
}
