package app_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"xbmedge/agent/internal/app"
	"xbmedge/agent/internal/mqtt"
	"xbmedge/agent/internal/mqtt/brokertest"
	"xbmedge/internal/vision"
)

// told is a model that says when it has seen a number of frames, and is closed to use after that.
type told struct {
	colours
	t       *testing.T
	at      int
	reached chan struct{}
	closed  chan struct{}
}

func (m *told) Embed(dst []float32, f vision.Frame) error {
	select {
	case <-m.closed:
		m.t.Error("the old model was used after the reload")
	default:
	}
	if m.frames == m.at {
		close(m.reached)
	}
	if m.frames >= m.at {
		<-time.After(5 * time.Millisecond) // the reload comes in the middle of the clip
	}
	return m.colours.Embed(dst, f)
}

func TestReload(t *testing.T) {
	broker := brokertest.Start(t, "127.0.0.1:0")
	wait := listenTo(t, broker.URL())
	dir := t.TempDir()
	cfg, g := configuration(t, dir, broker.URL(), film(t, t.TempDir(), strings.Repeat("r", 600)))
	old := &told{t: t, at: 20, reached: make(chan struct{}), closed: make(chan struct{})}
	a, err := app.New(cfg, parts(t, old, g))
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- a.Run(context.Background()) }()
	<-old.reached

	refused, _ := configuration(t, dir, "tcp://elsewhere:1883", "")
	if err := a.Reload(t.Context(), refused, parts(t, &colours{}, g)); err == nil || !strings.Contains(err.Error(), "mqtt changed") {
		t.Errorf("another broker: %v", err)
	}
	next, other := configuration(t, dir, broker.URL(), film(t, t.TempDir(), "rrrrrrgggggg"))
	if err := other.Remove("red-thing"); err != nil {
		t.Fatal(err)
	}
	if err := other.Enroll("crimson", "Crimson", [][]float32{{1, 0, 0}}); err != nil {
		t.Fatal(err)
	}
	if err := a.Reload(t.Context(), next, parts(t, &colours{}, other)); err != nil {
		t.Fatal(err)
	}
	close(old.closed)
	if err := <-done; err != nil { // the second clip has come to its end
		t.Fatal(err)
	}
	var story, status []string
	for _, m := range wait() {
		switch m.Topic {
		case "xbm/board-1/status":
			status = append(status, string(m.Payload))
		case "xbm/board-1/shelf/match":
			var e mqtt.Match
			if err := json.Unmarshal(m.Payload, &e); err != nil {
				t.Fatal(err)
			}
			story = append(story, e.Type+" "+e.Identity.ID)
		}
	}
	if diff := cmp.Diff([]string{"new red-thing", "end red-thing", "new crimson", "end crimson", "new green-thing", "end green-thing"}, story); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"online", "offline"}, status); diff != "" {
		t.Errorf("the connection to the broker (-want +got):\n%s", diff)
	}
	if s := a.Summary(); s.Frames >= 600 || s.Frames < 32 || s.Events != 6 {
		t.Errorf("summary %+v", s)
	}
}
