package mqtt_test

import (
	"encoding/json"
	"io/fs"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"xbmedge/agent/internal/mqtt"
	"xbmedge/agent/internal/mqtt/brokertest"
)

// What comes on the client's topics reaches it, also after a broken connection, and its answers reach who asked.
func TestSubscribesAfterEachConnect(t *testing.T) {
	noLeaks(t)
	broker := brokertest.Start(t, "127.0.0.1:0")
	cable := brokertest.NewCable(t, broker.Addr)
	sub := subscribe(t, broker.URL(), "b/#")
	got := make(chan mqtt.Message, 100)
	cfg := fast("tcp://" + cable.Addr)
	cfg.Subscribe = []string{"b/n/gallery/set", "b/n/+/+/set"}
	cfg.Receive = func(m mqtt.Message) { got <- m }
	c, stop := start(t, cfg, mqtt.NewMemoryOutbox(10, 1))
	for i, topic := range []string{"b/n/gallery/set", "b/n/shelf/recognition/set", "b/n/gallery/set"} {
		if i > 0 {
			cable.Cut()
		}
		sub.until(t, is("b/n/status", "online"))
		broker.Publish(t, topic, false, []byte("x"))
		if m := <-got; m.Topic != topic || m.Retained {
			t.Errorf("%+v, want one of %s", m, topic)
		}
		c.Notice("b/n/gallery/reply", []byte("y"))
		if m := sub.until(t, is("b/n/gallery/reply", "y")); m[len(m)-1].Retained {
			t.Error("an answer is retained")
		}
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
	broker.Stop()
}

// Answers are not kept without end.
func TestNoticesAreBounded(t *testing.T) {
	c, err := mqtt.New(fast("tcp://127.0.0.1:1"), mqtt.NewMemoryOutbox(10, 1), quiet())
	if err != nil {
		t.Fatal(err)
	}
	taken := 0
	for range 1000 {
		if c.Notice("b/n/error", []byte("x")) {
			taken++
		}
	}
	if taken != 64 || c.Stats().DroppedSamples != 1000-64 {
		t.Errorf("%d taken, %d dropped", taken, c.Stats().DroppedSamples)
	}
}

func TestTopicsOfCommands(t *testing.T) {
	topics := mqtt.Topics{Base: "home/xbm", Node: "n"}
	for topic, want := range map[string][3]string{
		"home/xbm/n/gallery/set":           {"", "", "true"},
		"home/xbm/n/shelf/recognition/set": {"shelf", "recognition", "true"},
		"home/xbm/n/shelf/set":             {"", "", "false"},
		"home/xbm/m/shelf/recognition/set": {"", "", "false"},
		"home/xbm/n/a/b/c/set":             {"", "", "false"},
		"home/xbm/n//recognition/set":      {"", "", "false"},
		"home/xbm/n/shelf/recognition/get": {"", "", "false"},
	} {
		camera, feature, known := topics.Command(topic)
		text := "false"
		if known {
			text = "true"
		}
		if diff := cmp.Diff(want, [3]string{camera, feature, text}); diff != "" {
			t.Errorf("%s (-want +got):\n%s", topic, diff)
		}
	}
}

// Every topic of the contract has its schema, every schema its topic, and their names are those of their payloads.
func TestContract(t *testing.T) {
	topics := mqtt.Topics{Base: "xbm", Node: "n"}
	used := map[string]bool{}
	for _, c := range mqtt.Contract() {
		if c.Picture {
			continue
		}
		used[c.Schema+".json"] = true
		text, err := mqtt.Schemas.ReadFile("schema/" + c.Schema + ".json")
		if err != nil {
			t.Errorf("%s: %v", c.Topic, err)
			continue
		}
		var doc struct {
			Title string `json:"title"`
			Type  string `json:"type"`
		}
		if err := json.Unmarshal(text, &doc); err != nil || (doc.Type == "string") != c.Text || !strings.HasPrefix(doc.Title, c.Schema) {
			t.Errorf("%s: %v, %+v", c.Schema, err, doc)
		}
		topic := "xbm/n/" + strings.NewReplacer("{camera}", "shelf", "{identity}", "cup").Replace(c.Topic)
		if got, known := topics.Channel(topic); !known || got != c {
			t.Errorf("%s is %+v", topic, got)
		}
		_, _, command := topics.Command(topic)
		if command != c.Taken {
			t.Errorf("%s is taken: %v, and in the contract %v", topic, command, c.Taken)
		}
	}
	files, err := fs.Glob(mqtt.Schemas, "schema/*.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if !used[strings.TrimPrefix(f, "schema/")] {
			t.Errorf("%s belongs to no topic", f)
		}
	}
}
