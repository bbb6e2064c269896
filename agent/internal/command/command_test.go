package command_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"xbmedge/agent/internal/command"
	"xbmedge/agent/internal/mqtt/brokertest"
	"xbmedge/agent/internal/results"
	"xbmedge/internal/cli"
	"xbmedge/internal/gallery"
	"xbmedge/internal/testdata"
	"xbmedge/internal/tflite"
)

func run(t *testing.T, args ...string) (stdout string, err error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	var out, messages bytes.Buffer
	err = command.New().Run(ctx, args, &out, &messages)
	t.Logf("%s\n%s%s(%v)", strings.Join(args, " "), messages.String(), out.String(), err)
	return out.String(), err
}

func TestUsage(t *testing.T) {
	tests := []struct {
		args  string
		want  string
		usage bool
	}{
		{"", "no command", true},
		{"fly", `unknown command "fly"`, true},
		{"enrol", `unknown command "enrol" (did you mean enroll?)`, true},
		{"gallery lits", `unknown command "lits" (did you mean list?)`, true},
		{"run --fast", "unknown flag: --fast", true},
		{"run now", `"now" is not a flag`, true},
		{"enroll --model m", "--gallery missing", true},
		{"enroll --model m --gallery g", "want a name and its pictures, or --dir", true},
		{"enroll --gallery g a/b c", "path separator", true},
		{"gallery show --gallery g", "want one id", true},
		{"gallery forget --gallery g x", "is no embedding's number", true},
		{"gallery reject --gallery g x", "--as missing", true},
		{"calibrate", "--gallery missing", true},
		{"once --model m", "--gallery and --image missing", true},
		{"gallery", "or verify", true},
		{"gallery remove --gallery g", "want ids", true},
		{"gallery remove a", "--gallery missing", true},
		{"gallery list", "--gallery missing", true},
		{"gallery list --gallery /nonexistent", "/nonexistent", false},
		{"run", "model.path: is empty", false},
		{"run --config /nonexistent", "/nonexistent", false},
		{"doctor --config /nonexistent", "doctor: ", false},
		{"listen --broker nowhere", "want a URL such as tcp://localhost:1883", false},
	}
	for _, tt := range tests {
		_, err := run(t, strings.Fields(tt.args)...)
		if err == nil || !strings.Contains(err.Error(), tt.want) || errors.Is(err, cli.ErrUsage) != tt.usage {
			t.Errorf("%q: %v; want %q, a usage error: %v", tt.args, err, tt.want, tt.usage)
		}
	}
	for _, args := range []string{"help", "--help", "run --help", "gallery --help", "help gallery list", "version", "--version", "version --json"} {
		if _, err := run(t, strings.Fields(args)...); err != nil {
			t.Errorf("%q: %v", args, err)
		}
	}
}

func TestVersionListsParts(t *testing.T) {
	out, err := run(t, "version", "--json")
	if err != nil {
		t.Fatal(err)
	}
	var v map[string]string
	if err := json.Unmarshal([]byte(out), &v); err != nil {
		t.Fatal(err)
	}
	if (v["tflite"] == "") != (tflite.Available() != nil) || v["go"] == "" {
		t.Errorf("version %v", v)
	}
}

func TestDoctor(t *testing.T) {
	t.Setenv("CREDENTIALS_DIRECTORY", "")
	path := filepath.Join(t.TempDir(), "agent.yaml")
	if err := os.WriteFile(path, []byte("modle: {path: x}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := run(t, "doctor", "--config", path)
	if err == nil || errors.Is(err, cli.ErrUsage) || !strings.Contains(out, "FAULT  configuration   "+path+": modle: unknown key; did you mean model? → correct it") {
		t.Errorf("%v\n%s", err, out)
	}
	out, err = run(t, "doctor", "--json", "--config", path)
	var got struct {
		Faults   int
		Findings []struct{ Check, Level, Found, Remedy string }
	}
	if failed := json.Unmarshal([]byte(out), &got); failed != nil || err == nil || got.Faults == 0 || got.Findings[0].Level != "FAULT" {
		t.Errorf("%v, %v\n%s", err, failed, out)
	}
}

func TestSupportBundle(t *testing.T) {
	t.Setenv("CREDENTIALS_DIRECTORY", "")
	out := filepath.Join(t.TempDir(), "report.tar.gz")
	text, err := run(t, "support-bundle", "--out", out)
	if info, failed := os.Stat(out); err != nil || failed != nil || info.Size() == 0 || !strings.Contains(text, out) {
		t.Errorf("%q, %v, %v", text, err, failed)
	}
	if _, err := run(t, "support-bundle", "--out", "/nonexistent/report.tar.gz"); err == nil || !strings.Contains(err.Error(), "make it first") {
		t.Errorf("no folder: %v", err)
	}
}

func TestRunRefusesAMissingPart(t *testing.T) {
	if tflite.Available() == nil {
		t.Skip("TensorFlow Lite is compiled in: nothing is missing")
	}
	dir := t.TempDir()
	_, err := run(t, "run", "--set", "model.path=m", "--set", "gallery.path=g", "--set", "state_dir="+dir,
		"--set", "cameras.c.kind=dir", "--set", "cameras.c.address="+dir)
	if !errors.Is(err, tflite.ErrUnavailable) {
		t.Errorf("error %v; want that TensorFlow Lite is missing", err)
	}
}

// From photos to events with a real model, through the command line only.
func TestPhotosToEvents(t *testing.T) {
	if err := tflite.Available(); err != nil {
		t.Skip(err)
	}
	model := testdata.File(t, "tflite/mobilenet_v1_0.25_float.tflite")
	grocery := testdata.Dir(t, "grocery")
	dir := t.TempDir()
	things := filepath.Join(dir, "things.gallery")
	pictures := func(class string) []string {
		t.Helper()
		list, err := filepath.Glob(filepath.Join(grocery, "train", class, "*.jpg"))
		if err != nil || len(list) < 3 {
			t.Fatalf("pictures of %s: %v, %v", class, list, err)
		}
		return list
	}
	banana, milk := pictures("Banana"), pictures("Arla-Sour-Milk")
	for name, list := range map[string][]string{"Banana": banana[:3], "Sour milk": milk[:3]} {
		if _, err := run(t, append([]string{"enroll", "--model", model, "--gallery", things, name}, list...)...); err != nil {
			t.Fatal(err)
		}
	}
	out, err := run(t, "gallery", "list", "--gallery", things, "--json")
	if err != nil || !strings.Contains(out, `"id":"banana"`) || !strings.Contains(out, `"name":"Sour milk","vectors":3`) {
		t.Fatalf("gallery %s, %v", out, err)
	}
	out, err = run(t, "once", "--model", model, "--gallery", things, "--image", banana[0], "--json")
	var one struct {
		Known    bool
		Identity gallery.Identity
		Score    float64
	}
	if err := errors.Join(err, json.Unmarshal([]byte(out), &one)); err != nil || !one.Known || one.Identity.ID != "banana" || one.Score < 0.999 {
		t.Errorf("an enrolled picture: %s, %v", out, err)
	}

	var clip bytes.Buffer
	for i := range 20 {
		data, err := os.ReadFile([]string{banana[0], milk[0]}[i/10])
		if err != nil {
			t.Fatal(err)
		}
		clip.Write(data)
	}
	clipPath, resultPath := filepath.Join(dir, "clip.mjpeg"), filepath.Join(dir, "results.jsonl")
	if err := os.WriteFile(clipPath, clip.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	broker := brokertest.Start(t, "127.0.0.1:0")
	countPath, readyPath := filepath.Join(dir, "counts.json"), filepath.Join(dir, "ready")
	listened := make(chan string, 1)
	go func() {
		var out bytes.Buffer
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		err := command.New().Run(ctx, []string{"listen", "--broker", broker.URL(), "--exit-after-offline", "--count-file", countPath, "--ready-file", readyPath}, &out, &bytes.Buffer{})
		listened <- fmt.Sprint(out.String(), err)
	}()
	for deadline := time.Now().Add(30 * time.Second); ; {
		if _, err := os.Stat(readyPath); err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("not listening")
		}
		<-time.After(5 * time.Millisecond)
	}
	if _, err := run(t, "run", "--results", resultPath, "--set", "model.path="+model, "--set", "gallery.path="+things,
		"--set", "mqtt.broker="+broker.URL(), "--set", "state_dir="+dir, "--set", "node=test",
		"--set", "cameras.shelf.kind=file", "--set", "cameras.shelf.address="+clipPath); err != nil {
		t.Fatal(err)
	}
	text := <-listened
	for _, want := range []string{"xbm/test/status: online", "shelf        new    recognized Banana", "new    recognized Sour milk", "end    left       Sour milk", "xbm/test/status: offline"} {
		if !strings.Contains(text, want) {
			t.Errorf("heard\n%s\nwithout %q", text, want)
		}
	}
	counts, err := os.ReadFile(countPath)
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]int
	if err := json.Unmarshal(counts, &got); err != nil {
		t.Fatal(err)
	}
	delete(got, "messages") // the status and statistics come as often as they come
	if diff := cmp.Diff(map[string]int{"events": 4, "recognized": 2, "unknown": 0, "duplicates": 0, "missing": 0}, got); diff != "" {
		t.Errorf("counts: %s", diff)
	}
	checkResults(t, resultPath)
	for flag, want := range map[string]string{"--results=/dev/full": "no space left", "--summary=/nonexistent/s.json": "there is no folder"} {
		if _, err := run(t, "run", flag, "--set", "model.path="+model, "--set", "gallery.path="+things,
			"--set", "mqtt.broker="+broker.URL(), "--set", "state_dir="+dir,
			"--set", "cameras.shelf.kind=file", "--set", "cameras.shelf.address="+clipPath); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want %q", flag, err, want)
		}
	}
	checkWrongModel(t, things, clipPath, dir)
}

func checkResults(t *testing.T, path string) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(data)), "\n")
	if len(lines) != 20 {
		t.Fatalf("%d results, want 20", len(lines))
	}
	for i, line := range lines {
		var l results.Line
		if err := json.Unmarshal([]byte(line), &l); err != nil {
			t.Fatal(err)
		}
		want := []string{"banana", "sour-milk"}[i/10]
		if l.Identity != want || l.Seq != uint64(i+1) || l.Camera != "shelf" {
			t.Errorf("frame %d: %s; want %s", i+1, line, want)
		}
	}
}

// A gallery of another model is refused, with the names of both.
func checkWrongModel(t *testing.T, things, clip, dir string) {
	t.Helper()
	other := testdata.File(t, "tflite/vww_96_int8.tflite")
	for _, args := range [][]string{
		{"once", "--model", other, "--gallery", things, "--image", clip},
		{"enroll", "--model", other, "--gallery", things, "--dir", dir},
	} {
		before, err := os.ReadFile(things)
		if err != nil {
			t.Fatal(err)
		}
		if args[0] == "enroll" {
			args[len(args)-1] = filepath.Join(testdata.Dir(t, "grocery"), "test")
		}
		_, err = run(t, args...)
		if !errors.Is(err, gallery.ErrWrongModel) || !strings.Contains(err.Error(), "the model in use is") {
			t.Errorf("%s: %v", args[0], err)
		}
		after, err := os.ReadFile(things)
		if err != nil || !bytes.Equal(before, after) {
			t.Errorf("%s changed the gallery: %v", args[0], err)
		}
	}
	missing := filepath.Join(dir, "none.gallery")
	_, err := run(t, "check-config", "--set", "model.path="+other, "--set", "gallery.path="+missing, "--set", "cameras.c.kind=file", "--set", "cameras.c.address="+clip)
	if err == nil || !strings.Contains(err.Error(), "xbm-agent enroll") {
		t.Errorf("missing gallery: %v; want what to do", err)
	}
}

// What only a person can mend ends with the exit code at which the service manager does not try again.
func TestStartThatCannotSucceed(t *testing.T) {
	dir := t.TempDir()
	for name, args := range map[string][]string{
		"a misspelt key": {"--set", "mqtt.brokr=x"},
		"no model":       {"--set", "model.path=" + dir + "/none", "--set", "gallery.path=g", "--set", "cameras.c.kind=dir", "--set", "cameras.c.address=" + dir},
	} {
		_, err := run(t, append([]string{"run", "--set", "state_dir=" + dir}, args...)...)
		var code interface{ ExitCode() int }
		if !errors.As(err, &code) || code.ExitCode() != 78 {
			t.Errorf("%s: %v; want exit code 78", name, err)
		}
	}
}
