package app_test

import (
	"context"
	"encoding/json"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"xbmedge/agent/internal/app"
	"xbmedge/agent/internal/mqtt"
	"xbmedge/agent/internal/mqtt/brokertest"
)

// reds writes a picture of red checks, or of nothing but grey where step is 0.
func reds(t *testing.T, path string, width, height, step int) {
	t.Helper()
	m := image.NewPaletted(image.Rect(0, 0, width, height), color.Palette{color.Gray{128}, color.RGBA{210, 0, 0, 255}, color.RGBA{90, 0, 0, 255}})
	for i := range m.Pix {
		if step > 0 {
			m.Pix[i] = byte(1 + (i%width/step+i/width/step)%2)
		}
	}
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := png.Encode(file, m); err != nil {
		t.Fatal(err)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
}

// A camera gives pictures with nothing in them, tiny and huge ones, damaged ones, and changes its size: the agent goes on, and
// recognises what comes between them.
func TestBadPicturesStopNothing(t *testing.T) {
	dir := t.TempDir()
	n := 0
	next := func(ext string) string { n++; return filepath.Join(dir, fmt.Sprintf("%03d%s", n, ext)) }
	reds(t, next(".png"), 1, 1, 1)
	reds(t, next(".png"), 8000, 6000, 0)
	reds(t, next(".png"), 3000, 2, 1)
	for range 3 {
		reds(t, next(".png"), 96, 96, 3)
	}
	good, err := os.ReadFile(filepath.Join(dir, "006.png"))
	if err != nil {
		t.Fatal(err)
	}
	for _, bad := range [][]byte{nil, []byte("no picture"), good[:len(good)/2], good[:20]} {
		if err := os.WriteFile(next(".png"), bad, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	reds(t, next(".png"), 1, 1, 1)
	reds(t, next(".png"), 160, 120, 4)
	reds(t, next(".png"), 120, 160, 4)
	reds(t, next(".png"), 640, 480, 12)

	broker := brokertest.Start(t, "127.0.0.1:0")
	wait := listenTo(t, broker.URL())
	cfg, g := configuration(t, t.TempDir(), broker.URL(), dir)
	cam := cfg.Cameras["shelf"]
	cam.Kind = "dir"
	cfg.Cameras["shelf"] = cam
	a, err := app.New(cfg, parts(t, &colours{}, g))
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Run(context.Background()); err != nil {
		t.Fatal(err)
	}
	var story []string
	for _, m := range wait() {
		var e mqtt.Match
		if m.Topic != "xbm/board-1/shelf/match" {
			continue
		}
		if err := json.Unmarshal(m.Payload, &e); err != nil {
			t.Fatal(err)
		}
		story = append(story, e.Type+" "+e.Identity.ID)
	}
	if diff := cmp.Diff([]string{"new red-thing", "end red-thing"}, story); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
	if s := a.Summary(); s.Frames != 10 || s.Failed != 0 {
		t.Errorf("%+v; want the 10 pictures that can be read", s)
	}
}
