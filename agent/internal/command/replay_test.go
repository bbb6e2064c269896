package command_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"xbmedge/internal/cli"
	"xbmedge/internal/testdata"
	"xbmedge/internal/tflite"
)

// shown writes a clip of ten frames of each photo, and a gallery that knows the first one's thing.
func shown(t *testing.T) (model, things, clip string) {
	t.Helper()
	if err := tflite.Available(); err != nil {
		t.Skip(err)
	}
	model = testdata.File(t, "tflite/mobilenet_v1_0.25_float.tflite")
	train := filepath.Join(testdata.Dir(t, "grocery"), "train")
	dir := t.TempDir()
	things, clip = filepath.Join(dir, "things.gallery"), filepath.Join(dir, "clip.mjpeg")
	var film bytes.Buffer
	for i, class := range []string{"Banana", "Leek"} {
		list, err := filepath.Glob(filepath.Join(train, class, "*.jpg"))
		if err != nil || len(list) == 0 {
			t.Fatal(list, err)
		}
		if i == 0 {
			if _, err := run(t, "enroll", "--model", model, "--gallery", things, "--threshold", "0.95", class, list[0]); err != nil {
				t.Fatal(err)
			}
		}
		data, err := os.ReadFile(list[0])
		if err != nil {
			t.Fatal(err)
		}
		film.Write(bytes.Repeat(data, 10))
	}
	if err := os.WriteFile(clip, film.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return model, things, clip
}

func TestReplay(t *testing.T) {
	model, things, clip := shown(t)
	args := []string{"replay", clip, "--model", model, "--gallery", things, "--fps", "10", "--trace", "--json"}
	first, err := run(t, args...)
	if err != nil {
		t.Fatal(err)
	}
	again, err := run(t, args...)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(first, again); diff != "" {
		t.Errorf("the same clip told (-first +again):\n%s", diff)
	}
	var got []string
	traced := 0
	for _, line := range strings.Split(strings.TrimSpace(first), "\n") {
		var l struct {
			Type     string
			TS       float64
			Identity struct{ ID string }
			Trace    *struct{ Frame int }
			Summary  *struct{ Frames, Events int }
		}
		if err := json.Unmarshal([]byte(line), &l); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		switch {
		case l.Trace != nil:
			if traced++; l.Trace.Frame != traced {
				t.Errorf("trace %d is of frame %d", traced, l.Trace.Frame)
			}
		case l.Summary != nil:
			if l.Summary.Frames != 20 || l.Summary.Events != 4 {
				t.Errorf("summary %+v", l.Summary)
			}
		default:
			got = append(got, l.Type+" "+l.Identity.ID)
		}
	}
	if diff := cmp.Diff([]string{"new banana", "end banana", "new unknown-1", "end unknown-1"}, got); diff != "" || traced != 20 {
		t.Errorf("%d traces; events (-want +got):\n%s", traced, diff)
	}
	text, err := run(t, "replay", clip, "--model", model, "--gallery", things, "--trace")
	for _, want := range []string{"new    recognized Banana", "new    unknown    Unknown 1", "told as banana (settled)", "nothing moved", "20 frames, 0 without a result"} {
		if err != nil || !strings.Contains(text, want) {
			t.Errorf("%v: without %q", err, want)
		}
	}
}

func TestReplayOfAConfiguredCamera(t *testing.T) {
	model, things, clip := shown(t)
	path := filepath.Join(t.TempDir(), "agent.yaml")
	text := "model: {path: " + model + "}\ngallery: {path: " + things + "}\ncameras:\n" +
		"  a: {kind: device, address: /dev/video9, regions: {kind: boxes, boxes: [0.5 0 0.5 0.5]}}\n  b: {kind: rtsp, address: 'rtsp://nowhere/1'}\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := run(t, "replay", clip, "--config", path, "--camera", "a", "--trace", "--json")
	if err != nil || !strings.Contains(out, `"box":[0.5,0,0.5,0.5]`) {
		t.Errorf("%v; the camera's box is not looked at", err)
	}
	if n := strings.Count(out, `{"trace"`); n != 8 { // 20 frames at 25 a second, of which the camera gives 10
		t.Errorf("%d frames were looked at, want 8", n)
	}
	for _, tt := range []struct {
		args  []string
		want  string
		usage bool
	}{
		{[]string{"replay"}, "want one clip or folder", true},
		{[]string{"replay", "/nonexistent", "--config", path}, "/nonexistent", false},
		{[]string{"replay", clip, "--config", path}, "has the cameras a, b: name one", true},
		{[]string{"replay", clip, "--config", path, "--camera", "c"}, "has no camera c, but a, b", true},
		{[]string{"replay", clip, "--model", model, "--gallery", things, "--fps", "0"}, "0 frames a second", false},
		{[]string{"replay", clip, "--model", model}, "gallery.path", false},
		{[]string{"replay", filepath.Dir(clip), "--model", model, "--gallery", things}, "no pictures", false},
		{[]string{"replay", things, "--model", model, "--gallery", things}, "things.gallery", false},
	} {
		if _, err := run(t, tt.args...); err == nil || !strings.Contains(err.Error(), tt.want) || errors.Is(err, cli.ErrUsage) != tt.usage {
			t.Errorf("%q: %v; want %q, a usage error: %v", tt.args[1:], err, tt.want, tt.usage)
		}
	}
}

func TestBench(t *testing.T) {
	model, things, _ := shown(t)
	for _, size := range []string{"64x48", "1x1"} {
		out, err := run(t, "bench", "--model", model, "--gallery", things, "--frames", "10", "--size", size, "--json")
		var got struct {
			Stages []struct {
				Name string
				P50  float64 `json:"p50_ms"`
				P95  float64 `json:"p95_ms"`
			}
			FPS float64
			RSS uint64 `json:"rss_bytes"`
		}
		if err := errors.Join(err, json.Unmarshal([]byte(out), &got)); err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, s := range got.Stages {
			names = append(names, s.Name)
			if s.P95 < s.P50 {
				t.Errorf("%s: %+v", size, s)
			}
		}
		if diff := cmp.Diff([]string{"decode", "resize", "embed", "match", "decide"}, names); diff != "" || got.FPS <= 0 || got.RSS == 0 {
			t.Errorf("%s: %+v %s", size, got, diff)
		}
	}
	out, err := run(t, "bench", "--model", model, "--frames", "10")
	if err != nil || !strings.Contains(out, "against 1000 embeddings") || !strings.Contains(out, "640×480: ") {
		t.Errorf("%v:\n%s", err, out)
	}
	for args, want := range map[string]string{"--size big": "want such as 640x480", "--frames 1": "want 10 to 100000 frames", "--size 0x5": "pixels a side"} {
		if _, err := run(t, append([]string{"bench", "--model", model}, strings.Fields(args)...)...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", args, err, want)
		}
	}
}
