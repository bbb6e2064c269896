package command_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"xbmedge/agent/internal/command"
	"xbmedge/agent/internal/mqtt/brokertest"
	"xbmedge/internal/bundle"
	"xbmedge/internal/bundle/bundletest"
	"xbmedge/internal/gallery"
	"xbmedge/internal/vision"
)

// older returns the one file that was kept of a gallery when it was moved.
func older(t *testing.T, path string) []byte {
	t.Helper()
	kept, err := filepath.Glob(path + ".of-*")
	if err != nil || len(kept) != 1 {
		t.Fatalf("kept are %v (%v)", kept, err)
	}
	data, err := os.ReadFile(kept[0])
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// The agent starts with another model than its gallery's: it moves it there, from the pictures, and keeps what was before.
func TestAStartMovesTheGallery(t *testing.T) {
	s := newShelf(t, bundletest.Write(t, bundletest.Model(t, 1), nil, nil))
	next := bundletest.Write(t, bundletest.Model(t, 2), nil, nil)
	before, err := os.ReadFile(s.gallery)
	if err != nil {
		t.Fatal(err)
	}
	out, err := run(t, "check-config", "--set", "model.path="+next, "--set", "gallery.path="+s.gallery, "--set", "state_dir="+s.dir,
		"--set", "node=test", "--set", "cameras.c.kind=file", "--set", "cameras.c.address="+s.picture)
	if now, _ := os.ReadFile(s.gallery); err != nil || !strings.Contains(out, "1 identities") || !bytes.Equal(before, now) {
		t.Errorf("check-config: %s (%v)", out, err)
	}
	for i, want := range []string{"the gallery has been moved", "identities=1 embeddings=1"} {
		log, err := s.start(next)
		if err != nil || !strings.Contains(log, want) || i == 1 && strings.Contains(log, "has been moved") {
			t.Fatalf("start %d: %v, want %q\n%s", i+1, err, want, log)
		}
	}
	if !bytes.Equal(older(t, s.gallery), before) {
		t.Error("what was kept is not what was there")
	}
	opened, err := bundle.Open(next)
	if err != nil {
		t.Fatal(err)
	}
	g, err := gallery.Read(s.gallery)
	if err != nil || g.Len() != 1 || g.Model().Space() != opened.Manifest().SpaceID {
		t.Errorf("%d embeddings of %v (%v)", g.Len(), g.Model(), err)
	}
}

// Something enrolled has no picture: nothing is moved, and it is said what to do.
func TestAStartDoesNotMoveWhatHasNoPictures(t *testing.T) {
	s := newShelf(t, bundletest.Write(t, bundletest.Model(t, 1), nil, nil))
	g, err := gallery.Read(s.gallery)
	if err != nil {
		t.Fatal(err)
	}
	vector := make([]float32, bundletest.Dim)
	vector[0] = 1
	if err := errors.Join(g.Enroll("blind", "Blind", [][]float32{vector}), g.Save(s.gallery)); err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile(s.gallery)
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.start(bundletest.Write(t, bundletest.Model(t, 2), nil, nil))
	var code interface{ ExitCode() int }
	if !errors.Is(err, gallery.ErrWrongModel) || !errors.Is(err, gallery.ErrNoCrop) || !strings.Contains(err.Error(), "reembed blind") ||
		!errors.As(err, &code) || code.ExitCode() != 78 {
		t.Errorf("%v; want an error that names the thing, and exit code 78", err)
	}
	if now, err := os.ReadFile(s.gallery); err != nil || !bytes.Equal(before, now) {
		t.Errorf("the gallery has changed (%v)", err)
	}
}

// A running agent takes over another model: the gallery goes with it, and stays where it is when the rest is refused.
func TestAReloadMovesTheGallery(t *testing.T) {
	first, next := bundletest.Write(t, bundletest.Model(t, 1), nil, nil), bundletest.Write(t, bundletest.Model(t, 2), nil, nil)
	s := newShelf(t, first)
	shown := shelfCamera(t, s.dir)
	var image bytes.Buffer
	if err := errors.Join(vision.EncodeJPEG(&image, bundletest.Frames(1)[0], 95), os.WriteFile(shown, image.Bytes(), 0o600)); err != nil {
		t.Fatal(err)
	}
	broker := brokertest.Start(t, "127.0.0.1:0")
	path := filepath.Join(s.dir, "agent.yaml")
	configure := func(model, node string) {
		text := "node: " + node + "\nstate_dir: " + s.dir + "\nmodel: {path: " + model + "}\ngallery: {path: " + s.gallery + ", threshold: 0.2}\n" +
			"mqtt: {broker: \"" + broker.URL() + "\"}\ncameras: {shelf: {kind: libcamera, address: \"0\", fps: 30}}\n"
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	configure(first, "test")
	ctx, stop := context.WithCancel(t.Context())
	events := hear(ctx, t, broker.URL(), s.dir)
	agent := make(chan error, 1)
	var log bytes.Buffer
	go func() {
		agent <- command.New().Run(ctx, []string{"run", "--config", path}, &bytes.Buffer{}, &log)
	}()
	ended := false
	end := func() {
		if stop(); !ended {
			ended = true
			if err := <-agent; err != nil {
				t.Errorf("the agent: %v\n%s", err, log.String())
			}
		}
	}
	defer end()
	version := await(t, events, "cup").Gallery.Version
	before, err := os.ReadFile(s.gallery)
	if err != nil {
		t.Fatal(err)
	}

	ask := commander(t, broker)
	configure(next, "other")
	if r := ask("1", `"op":"reload"`); r.OK || !strings.Contains(r.Error, "takes a restart") {
		t.Errorf("%+v", r)
	}
	if now, err := os.ReadFile(s.gallery); err != nil || !bytes.Equal(before, now) {
		t.Errorf("after a refused reload the gallery is another (%v)", err)
	}
	configure(next, "test")
	if r := ask("2", `"op":"reload"`); !r.OK {
		t.Errorf("%+v", r)
	}
	for e := await(t, events, "cup"); e.Gallery.Version == version; { // that was told before the reload
		e = await(t, events, "cup")
	}
	end()
	if !strings.Contains(log.String(), "the gallery has been moved") || !bytes.Equal(older(t, s.gallery), before) {
		t.Errorf("it does not say so, or kept another file:\n%s", log.String())
	}
}
