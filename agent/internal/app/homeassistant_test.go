package app_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"xbmedge/agent/internal/app"
	"xbmedge/agent/internal/config"
	"xbmedge/agent/internal/mqtt"
	"xbmedge/agent/internal/mqtt/brokertest"
	"xbmedge/internal/gallery"
)

// hearing collects what is said on a broker's topics.
type hearing struct{ messages chan mqtt.Message }

func hear(t *testing.T, url, topic string) *hearing {
	t.Helper()
	h := &hearing{make(chan mqtt.Message, 1000)}
	ctx, cancel := context.WithCancel(context.Background())
	ready, done := make(chan struct{}), make(chan error, 1)
	go func() {
		done <- mqtt.Listen(ctx, mqtt.Config{Broker: url}, []string{topic}, slog.New(slog.DiscardHandler), func() error {
			close(ready)
			return nil
		}, func(m mqtt.Message) bool {
			h.messages <- m
			return true
		})
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
	<-ready
	return h
}

// next returns the next message of a topic with that in it.
func (h *hearing) next(t *testing.T, topic string) mqtt.Message {
	t.Helper()
	timeout := time.After(patience)
	for {
		select {
		case m := <-h.messages:
			if strings.Contains(m.Topic, topic) {
				return m
			}
		case <-timeout:
			t.Fatalf("nothing came on %s", topic)
		}
	}
}

// alive runs an agent until the returned function is called.
func alive(t *testing.T, cfg *config.Config, g *gallery.Gallery) (a *app.App, stop func()) {
	t.Helper()
	a, err := app.New(cfg, parts(t, &colours{}, g))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	return a, func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

// components returns those that a message announces; of what is taken away only the platform is left.
func components(t *testing.T, m mqtt.Message) (there, gone []string) {
	t.Helper()
	var d struct {
		Components map[string]map[string]any `json:"cmps"`
	}
	if err := json.Unmarshal(m.Payload, &d); err != nil {
		t.Fatalf("%s: %v", m.Topic, err)
	}
	for _, key := range slices.Sorted(maps.Keys(d.Components)) {
		if len(d.Components[key]) == 1 {
			gone = append(gone, key)
		} else if strings.HasPrefix(key, "seen_") {
			there = append(there, key)
		}
	}
	return there, gone
}

func TestHomeAssistantIsTold(t *testing.T) {
	broker := brokertest.Start(t, "127.0.0.1:0")
	cfg, g := configuration(t, t.TempDir(), broker.URL(), "")
	watched := cfg.Cameras["shelf"]
	watched.Kind, watched.Address, watched.Watch = "dir", t.TempDir(), true // without an end
	cfg.Cameras["shelf"] = watched
	cfg.MQTT.Commands = true
	home := hear(t, broker.URL(), "homeassistant/device/+/config")
	seen := hear(t, broker.URL(), "xbm/board-1/identity/#")
	a, stop := alive(t, cfg, g)
	check := func(what string, m mqtt.Message, there, gone []string) {
		t.Helper()
		gotThere, gotGone := components(t, m)
		if diff := cmp.Diff([][]string{there, gone}, [][]string{gotThere, gotGone}); diff != "" {
			t.Errorf("%s: sensors of things, and what is taken away (-want +got):\n%s", what, diff)
		}
	}
	node := home.next(t, "xbm_board-1_")
	check("at the start", node, []string{"seen_green-thing", "seen_red-thing", "seen_unknown"}, nil)
	for range cfg.Cameras {
		camera := home.next(t, "xbm_board-1_")
		for _, topic := range []string{"recognition/set", "threshold/set"} {
			if !strings.Contains(string(camera.Payload), topic) {
				t.Errorf("%s does not offer %s, though commands are taken", camera.Topic, topic)
			}
		}
	}

	fewer := g.Clone()
	if err := fewer.Remove("red-thing"); err != nil {
		t.Fatal(err)
	}
	if err := a.SetGallery(fewer); err != nil {
		t.Fatal(err)
	}
	check("a thing is removed", home.next(t, node.Topic), []string{"seen_green-thing", "seen_unknown"}, []string{"seen_red-thing"})
	for range 2 {
		if m := seen.next(t, "identity/red-thing/"); len(m.Payload) != 0 {
			t.Errorf("%s is %s after its thing was removed", m.Topic, m.Payload)
		}
	}

	broker.Publish(t, "homeassistant/status", false, []byte("online")) // Home Assistant starts: all is said again
	check("Home Assistant starts", home.next(t, node.Topic), []string{"seen_green-thing", "seen_unknown"}, []string{"seen_red-thing"})
	stop()

	// While the agent is away, a camera and a thing go.
	none := fewer.Clone()
	if err := none.Remove("green-thing"); err != nil {
		t.Fatal(err)
	}
	delete(cfg.Cameras, "attic")
	again := hear(t, broker.URL(), "homeassistant/device/+/config")
	for range 3 {
		again.next(t, "xbm_board-1_") // what was kept
	}
	_, stop = alive(t, cfg, none)
	check("removed at rest", again.next(t, node.Topic), []string{"seen_unknown"}, []string{"seen_green-thing", "seen_red-thing"})
	for {
		if m := again.next(t, "attic"); len(m.Payload) == 0 {
			break
		}
	}
	stop()

	cfg.HomeAssistant.Enabled = false
	_, stop = alive(t, cfg, none)
	for _, topic := range []string{"board-1", "board-1"} {
		if m := again.next(t, topic); len(m.Payload) != 0 {
			t.Errorf("switched off, %s is %s", m.Topic, m.Payload)
		}
	}
	stop()
}
