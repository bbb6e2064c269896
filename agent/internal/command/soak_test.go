package command_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"image/color"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"xbmedge/agent/internal/app"
	"xbmedge/agent/internal/mqtt"
	"xbmedge/agent/internal/mqtt/brokertest"
	"xbmedge/internal/bundle/bundletest"
	"xbmedge/internal/tflite"
	"xbmedge/internal/vision"
)

// beAnAgent is the variable that makes this test program the agent: its arguments are the agent's.
const beAnAgent = "XBM_TEST_BE_AN_AGENT"

// checks draws a chessboard of fields of that many pixels.
func checks(c color.RGBA, field int) vision.Frame {
	f := vision.NewFrame(320, 240)
	for y := range f.Height {
		for x := range f.Width {
			if (x/field+y/field)%2 == 0 {
				p := f.Pix[3*(y*f.Width+x):]
				p[0], p[1], p[2] = c.R, c.G, c.B
			}
		}
	}
	return f
}

// soakClip writes a clip of two things and a wall, and pictures of the things, and returns the paths.
func soakClip(t *testing.T, dir string) (clip, cup, jug string) {
	t.Helper()
	var film bytes.Buffer
	save := func(name string, f vision.Frame) string {
		var picture bytes.Buffer
		if err := vision.EncodeJPEG(&picture, f, 92); err != nil {
			t.Fatal(err)
		}
		for range 25 {
			film.Write(picture.Bytes())
		}
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, picture.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	cup = save("cup.jpg", checks(color.RGBA{250, 40, 20, 255}, 40))
	jug = save("jug.jpg", checks(color.RGBA{20, 90, 250, 255}, 70))
	save("wall.jpg", vision.NewFrame(320, 240))
	save("other.jpg", checks(color.RGBA{60, 250, 90, 255}, 100))
	clip = filepath.Join(dir, "clip.mjpeg")
	if err := os.WriteFile(clip, film.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return clip, cup, jug
}

// sample is a reading of a running agent.
type sample struct{ seconds, rss, goroutines, files, fps float64 }

// scrape reads an agent's metrics from its socket.
func scrape(ctx context.Context, socket string) (string, error) {
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", socket)
	}}}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://agent/metrics", http.NoBody)
	if err != nil {
		return "", err
	}
	answer, err := client.Do(request)
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	return string(text), err
}

func (s *sample) read(t *testing.T, text string) {
	t.Helper()
	for name, to := range map[string]*float64{"rss_bytes": &s.rss, "goroutines": &s.goroutines, "open_files": &s.files, "fps": &s.fps} {
		found := regexp.MustCompile(`(?m)^xbm_` + name + ` (\S+)$`).FindStringSubmatch(text)
		if found == nil {
			t.Fatalf("no metric %s", name)
		}
		var err error
		if *to, err = strconv.ParseFloat(found[1], 64); err != nil {
			t.Fatal(err)
		}
	}
}

// growth is by how much the line that fits best through the samples rises from the first to the last.
func growth(samples []sample, of func(sample) float64) float64 {
	n, sumX, sumY, sumXX, sumXY := float64(len(samples)), 0.0, 0.0, 0.0, 0.0
	for _, s := range samples {
		x, y := s.seconds-samples[0].seconds, of(s)
		sumX, sumY, sumXX, sumXY = sumX+x, sumY+y, sumXX+x*x, sumXY+x*y
	}
	slope := (n*sumXY - sumX*sumY) / (n*sumXX - sumX*sumX)
	return slope * (samples[len(samples)-1].seconds - samples[0].seconds)
}

// judge says what grows in the last half of a soak. Memory may rise by a share of itself, and nothing else by one.
func judge(samples []sample, memory float64) (faults []string) {
	half := samples[len(samples)/2:]
	mean := 0.0
	for _, s := range half {
		mean += s.rss / float64(len(half))
	}
	if g := growth(half, func(s sample) float64 { return s.rss }) / mean; g >= memory {
		faults = append(faults, fmt.Sprintf("memory grows by %.2f %% in the last half", 100*g))
	}
	if g := growth(half, func(s sample) float64 { return s.goroutines }); g >= 1 {
		faults = append(faults, fmt.Sprintf("goroutines grow by %.1f in the last half", g))
	}
	if g := growth(half, func(s sample) float64 { return s.files }); g >= 1 {
		faults = append(faults, fmt.Sprintf("open files grow by %.1f in the last half", g))
	}
	return faults
}

func TestJudge(t *testing.T) {
	run := func(rss, goroutines, files float64) (out []sample) {
		for i := range 100 {
			share := float64(i) / 99
			wobble := float64(i%3) - 1
			out = append(out, sample{10 * float64(i), 1e8 * (1 + rss*share + wobble/1000), 30 + goroutines*share + wobble, 20 + files*share, 100})
		}
		return out
	}
	for _, tt := range []struct {
		samples []sample
		want    int
	}{{run(0, 0, 0), 0}, {run(0.01, 1, 1), 0}, {run(0.03, 0, 0), 1}, {run(0, 3, 0), 1}, {run(0, 0, 3), 1}, {run(0.05, 5, 5), 3}} {
		if got := judge(tt.samples, 0.01); len(got) != tt.want {
			t.Errorf("%q, want %d faults", got, tt.want)
		}
	}
}

// The agent at full rate: a camera that gives as many frames as are taken, and all that can be published. What it holds
// does not grow, and no event is lost. XBM_SOAK is for how many seconds; `make soak` takes an hour.
func TestSoak(t *testing.T) {
	if err := tflite.Available(); err != nil {
		t.Skip(err)
	}
	if testing.Short() {
		t.Skip("takes its time; without -short")
	}
	length, memory := 20*time.Second, 0.10 // so short a time tells little
	if text := os.Getenv("XBM_SOAK"); text != "" {
		seconds, err := strconv.Atoi(text)
		if err != nil || seconds < 20 {
			t.Fatalf("XBM_SOAK=%s: want a number of seconds, at least 20", text)
		}
		length = time.Duration(seconds) * time.Second
		if memory = 0.01; length < 10*time.Minute {
			memory = 0.03
		}
	}
	every := min(10*time.Second, length/20)
	dir, port := t.TempDir(), brokertest.FreePort(t)
	brokertest.Mosquitto(t, t.TempDir(), port)
	broker := fmt.Sprintf("tcp://127.0.0.1:%d", port)
	clip, cup, jug := soakClip(t, dir)
	model := bundletest.Write(t, bundletest.Model(t, 1), nil, nil)
	things, socket := filepath.Join(dir, "things.gallery"), filepath.Join(dir, "m.sock")
	for name, picture := range map[string]string{"Cup": cup, "Jug": jug} {
		if _, err := run(t, "enroll", "--model", model, "--gallery", things, "--threshold", "0.999", name, picture); err != nil {
			t.Fatal(err)
		}
	}
	script := fmt.Sprintf("#!/bin/sh\nwhile cat %s; do :; done\n", clip)
	if err := os.WriteFile(filepath.Join(dir, "rpicam-vid"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	heard := count(t, broker)
	summary := filepath.Join(dir, "summary.json")
	agent := exec.Command(os.Args[0], "run", "--summary", summary, "--set", "model.path="+model, "--set", "gallery.path="+things,
		"--set", "mqtt.broker="+broker, "--set", "state_dir="+filepath.Join(dir, "state"), "--set", "node=soak", "--set", "metrics.listen=unix:"+socket,
		"--set", "mqtt.publish_embeddings=true", "--set", "mqtt.publish_candidates=true", "--set", "track.hold=100ms", "--set", "track.update_interval=100ms",
		"--set", "cameras.shelf.kind=libcamera", "--set", "cameras.shelf.address=0", "--set", "cameras.shelf.fps=0",
		"--set", "cameras.pattern.kind=test", "--set", "cameras.pattern.fps=30", "--set", "log.level=warn")
	agent.Env = append(os.Environ(), beAnAgent+"=yes", "PATH="+dir+":"+os.Getenv("PATH"))
	var log bytes.Buffer
	agent.Stdout, agent.Stderr = &log, &log
	if err := agent.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- agent.Wait() }()
	defer func() { _ = agent.Process.Kill() }()
	var samples []sample
	started, ticker := time.Now(), time.NewTicker(every)
	defer ticker.Stop()
	for time.Since(started) < length {
		select {
		case <-ticker.C:
		case err := <-ended:
			t.Fatalf("the agent has ended: %v\n%s", err, log.String())
		}
		text, err := scrape(t.Context(), socket)
		if err != nil {
			t.Fatalf("%v\n%s", err, log.String())
		}
		s := sample{seconds: time.Since(started).Seconds()}
		s.read(t, text)
		samples = append(samples, s)
		t.Logf("%5.0f s: %.2f MB, %.0f goroutines, %.0f open files, %.0f frames/s", s.seconds, s.rss/1e6, s.goroutines, s.files, s.fps)
	}
	if err := agent.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err != nil {
		t.Fatalf("at the end: %v\n%s", err, log.String())
	}
	for _, fault := range judge(samples, memory) {
		t.Error(fault)
	}
	half := samples[len(samples)/2:]
	messages, gaps := heard()
	text, err := os.ReadFile(summary)
	if err != nil {
		t.Fatal(err)
	}
	var done app.Summary
	if err := json.Unmarshal(text, &done); err != nil {
		t.Fatal(err)
	}
	t.Logf("in the last half memory grew by %.2f %%, goroutines by %.1f, open files by %.1f; %d messages, %d numbers missing; %s",
		100*growth(half, func(s sample) float64 { return s.rss })/half[0].rss, growth(half, func(s sample) float64 { return s.goroutines }),
		growth(half, func(s sample) float64 { return s.files }), messages, gaps, text)
	if done.Events < 10 || done.Lost > 0 || done.Unsent > 0 || gaps > 0 || messages == 0 {
		t.Errorf("%d events, %d lost, %d unsent, %d numbers missing\n%s", done.Events, done.Lost, done.Unsent, gaps, log.String())
	}
}

// count counts what the node soak says until it says goodbye, and the numbers that are missing among its events.
func count(t *testing.T, broker string) (wait func() (messages int, gaps uint64)) {
	t.Helper()
	ready, done := make(chan struct{}), make(chan error, 1)
	ctx, cancel := context.WithCancel(context.Background())
	messages, gaps, next := 0, uint64(0), uint64(1)
	go func() {
		done <- mqtt.Listen(ctx, mqtt.Config{Broker: broker}, []string{"xbm/soak/#"}, slog.New(slog.DiscardHandler), func() error {
			close(ready)
			return nil
		}, func(m mqtt.Message) bool {
			messages++
			var e struct{ Seq uint64 }
			if strings.HasSuffix(m.Topic, "/match") && json.Unmarshal(m.Payload, &e) == nil && e.Seq >= next {
				gaps += e.Seq - next
				next = e.Seq + 1
			}
			return m.Retained || m.Topic != "xbm/soak/status" || string(m.Payload) != "offline"
		})
	}()
	<-ready
	t.Cleanup(cancel)
	return func() (int, uint64) {
		select {
		case <-done:
		case <-time.After(30 * time.Second):
			t.Error("no goodbye")
		}
		return messages, gaps
	}
}
