package command_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"xbmedge/agent/internal/command"
	"xbmedge/agent/internal/mqtt"
	"xbmedge/agent/internal/mqtt/brokertest"
	"xbmedge/internal/gallery"
	"xbmedge/internal/testdata"
	"xbmedge/internal/tflite"
)

// shelfCamera makes a camera, in the place of a Raspberry Pi's, that shows the picture at the path returned.
func shelfCamera(t *testing.T, dir string) (shown string) {
	t.Helper()
	shown = filepath.Join(dir, "shown.jpg")
	script := fmt.Sprintf("#!/bin/sh\nwhile cat %s; do sleep 0.03; done\n", shown)
	if err := os.WriteFile(filepath.Join(dir, "rpicam-vid"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	return shown
}

// show puts another picture before the camera.
func show(t *testing.T, shown, picture string) {
	t.Helper()
	data, err := os.ReadFile(picture)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(shown+".new", data, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(shown+".new", shown); err != nil {
		t.Fatal(err)
	}
}

// heard is a match event.
type heard struct {
	EventID  string `json:"event_id"`
	Type     string `json:"type"`
	Known    bool   `json:"known"`
	Identity struct{ ID string }
	Gallery  struct{ Version, N uint64 }
}

// hear listens at the broker for match events.
func hear(ctx context.Context, t *testing.T, broker, dir string) <-chan heard {
	t.Helper()
	r, w := io.Pipe()
	ready := filepath.Join(dir, "ready")
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = w.CloseWithError(command.New().Run(ctx, []string{"listen", "--json", "--broker", broker, "--topic", "xbm/+/+/match", "--ready-file", ready}, w, &bytes.Buffer{}))
	}()
	events := make(chan heard, 100)
	go func() {
		defer close(events)
		for d := json.NewDecoder(r); ; {
			var m struct{ Payload heard }
			if d.Decode(&m) != nil {
				return
			}
			events <- m.Payload
		}
	}()
	t.Cleanup(func() { <-ended })
	for deadline := time.Now().Add(30 * time.Second); ; {
		if _, err := os.Stat(ready); err == nil {
			return events
		}
		if time.Now().After(deadline) {
			t.Fatal("not listening")
		}
		<-time.After(5 * time.Millisecond)
	}
}

// await returns the first event about an identity; gallery.UnknownID stands for any stranger.
func await(t *testing.T, events <-chan heard, id string) heard {
	t.Helper()
	late := time.After(30 * time.Second)
	for {
		select {
		case e := <-events:
			is := e.Identity.ID == id || id == gallery.UnknownID && strings.HasPrefix(e.Identity.ID, id)
			if is && e.Type != "end" {
				return e
			}
		case <-late:
			t.Fatalf("nothing was heard of %s", id)
		}
	}
}

// A running agent is taught and corrected, and goes on without a pause.
func TestTeachARunningAgent(t *testing.T) {
	if err := tflite.Available(); err != nil {
		t.Skip(err)
	}
	model := testdata.File(t, "tflite/mobilenet_v1_0.25_float.tflite")
	grocery := testdata.Dir(t, "grocery")
	class := func(name string) []string {
		list, err := filepath.Glob(filepath.Join(grocery, "train", name, "*.jpg"))
		if err != nil || len(list) < 4 {
			t.Fatalf("%s: %v, %v", name, list, err)
		}
		return list
	}
	banana, milk := class("Banana"), class("Arla-Sour-Milk")
	dir := t.TempDir()
	things, socket := filepath.Join(dir, "things.gallery"), filepath.Join(dir, "c.sock")
	enroll := func(args ...string) []string {
		return append([]string{"enroll", "--control", socket, "--gallery", things}, args...)
	}
	if _, err := run(t, enroll(append([]string{"--model", model, "--threshold", "0.75", "Sour milk"}, milk[:3]...)...)...); err != nil {
		t.Fatal(err)
	}
	shown := shelfCamera(t, dir)
	show(t, shown, banana[0])
	broker := brokertest.Start(t, "127.0.0.1:0")
	ctx, stop := context.WithCancel(t.Context())
	events := hear(ctx, t, broker.URL(), dir)
	agent := make(chan error, 1)
	var log bytes.Buffer
	go func() {
		agent <- command.New().Run(ctx, []string{
			"run", "--control", socket, "--set", "model.path=" + model, "--set", "gallery.path=" + things, "--set", "mqtt.broker=" + broker.URL(),
			"--set", "state_dir=" + dir, "--set", "node=test", "--set", "cameras.shelf.kind=libcamera", "--set", "cameras.shelf.address=0",
			"--set", "cameras.shelf.fps=30", "--set", "track.hold=300ms",
		}, &bytes.Buffer{}, &log)
	}()
	defer func() {
		stop()
		if err := <-agent; err != nil {
			t.Errorf("the agent: %v\n%s", err, log.String())
		}
	}()
	unknown := await(t, events, gallery.UnknownID)

	out, err := run(t, enroll(append([]string{"Banana"}, banana[:2]...)...)...)
	enrolled := time.Now()
	if err != nil || !strings.Contains(out, "2 pictures added") {
		t.Fatalf("%s, %v", out, err)
	}
	e := await(t, events, "banana")
	took := time.Since(enrolled)
	t.Logf("recognised %v after the enrolment was answered", took)
	if took > 5*time.Second || e.Gallery.N != 5 { // a second is the aim; the machine may have other things to do
		t.Errorf("after %v, %+v", took, e)
	}

	if out, err := run(t, "gallery", "reject", "--control", socket, "--gallery", things, "--as", "banana", e.EventID); err == nil || !strings.Contains(err.Error(), "Banana's embedding") {
		t.Errorf("the enrolled picture itself was rejected: %s, %v", out, err)
	}
	if _, err := run(t, "gallery", "reject", "--control", socket, "--gallery", things, "--as", "sour-milk", unknown.EventID); err != nil {
		t.Error(err)
	}
	if _, err := run(t, "gallery", "remove", "--control", socket, "--gallery", things, "banana"); err != nil {
		t.Fatal(err)
	}
	stranger := await(t, events, gallery.UnknownID)
	if out, err := run(t, "gallery", "name", "--control", socket, "--gallery", things, stranger.Identity.ID, "Yellow"); err != nil || !strings.Contains(out, "enrolled as yellow") {
		t.Fatalf("%s, %v", out, err)
	}
	await(t, events, "yellow")
	if _, err := run(t, "gallery", "name", "--control", socket, "--gallery", things, stranger.Identity.ID, "Again"); err == nil || !strings.Contains(err.Error(), "no such stranger") {
		t.Errorf("a stranger that has a name: %v", err)
	}
	if _, err := run(t, "gallery", "remove", "--control", socket, "--gallery", things, "yellow"); err != nil {
		t.Fatal(err)
	}
	await(t, events, gallery.UnknownID)
	if out, err := run(t, enroll("Fruit", "--camera", "shelf", "--seconds", "1")...); err != nil || !strings.Contains(out, "2 identities") {
		t.Fatalf("%s, %v", out, err)
	}
	await(t, events, "fruit")
	if _, err := run(t, enroll("Fruit", "--camera", "attic")...); err == nil || !strings.Contains(err.Error(), `no camera "attic"`) {
		t.Errorf("another camera: %v", err)
	}
	if _, err := run(t, "gallery", "reembed", "--control", socket, "--gallery", things, "--model", model); err == nil || !strings.Contains(err.Error(), "give --out") {
		t.Errorf("reembedded under a running agent: %v", err)
	}
	overTheBroker(t, broker, events)
	if _, err := run(t, "gallery", "verify", "--gallery", things); err != nil {
		t.Error(err)
	}
}

// overTheBroker teaches the agent by commands at the broker.
func overTheBroker(t *testing.T, broker *brokertest.Broker, events <-chan heard) {
	t.Helper()
	command := commander(t, broker)
	if r := command("1", `"op":"delete","id":"fruit"`); !r.OK || r.Result.N != 3 {
		t.Errorf("%+v", r)
	}
	await(t, events, gallery.UnknownID)
	if r := command("2", `"op":"enroll","name":"Produce","camera":"shelf","seconds":1,"last":true`); !r.OK || r.Result.ID != "produce" || r.Result.Added == 0 {
		t.Errorf("%+v", r)
	}
	await(t, events, "produce")
	if r := command("3", `"op":"enroll","name":"Produce","camera":"attic","seconds":1`); r.OK || !strings.Contains(r.Error, `no camera "attic"`) {
		t.Errorf("%+v", r)
	}
	if r := command("4", `"op":"enroll","name":"../produce","camera":"shelf","seconds":1`); r.OK || !strings.Contains(r.Error, "path separator") {
		t.Errorf("%+v", r)
	}
	if r := command("5", `"op":"reload"`); !r.OK {
		t.Errorf("%+v", r)
	}
	await(t, events, "produce")
}

// answer is a reply over the broker.
type answer struct {
	Req, Code, Error string
	OK               bool
	Result           struct {
		ID       string
		N, Added int
	}
}

// commander returns a function that sends a command to the agent's node and returns the answer, held to its schema.
func commander(t *testing.T, broker *brokertest.Broker) func(req, fields string) answer {
	t.Helper()
	text, err := mqtt.Schemas.ReadFile("schema/reply.json")
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	c := jsonschema.NewCompiler()
	if err := errors.Join(err, c.AddResource("reply", doc)); err != nil {
		t.Fatal(err)
	}
	schema, err := c.Compile("reply")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	replies, ready, done := make(chan mqtt.Message, 10), make(chan struct{}), make(chan error, 1)
	go func() {
		done <- mqtt.Listen(ctx, mqtt.Config{Broker: broker.URL()}, []string{"xbm/test/gallery/reply"}, slog.New(slog.DiscardHandler),
			func() error { close(ready); return nil }, func(m mqtt.Message) bool { replies <- m; return true })
	}()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	<-ready
	return func(req, fields string) (a answer) {
		t.Helper()
		broker.Publish(t, "xbm/test/gallery/set", false, fmt.Appendf(nil, `{"req":%q,%s}`, req, fields))
		select {
		case m := <-replies:
			t.Logf("%s: %s", fields, m.Payload)
			doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(m.Payload))
			if err := errors.Join(err, json.Unmarshal(m.Payload, &a)); err != nil {
				t.Fatal(err)
			}
			if err := schema.Validate(doc); err != nil || a.Req != req {
				t.Errorf("%s: %v", m.Payload, err)
			}
		case <-time.After(30 * time.Second):
			t.Fatalf("no answer to %s", fields)
		}
		return a
	}
}
