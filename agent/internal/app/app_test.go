package app_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"log/slog"
	"math"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.uber.org/goleak"

	"xbmedge/agent/internal/app"
	"xbmedge/agent/internal/board"
	"xbmedge/agent/internal/config"
	"xbmedge/agent/internal/mqtt"
	"xbmedge/agent/internal/mqtt/brokertest"
	"xbmedge/agent/internal/pipeline"
	"xbmedge/agent/internal/systemd"
	"xbmedge/internal/gallery"
	"xbmedge/internal/vision"
)

const patience = 30 * time.Second

// colours embeds a picture as its mean colour, so that red is like red.
type colours struct {
	frames    int
	hangAfter int // 0: never
}

func (*colours) Dim() int { return 3 }

func (c *colours) Embed(dst []float32, f vision.Frame) error {
	if c.frames++; c.hangAfter > 0 && c.frames > c.hangAfter {
		select {}
	}
	var sum [3]float64
	for i, v := range f.Pix {
		sum[i%3] += float64(v)
	}
	length := math.Sqrt(sum[0]*sum[0] + sum[1]*sum[1] + sum[2]*sum[2])
	for i := range dst {
		dst[i] = float32(sum[i] / length)
	}
	return nil
}

// film writes a motion-JPEG clip: r red, g green, b blue checks, . a grey wall.
func film(t testing.TB, dir, frames string) string {
	t.Helper()
	var clip bytes.Buffer
	for _, c := range frames {
		m := image.NewRGBA(image.Rect(0, 0, 96, 96))
		for y := range 96 {
			for x := range 96 {
				v := uint8(90 + 120*((x/3+y/3)%2))
				fill := map[rune]color.RGBA{'r': {v, 0, 0, 255}, 'g': {0, v, 0, 255}, 'b': {v / 2, v / 2, v, 255}, '.': {128, 128, 128, 255}}[c]
				m.Set(x, y, fill)
			}
		}
		if err := jpeg.Encode(&clip, m, &jpeg.Options{Quality: 92}); err != nil {
			t.Fatal(err)
		}
	}
	path := filepath.Join(dir, "clip.mjpeg")
	if err := os.WriteFile(path, clip.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// build makes an agent whose gallery knows red and green.
func build(t testing.TB, dir, broker, clip string, embedder pipeline.Embedder) *app.App {
	t.Helper()
	cfg, g := configuration(t, dir, broker, clip)
	a, err := app.New(cfg, parts(t, embedder, g))
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func configuration(t testing.TB, dir, broker, clip string) (*config.Config, *gallery.Gallery) {
	t.Helper()
	g, err := gallery.New(gallery.Model{Name: "colours", SHA256: strings.Repeat("0a", 32), Dim: 3})
	if err != nil {
		t.Fatal(err)
	}
	for id, v := range map[string][]float32{"red-thing": {1, 0, 0}, "green-thing": {0, 1, 0}} {
		if err := g.Enroll(id, strings.ToUpper(id), [][]float32{v}); err != nil {
			t.Fatal(err)
		}
	}
	if err := g.SetThreshold(0.9); err != nil {
		t.Fatal(err)
	}
	cfg := config.Default()
	cfg.Node, cfg.StateDir, cfg.MQTT.Broker, cfg.MQTT.PublishEmbeddings = "board-1", dir, broker, true
	cfg.MQTT.PublishCandidates = true
	var cam, off config.Camera
	cam.SetDefaults()
	cam.Kind, cam.Address = "file", clip
	off = cam
	off.Enabled = false
	cfg.Cameras = map[string]config.Camera{"shelf": cam, "attic": off}
	return cfg, g
}

func parts(t testing.TB, embedder pipeline.Embedder, g *gallery.Gallery) app.Parts {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	manager, err := systemd.NewNotifier(log)
	if err != nil {
		t.Fatal(err)
	}
	return app.Parts{Embedder: embedder, Quant: "int8", Gallery: g, Manager: manager, Board: board.New(t.TempDir()), Log: log}
}

// schemas compiles the shipped schemas, made strict: a field that they do not list is a fault here, though a consumer
// has to live with it.
func schemas(t *testing.T) map[string]*jsonschema.Schema {
	t.Helper()
	out := map[string]*jsonschema.Schema{}
	for _, channel := range mqtt.Contract() {
		name := channel.Schema
		if channel.Picture {
			continue
		}
		text, err := mqtt.Schemas.ReadFile("schema/" + name + ".json")
		if err != nil {
			t.Fatal(err)
		}
		doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		strict(doc.(map[string]any))
		c := jsonschema.NewCompiler()
		if err := c.AddResource(name, doc); err != nil {
			t.Fatal(err)
		}
		if out[name], err = c.Compile(name); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

// valid checks a message against the schema that the contract has for its topic.
func valid(t *testing.T, schemas map[string]*jsonschema.Schema, m mqtt.Message) {
	t.Helper()
	channel, known := (mqtt.Topics{Base: "xbm", Node: "board-1"}).Channel(m.Topic)
	if !known || channel.Taken {
		t.Errorf("unexpected topic %s", m.Topic)
		return
	}
	if m.Retained && !channel.Retained {
		t.Errorf("%s is retained", m.Topic)
	}
	if channel.Picture || len(m.Payload) == 0 && channel.Retained { // looked at elsewhere, or removed
		return
	}
	var doc any = string(m.Payload)
	var err error
	if !channel.Text {
		doc, err = jsonschema.UnmarshalJSON(bytes.NewReader(m.Payload))
	}
	if err == nil {
		err = schemas[channel.Schema].Validate(doc)
	}
	if err != nil {
		t.Errorf("%s: %v\n%s", m.Topic, err, m.Payload)
	}
}

func strict(schema map[string]any) {
	switch elements := schema["additionalProperties"].(type) {
	case map[string]any: // of a map
		strict(elements)
		return
	case bool: // said already
		return
	}
	properties, ok := schema["properties"].(map[string]any)
	if !ok {
		return
	}
	schema["additionalProperties"] = false
	for _, p := range properties {
		p := p.(map[string]any)
		strict(p)
		if items, ok := p["items"].(map[string]any); ok {
			strict(items)
		}
	}
}

// listenTo collects what arrives until the node says goodbye.
func listenTo(t *testing.T, url string) (wait func() []mqtt.Message) {
	t.Helper()
	ready, done := make(chan struct{}), make(chan error, 1)
	var got []mqtt.Message
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	go func() {
		cfg := mqtt.Config{Broker: url}
		done <- mqtt.Listen(ctx, cfg, []string{"xbm/#"}, slog.New(slog.DiscardHandler), func() error {
			close(ready)
			return nil
		}, func(m mqtt.Message) bool {
			got = append(got, m)
			return m.Retained || m.Topic != "xbm/board-1/status" || string(m.Payload) != "offline"
		})
	}()
	select {
	case <-ready:
	case <-ctx.Done():
		t.Fatal("not subscribed")
	}
	return func() []mqtt.Message {
		defer cancel()
		if err := <-done; err != nil || ctx.Err() != nil {
			t.Fatalf("listen: %v, %v; %d messages came", err, ctx.Err(), len(got))
		}
		return got
	}
}

func TestClipToSubscriber(t *testing.T) {
	before := goleak.IgnoreCurrent()
	broker := brokertest.Start(t, "127.0.0.1:0")
	dir := t.TempDir()
	clip := film(t, dir, "....rrrrrrrrgggggggg"+strings.Repeat("b", 14)+strings.Repeat(".", 12))
	var nextSeq uint64 = 1
	for start := range 2 { // the second goes on counting
		wait := listenTo(t, broker.URL())
		a := build(t, dir, broker.URL(), clip, &colours{})
		if err := a.Run(context.Background()); err != nil {
			t.Fatal(err)
		}
		got := wait()
		if start == 1 {
			got = fresh(got)
		}
		nextSeq = checkMessages(t, got, nextSeq)
		if s := a.Summary(); s.Frames != 46 || s.Failed != 0 || s.Events != 6 || s.Unsent != 0 || s.Lost != 0 {
			t.Errorf("summary %+v; want 46 frames, 6 events, nothing lost", s)
		}
	}
	broker.Stop()
	goleak.VerifyNone(t, before)
}

// fresh leaves out what the broker had kept.
func fresh(messages []mqtt.Message) []mqtt.Message {
	var out []mqtt.Message
	for _, m := range messages {
		if !m.Retained {
			out = append(out, m)
		}
	}
	return out
}

// checkMessages checks one run's messages and returns the next event's number.
func checkMessages(t *testing.T, got []mqtt.Message, seq uint64) uint64 {
	t.Helper()
	shapes := schemas(t)
	var story []string
	embeddings, states, near := 0, 0, 0
	status, seen, pictures := map[string][]string{}, map[string]bool{}, map[string]bool{}
	for _, m := range got {
		valid(t, shapes, m)
		if id, ok := strings.CutPrefix(m.Topic, "xbm/board-1/identity/"); ok && strings.HasSuffix(id, "/state") && len(m.Payload) > 0 {
			seen[strings.TrimSuffix(id, "/state")] = true
		}
		leaf := strings.TrimPrefix(m.Topic, "xbm/board-1/shelf/")
		if strings.HasSuffix(m.Topic, "/status") {
			status[m.Topic] = append(status[m.Topic], string(m.Payload))
			continue
		}
		if strings.HasSuffix(leaf, "/snapshot") || leaf == "snapshot" {
			pictures[strings.TrimPrefix(m.Topic, "xbm/board-1/")] = true
			if f, err := vision.Decode(bytes.NewReader(m.Payload)); err != nil || f.Width != 96 || len(m.Payload) > mqtt.MaxSnapshot {
				t.Errorf("%s: %v, %d pixels wide", m.Topic, err, f.Width)
			}
			continue
		}
		switch leaf {
		case "embedding":
			embeddings++
			checkEmbedding(t, m.Payload)
		case "candidate":
			near++
		case "state":
			states++
		case "match":
			var e mqtt.Match
			if err := json.Unmarshal(m.Payload, &e); err != nil {
				t.Fatal(err)
			}
			if e.Seq != seq {
				t.Errorf("event number %d, want %d", e.Seq, seq)
			}
			seq++
			story = append(story, fmt.Sprintf("%s %s %s", e.Type, e.EventType, e.Identity.ID))
			if e.Model.SHA != "0a0a0a" || e.Gallery.N != 2 || e.Threshold != 0.9 || e.Node != "board-1" || e.Camera != "shelf" {
				t.Errorf("event %s", m.Payload)
			}
		}
	}
	if diff := cmp.Diff([]string{
		"new recognized red-thing", "end left red-thing", "new recognized green-thing", "end left green-thing",
		"new unknown unknown-1", "end left unknown-1",
	}, story); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[string]bool{"red-thing": true, "green-thing": true, "unknown": true}, seen); diff != "" {
		t.Errorf("identities seen (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[string]bool{
		"shelf/snapshot": true, "identity/red-thing/snapshot": true, "identity/green-thing/snapshot": true, "identity/unknown/snapshot": true,
	}, pictures); diff != "" {
		t.Errorf("pictures (-want +got):\n%s", diff)
	}
	want := map[string][]string{
		"xbm/board-1/status":       {"online", "offline"},
		"xbm/board-1/shelf/status": {"online", "offline"},
		"xbm/board-1/attic/status": {"disabled"},
	}
	for topic, texts := range want {
		if s := status[topic]; len(s) == 0 || s[len(s)-1] != texts[len(texts)-1] {
			t.Errorf("%s was %v, want %v", topic, s, texts)
		}
	}
	if diff := cmp.Diff(want["xbm/board-1/status"], status["xbm/board-1/status"]); diff != "" {
		t.Errorf("status (-want +got):\n%s", diff)
	}
	if states == 0 || near == 0 {
		t.Errorf("%d states, %d near misses of the blue thing", states, near)
	}
	t.Logf("%d messages, %d embeddings, %d near misses, %d states", len(got), embeddings, near, states)
	return seq
}

func checkEmbedding(t *testing.T, payload []byte) {
	t.Helper()
	var e mqtt.Embedding
	if err := json.Unmarshal(payload, &e); err != nil {
		t.Fatal(err)
	}
	raw, err := base64.StdEncoding.DecodeString(e.B64)
	if err != nil || len(raw) != e.Dim {
		t.Fatalf("embedding of %d bytes, dim %d: %v", len(raw), e.Dim, err)
	}
	var sum float64
	for _, b := range raw {
		v := float64(int(int8(b))-e.ZP) * e.Scale
		sum += v * v
	}
	if math.Abs(math.Sqrt(sum)-1) > 0.02 {
		t.Errorf("embedding of length %v, want 1", math.Sqrt(sum))
	}
}

// An agent that is killed says nothing: the broker must say offline in its name.
func TestKilledAgentIsOffline(t *testing.T) {
	if url := os.Getenv("XBM_TEST_KILLED_AGENT"); url != "" {
		dir := os.Getenv("XBM_TEST_DIR")
		_ = build(t, dir, url, film(t, dir, "rrrrrrrrrr"), &colours{hangAfter: 5}).Run(context.Background())
		return
	}
	broker := brokertest.Start(t, "127.0.0.1:0")
	wait := listenTo(t, broker.URL())
	agent := exec.Command(os.Args[0], "-test.run=^TestKilledAgentIsOffline$")
	agent.Env = append(os.Environ(), "XBM_TEST_KILLED_AGENT="+broker.URL(), "XBM_TEST_DIR="+t.TempDir())
	if err := agent.Start(); err != nil {
		t.Fatal(err)
	}
	seen := inView(t, broker.URL())
	if err := agent.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = agent.Wait() // it was killed
	got := wait()
	var statuses []string
	for _, m := range got {
		if m.Topic == "xbm/board-1/status" {
			statuses = append(statuses, string(m.Payload))
		}
	}
	if diff := cmp.Diff([]string{"online", "offline"}, statuses); diff != "" {
		t.Errorf("status (-want +got):\n%s", diff)
	}
	if !seen {
		t.Error("no event before the kill")
	}
}

// inView waits for a retained or new state that shows something in view.
func inView(t *testing.T, url string) bool {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	found := false
	err := mqtt.Listen(ctx, mqtt.Config{Broker: url}, []string{"xbm/board-1/shelf/state"}, slog.New(slog.DiscardHandler),
		func() error { return nil }, func(m mqtt.Message) bool {
			found = strings.Contains(string(m.Payload), `"present":["red-thing"]`)
			return !found
		})
	if err != nil {
		t.Error(err)
	}
	return found
}

// Somebody else has the metrics' address: what is seen is more important.
func TestMetricsAddressInUse(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	broker := brokertest.Start(t, "127.0.0.1:0")
	dir := t.TempDir()
	cfg, g := configuration(t, dir, broker.URL(), film(t, dir, "rrrr"))
	cfg.Metrics.Listen = taken.Addr().String()
	a, err := app.New(cfg, parts(t, &colours{}, g))
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Run(t.Context()); err != nil || a.Summary().Frames != 4 {
		t.Errorf("%v; %+v", err, a.Summary())
	}
}

func TestClipThatIsNotThere(t *testing.T) {
	broker := brokertest.Start(t, "127.0.0.1:0")
	a := build(t, t.TempDir(), broker.URL(), "none.mjpeg", &colours{})
	if err := a.Run(context.Background()); err == nil || !strings.Contains(err.Error(), "none.mjpeg") {
		t.Errorf("error %v does not name the clip", err)
	}
}
