package app_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"xbmedge/agent/internal/app"
	"xbmedge/agent/internal/commands"
	"xbmedge/agent/internal/config"
	"xbmedge/agent/internal/control"
	"xbmedge/agent/internal/mqtt"
	"xbmedge/agent/internal/mqtt/brokertest"
	"xbmedge/internal/vision"
)

// paint puts a new picture of something red into a folder, some 25 times a second, until the test's end.
func paint(t *testing.T, dir string) {
	t.Helper()
	clip, err := os.ReadFile(film(t, t.TempDir(), "r"))
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := 0; ctx.Err() == nil; i++ {
			path := filepath.Join(dir, fmt.Sprintf("%06d.jpg", i))
			if err := errors.Join(os.WriteFile(path+".part", clip, 0o600), os.Rename(path+".part", path)); err != nil {
				t.Error(err)
			}
			if i >= 100 {
				_ = os.Remove(filepath.Join(dir, fmt.Sprintf("%06d.jpg", i-100)))
			}
			time.Sleep(40 * time.Millisecond)
		}
	}()
	t.Cleanup(func() {
		stop()
		<-done
	})
}

// counting is a model that tells how often it was used.
type counting struct {
	colours
	n atomic.Uint64
}

func (c *counting) Embed(dst []float32, f vision.Frame) error {
	c.n.Add(1)
	return c.colours.Embed(dst, f)
}

// handler notes what it is asked for.
type handler struct{ n atomic.Uint64 }

func (h *handler) Handle(_ context.Context, r *control.Request) (any, error) {
	h.n.Add(1)
	if r.ID == "nobody" {
		return nil, fmt.Errorf("%s is not enrolled", r.ID)
	}
	return nil, nil
}

// remote is an agent before whose cameras something red is held, and somebody who listens to all it says.
type remote struct {
	*app.App
	broker   *brokertest.Broker
	model    *counting
	handler  *handler
	messages chan mqtt.Message
	stop     func()
}

func remoteAgent(t *testing.T, broker *brokertest.Broker, dir string) *remote {
	t.Helper()
	cfg, g := configuration(t, dir, broker.URL(), "")
	cfg.MQTT.PublishEmbeddings, cfg.Motion.Gate = false, false
	for _, id := range []string{"shelf", "attic"} {
		var cam config.Camera
		cam.SetDefaults()
		cam.Kind, cam.Address, cam.Watch, cam.Enabled, cam.FPS = "dir", t.TempDir(), true, id == "shelf", 20
		cfg.Cameras[id] = cam
		paint(t, cam.Address)
	}
	r := &remote{broker: broker, model: &counting{}, handler: &handler{}, messages: make(chan mqtt.Message, 100_000)}
	a, err := app.New(cfg, parts(t, r.model, g))
	if err != nil {
		t.Fatal(err)
	}
	a.Control(r.handler, func(context.Context) error { return nil })
	r.App = a
	listening, stopListening := context.WithCancel(context.Background())
	ready, heard, done := make(chan struct{}), make(chan error, 1), make(chan error, 1)
	go func() {
		heard <- mqtt.Listen(listening, mqtt.Config{Broker: broker.URL()}, []string{"xbm/#"}, slog.New(slog.DiscardHandler), func() error {
			close(ready)
			return nil
		}, func(m mqtt.Message) bool {
			r.messages <- m
			return true
		})
	}()
	<-ready
	ctx, cancel := context.WithCancel(context.Background())
	go func() { done <- a.Run(ctx) }()
	r.stop = func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		stopListening()
		if err := <-heard; err != nil {
			t.Error(err)
		}
	}
	return r
}

// until waits for a message and checks all that come before it.
func (r *remote) until(t *testing.T, topic, part string) mqtt.Message {
	t.Helper()
	shapes := schemas(t)
	for deadline := time.After(patience); ; {
		select {
		case m := <-r.messages:
			if strings.HasSuffix(m.Topic, "/set") {
				continue
			}
			valid(t, shapes, m)
			if m.Topic == "xbm/board-1/"+topic && strings.Contains(string(m.Payload), part) {
				return m
			}
		case <-deadline:
			t.Fatalf("no %s with %q", topic, part)
		}
	}
}

func (r *remote) reply(t *testing.T, part string) commands.Reply {
	t.Helper()
	var reply commands.Reply
	if err := json.Unmarshal(r.until(t, "gallery/reply", part).Payload, &reply); err != nil {
		t.Fatal(err)
	}
	return reply
}

func (r *remote) send(t *testing.T, topic, payload string) {
	t.Helper()
	r.broker.Publish(t, "xbm/board-1/"+topic, false, []byte(payload))
}

// frames waits for some more frames of a camera, and returns how often the model was used meanwhile.
func (r *remote) frames(t *testing.T, camera string, n uint64) (embedded uint64) {
	t.Helper()
	from, before := r.Stats().Cameras[camera].Frames, r.model.n.Load()
	for deadline := time.Now().Add(patience); r.Stats().Cameras[camera].Frames < from+n; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s gives no frames", camera)
		}
	}
	return r.model.n.Load() - before
}

func TestFeaturesOverTheBroker(t *testing.T) {
	broker := brokertest.Start(t, "127.0.0.1:0")
	dir := t.TempDir()
	r := remoteAgent(t, broker, dir)
	r.until(t, "shelf/threshold/state", "0.9") // the gallery's own
	r.until(t, "shelf/status", "online")
	r.until(t, "shelf/state", `"last":{`)
	if n := r.frames(t, "shelf", 5); n < 4 {
		t.Errorf("%d of 5 frames are embedded", n)
	}

	r.send(t, "shelf/recognition/set", "OFF")
	r.until(t, "shelf/recognition/state", "OFF")
	r.frames(t, "shelf", 2)
	if n := r.frames(t, "shelf", 10); n != 0 {
		t.Errorf("%d of 10 frames are embedded with recognition off", n)
	}

	r.send(t, "shelf/enabled/set", "OFF")
	r.until(t, "shelf/status", "disabled")
	r.send(t, "attic/enabled/set", "ON")
	r.until(t, "attic/status", "online")
	if n := r.frames(t, "attic", 5); n < 4 {
		t.Errorf("%d of 5 frames of the other camera are embedded", n)
	}
	if _, there := r.Stats().Cameras["shelf"]; there {
		t.Error("a camera that is off is in the readings")
	}
	r.send(t, "attic/threshold/set", "0.33")
	r.until(t, "attic/threshold/state", "0.33")
	r.send(t, "attic/fps/set", "3")
	r.until(t, "attic/fps/state", "3")
	r.send(t, "attic/publish_embeddings/set", "ON")
	r.until(t, "attic/embedding", `"schema"`)

	for _, refused := range []struct{ topic, payload, why string }{
		{"attic/recognition/set", "maybe", "want ON or OFF"},
		{"attic/colour/set", "red", "no feature"},
		{"cellar/recognition/set", "ON", "is no camera"},
		{"attic/recognition/set", strings.Repeat("O", 65<<10), "at most 64"},
	} {
		r.send(t, refused.topic, refused.payload)
		r.until(t, "error", refused.why)
	}
	r.stop()

	again := remoteAgent(t, broker, dir)
	again.until(t, "attic/status", "online")
	again.until(t, "attic/embedding", `"schema"`)
	if s := again.Stats(); len(s.Cameras) != 1 || !s.Cameras["attic"].Online {
		t.Errorf("after a restart: %+v", s.Cameras)
	}
	again.send(t, "shelf/enabled/set", "ON")
	again.until(t, "shelf/recognition/state", "OFF")
	again.until(t, "shelf/status", "online")
	again.stop()
	broker.Stop()
}

func TestGalleryCommandsOverTheBroker(t *testing.T) {
	broker := brokertest.Start(t, "127.0.0.1:0")
	broker.Publish(t, "xbm/board-1/gallery/set", true, []byte(`{"req":"old","op":"delete","id":"red-thing"}`))
	r := remoteAgent(t, broker, t.TempDir())
	r.until(t, "gallery/state", `"n":2`)
	if reply := r.reply(t, `"old"`); reply.OK || reply.Code != commands.CodeRetained {
		t.Errorf("a retained command: %+v", reply)
	}
	r.send(t, "gallery/set", `{"req":"1","op":"rename","id":"red-thing","name":"Red"}`)
	r.send(t, "gallery/set", `{"req":"1","op":"rename","id":"red-thing","name":"Red"}`)
	if first, second := r.reply(t, `"1"`), r.reply(t, `"1"`); !first.OK || !second.OK || !second.Again || r.handler.n.Load() != 1 {
		t.Errorf("%+v, %+v; carried out %d times", first, second, r.handler.n.Load())
	}
	r.send(t, "gallery/set", `{"req":"2","op":"rename","id":"nobody","name":"N"}`)
	if reply := r.reply(t, `"2"`); reply.OK || reply.Error != "nobody is not enrolled" {
		t.Errorf("%+v", reply)
	}
	r.send(t, "gallery/set", `{"req":"3","op":"reload"}`)
	if reply := r.reply(t, `"3"`); !reply.OK {
		t.Errorf("%+v", reply)
	}
	r.send(t, "gallery/set", `{"req":"4","op":"info"`+strings.Repeat(" ", 65<<10)+`}`)
	if reply := r.reply(t, `"size"`); reply.OK {
		t.Errorf("%+v", reply)
	}
	r.stop()
	broker.Stop()
}

// 10,000 commands a second are refused, told so, and cost no frames.
func TestFloodCostsNoFrames(t *testing.T) {
	broker := brokertest.Start(t, "127.0.0.1:0")
	r := remoteAgent(t, broker, t.TempDir())
	r.until(t, "shelf/status", "online")
	began := time.Now()
	r.frames(t, "shelf", 40)
	before := 40 / time.Since(began).Seconds()
	from, sent := r.Stats().Cameras["shelf"].Frames, 0
	for began = time.Now(); time.Since(began) < 3*time.Second; time.Sleep(5 * time.Millisecond) {
		for range 50 { // in 5 ms
			r.send(t, "gallery/set", fmt.Sprintf(`{"req":"f%d","op":"info"}`, sent))
			sent++
		}
	}
	elapsed := time.Since(began).Seconds()
	during := float64(r.Stats().Cameras["shelf"].Frames-from) / elapsed
	if during < before*0.5 { // broker, sender and listener share this process's cores
		t.Errorf("%.1f frames a second while commands come, %.1f before", during, before)
	}
	reply := r.reply(t, `"rate"`)
	if done := r.handler.n.Load(); done > uint64(20+5*(elapsed+2)) {
		t.Errorf("%d commands were carried out", done)
	}
	t.Logf("%.0f commands a second for %.1f s: %d carried out, %d refused in the first such reply; %.1f frames a second, %.1f before",
		float64(sent)/elapsed, elapsed, r.handler.n.Load(), reply.Refused, during, before)
	r.stop()
	broker.Stop()
}
