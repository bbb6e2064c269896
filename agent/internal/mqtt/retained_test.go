package mqtt_test

import (
	"bytes"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"xbmedge/agent/internal/clock"
	"xbmedge/agent/internal/mqtt"
	"xbmedge/agent/internal/mqtt/brokertest"
	"xbmedge/agent/internal/pipeline"
	"xbmedge/internal/gallery"
	"xbmedge/internal/vision"
)

// kept returns what a broker keeps on topics, which have to be there.
func kept(t *testing.T, url string, topics ...string) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, topic := range topics {
		m := subscribe(t, url, topic).until(t, func(mqtt.Message) bool { return true })[0]
		if !m.Retained {
			t.Errorf("%s is not retained", m.Topic)
		}
		out[m.Topic] = string(m.Payload)
	}
	return out
}

func TestRestateSaysAllAgain(t *testing.T) {
	noLeaks(t)
	broker := brokertest.Start(t, "127.0.0.1:0")
	sub := subscribe(t, broker.URL(), "b/#")
	c, stop := start(t, fast(broker.URL()), mqtt.NewMemoryOutbox(10, 1))
	c.State("b/n/c/state", []byte("s"))
	c.Picture("b/n/c/snapshot", []byte("p"))
	sub.until(t, is("b/n/c/snapshot", "p"))
	c.Restate()
	got := sub.until(t, is("b/n/c/snapshot", "p"))
	for topic, want := range map[string]string{"b/n/status": "online", "b/n/c/state": "s"} {
		if diff := cmp.Diff([]string{want}, events(got, topic)); diff != "" {
			t.Errorf("%s, said again (-want +got):\n%s", topic, diff)
		}
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"b/n/c/state": "s", "b/n/c/snapshot": "p", "b/n/status": "offline"}
	if diff := cmp.Diff(want, kept(t, broker.URL(), "b/n/c/state", "b/n/c/snapshot", "b/n/status")); diff != "" {
		t.Errorf("kept (-want +got):\n%s", diff)
	}
}

// What is cleared is cleared at the broker, once, also where that was away, and can be set again.
func TestClear(t *testing.T) {
	noLeaks(t)
	cable, sub, c, stop := wired(t, mqtt.NewMemoryOutbox(10, 1))
	c.State("b/n/x", []byte("1"))
	c.State("b/n/y", []byte("1"))
	sub.until(t, is("b/n/y", "1"))
	gone := make(chan string, 10)
	cable.Mute(true) // the broker's word does not come
	c.Clear("b/n/x", func() { gone <- "x" })
	c.Clear("b/n/y", func() { gone <- "y" })
	c.State("b/n/y", []byte("2")) // not gone after all
	cable.Mute(false)
	cable.Cut()
	sub.until(t, is("b/n/y", "2"))
	select {
	case topic := <-gone:
		if topic != "x" {
			t.Errorf("%s is gone", topic)
		}
	case <-time.After(patience):
		t.Fatal("the broker's word was not passed on")
	}
	c.Restate()
	if again := events(sub.until(t, is("b/n/y", "2")), "b/n/x"); len(again) != 0 {
		t.Errorf("cleared again: %q", again)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if len(gone) != 0 {
		t.Errorf("also gone: %s", <-gone)
	}
}

func TestRetain(t *testing.T) {
	broker := brokertest.Start(t, "127.0.0.1:0")
	cfg := mqtt.Config{Broker: broker.URL()}
	if err := mqtt.Retain(t.Context(), cfg, []mqtt.Message{{Topic: "a/b", Payload: []byte("1")}, {Topic: "a/c", Payload: []byte("2")}}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]string{"a/b": "1", "a/c": "2"}, kept(t, broker.URL(), "a/b", "a/c")); diff != "" {
		t.Errorf("kept (-want +got):\n%s", diff)
	}
	broker.Stop()
	if err := mqtt.Retain(t.Context(), cfg, nil); err == nil {
		t.Error("no error without a broker")
	}
}

// sent takes what a publisher sends.
type sent struct{ states, pictures map[string][]byte }

func (s *sent) Event(_ string, encode func(uint64) ([]byte, error)) error {
	_, err := encode(1)
	return err
}
func (s *sent) State(topic string, payload []byte)   { s.states[topic] = payload }
func (s *sent) Picture(topic string, payload []byte) { s.pictures[topic] = payload }
func (*sent) Sample(string, []byte) bool             { return true }

func TestSnapshots(t *testing.T) {
	g, err := gallery.New(gallery.Model{Name: "m", SHA256: "0a0a0a", Dim: 2})
	if err != nil {
		t.Fatal(err)
	}
	if err := g.Enroll("alice", "Alice", [][]float32{{1, 0}}); err != nil {
		t.Fatal(err)
	}
	noise := vision.NewFrame(1920, 1080) // compresses worst
	random := rand.New(rand.NewPCG(1, 2))
	for i := range noise.Pix {
		noise.Pix[i] = byte(random.Uint32())
	}
	small := vision.NewFrame(96, 64)
	alice, bob, stranger := gallery.Identity{ID: "alice", Name: "Alice"}, gallery.Identity{ID: "bob", Name: "Bob"}, gallery.Identity{ID: "unknown-3", Name: "unknown-3"}
	tests := []struct {
		name     string
		off      bool
		event    pipeline.Event
		identity string // whose topic
		size     [2]int // of the pictures, 0 for none
	}{
		{"small", false, pipeline.Event{Type: pipeline.TrackNew, Known: true, Identity: alice, Picture: small}, "alice", [2]int{96, 64}},
		{"large", false, pipeline.Event{Type: pipeline.TrackNew, Known: true, Identity: alice, Picture: noise}, "alice", [2]int{480, 270}},
		{"stranger", false, pipeline.Event{Type: pipeline.TrackNew, Identity: stranger, Picture: small}, "unknown", [2]int{96, 64}},
		{"end", false, pipeline.Event{Type: pipeline.TrackEnd, Known: true, Identity: alice}, "alice", [2]int{}},
		{"off", true, pipeline.Event{Type: pipeline.TrackNew, Known: true, Identity: alice, Picture: small}, "alice", [2]int{}},
		{"no longer enrolled", false, pipeline.Event{Type: pipeline.TrackUpdate, Known: true, Identity: bob, Picture: small}, "", [2]int{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			out := &sent{map[string][]byte{}, map[string][]byte{}}
			p := mqtt.NewPublisher(mqtt.Topics{Base: "b", Node: "n"}, out, clock.New(), g, "int8", !tt.off)
			tt.event.Camera = "c"
			if err := p.Event(&tt.event); err != nil {
				t.Fatal(err)
			}
			if _, there := out.states["b/n/identity/"+tt.identity+"/state"]; there != (tt.identity != "") {
				t.Errorf("states %q", out.states)
			}
			if tt.size == ([2]int{}) {
				if len(out.pictures) != 0 {
					t.Errorf("%d pictures, want none", len(out.pictures))
				}
				return
			}
			for _, topic := range []string{"b/n/c/snapshot", "b/n/identity/" + tt.identity + "/snapshot"} {
				data := out.pictures[topic]
				f, err := vision.Decode(bytes.NewReader(data))
				if err != nil || f.Width != tt.size[0] || f.Height != tt.size[1] || len(data) > mqtt.MaxSnapshot {
					t.Errorf("%s: %v, %d×%d, %d bytes; want %v in at most %d bytes", topic, err, f.Width, f.Height, len(data), tt.size, mqtt.MaxSnapshot)
				}
			}
		})
	}
}
