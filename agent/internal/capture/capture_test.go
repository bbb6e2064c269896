package capture_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"xbmedge/agent/internal/capture"
	"xbmedge/camera"
	"xbmedge/camera/opencv"
	"xbmedge/internal/testdata"
)

func TestFrames(t *testing.T) {
	src := open(t, options(t, "size=320x240,fps=100"))
	var f camera.Frame
	last := uint64(0)
	for range 50 {
		if err := src.Read(t.Context(), &f); err != nil {
			t.Fatal(err)
		}
		n, ok := camera.Number(f.Frame)
		if !ok || n != f.Seq || f.Seq <= last || f.Width != 320 || f.Height != 240 {
			t.Fatalf("frame %d after %d shows %d, %d×%d", f.Seq, last, n, f.Width, f.Height)
		}
		if age := time.Since(f.Captured); age < 0 || age > 2*time.Second {
			t.Errorf("frame %d is %v old", f.Seq, age)
		}
		last = f.Seq
	}
}

// A stream may change its size in the middle, and a frame may have one pixel or 48 million.
func TestSizes(t *testing.T) {
	for _, tt := range []struct {
		address string
		want    []string
	}{
		{"size=64x48,fps=100,resize=0s", []string{"64×48", "32×24", "64×48"}},
		{"size=1x1,fps=100,resize=0s", []string{"1×1", "1×1"}},
		{"size=8000x6000,fps=1", []string{"8000×6000"}},
	} {
		t.Run(tt.address, func(t *testing.T) {
			src := open(t, options(t, tt.address))
			var f camera.Frame
			for _, want := range tt.want {
				err := src.Read(t.Context(), &f)
				if got := fmt.Sprintf("%d×%d", f.Width, f.Height); err != nil || got != want {
					t.Errorf("%s, %v; want %s", got, err, want)
				}
			}
		})
	}
}

// The newest frame wins, and those it replaces are counted.
func TestASlowReader(t *testing.T) {
	o := options(t, "size=640x480,fps=200")
	src := open(t, o)
	var f camera.Frame
	var gaps uint64
	last := uint64(0)
	for range 10 {
		if err := src.Read(t.Context(), &f); err != nil {
			t.Fatal(err)
		}
		if last > 0 {
			gaps += f.Seq - last - 1
		}
		last = f.Seq
		time.Sleep(100 * time.Millisecond) // what is tested is real time
		if age := time.Since(f.Captured); age > 2*time.Second {
			t.Errorf("frame %d is %v old: an old one was kept", f.Seq, age)
		}
	}
	if dropped := o.Counts.Dropped.Load(); gaps == 0 || dropped == 0 || dropped > gaps+last {
		t.Errorf("%d frames missing, %d counted as dropped", gaps, dropped)
	}
}

func TestRate(t *testing.T) {
	o := options(t, "size=64x48,fps=200")
	o.Camera.FPS = 10
	src := open(t, o)
	var f camera.Frame
	started := time.Now()
	for range 10 {
		if err := src.Read(t.Context(), &f); err != nil {
			t.Fatal(err)
		}
	}
	if took := time.Since(started); took < 700*time.Millisecond { // 9 intervals of 87.5 ms
		t.Errorf("10 frames in %v at 10 frames a second", took)
	}
}

// A rate lower than the patience with a stall is no stall, since frames come that are not passed on.
func TestALowRateIsNoStall(t *testing.T) {
	o := options(t, "size=64x48,fps=50")
	o.Camera.FPS, o.Stall = 0.5, 900*time.Millisecond
	src := open(t, o)
	var f camera.Frame
	for range 2 {
		if err := src.Read(t.Context(), &f); err != nil {
			t.Fatal(err)
		}
	}
}

func TestTroubles(t *testing.T) {
	tests := []struct {
		name, address string
		want          error
		text          string
		count         func(c *capture.Counts) uint64
	}{
		{"stalls", "fps=50,stall=200ms", capture.ErrStalled, "nothing for", func(c *capture.Counts) uint64 { return c.Stalled.Load() }},
		{"freezes", "fps=50,freeze=200ms", capture.ErrFrozen, "the same for", func(c *capture.Counts) uint64 { return c.Frozen.Load() }},
		{"crashes", "fps=50,crash=200ms", nil, "signal: killed", nil},
		{"is lost", "fps=50,frames=5", nil, "the test pattern has given its frames", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o := options(t, "size=64x48,"+tt.address)
			o.Stall, o.Frozen = time.Second, 500*time.Millisecond
			o.Camera.Timeout = time.Second
			src := open(t, o)
			var f camera.Frame
			var err error
			began := time.Now()
			for n := 0; err == nil; n++ {
				if err = src.Read(t.Context(), &f); err != nil && n == 0 {
					t.Errorf("not one frame")
				}
				if time.Since(began) > 10*time.Second {
					t.Fatal("not noticed in 10 s")
				}
			}
			if tt.want != nil && !errors.Is(err, tt.want) || !strings.Contains(err.Error(), tt.text) {
				t.Errorf("error %v, want %v that says %q", err, tt.want, tt.text)
			}
			if tt.count != nil && tt.count(o.Counts) != 1 {
				t.Error("not counted")
			}
		})
	}
}

func TestOpenTellsWhy(t *testing.T) {
	self := options(t, "").Program
	for _, tt := range []struct {
		name    string
		cfg     camera.Config
		program []string
		want    string
	}{
		{"refused", camera.Config{Kind: camera.Test, Address: "refuse=0s"}, self, "told to refuse"},
		{"no such setting", camera.Config{Kind: camera.Test, Address: "x=1"}, self, "no setting of the test pattern"},
		{"no such program", camera.Config{Kind: camera.Test}, []string{"/nonexistent/program"}, "start the capture process"},
		{"a program that fails", camera.Config{Kind: camera.Test}, []string{"/bin/sh", "-c", "echo no room >&2; exit 3"}, "(exit status 3): no room"},
		{"a program that says other things", camera.Config{Kind: camera.Test}, []string{"/bin/sh", "-c", "yes 0123456789 >&3"}, "of another version"},
		{"nobody there", camera.Config{Kind: camera.RTSP, Address: "rtsp://a:s3cret@127.0.0.1:1/x"}, self, "no answer"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o := options(t, "")
			o.Camera, o.Program = tt.cfg, tt.program
			src, err := capture.Open(t.Context(), o)
			if err == nil {
				_ = src.Close()
				t.Fatal("opened")
			}
			if !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "s3cret") {
				t.Errorf("error %q; want %q and no password", err, tt.want)
			}
		})
	}
}

// A clip comes whole and in order, however slowly it is read.
func TestAClipComesWhole(t *testing.T) {
	if err := opencv.Available(); err != nil {
		t.Skip(err)
	}
	o := options(t, "")
	o.Camera = camera.Config{Kind: camera.File, Address: filepath.Join(testdata.Dir(t, "video"), "bottle-detection.mp4")}
	o.Camera.FPS = 5 // is for live cameras only
	src := open(t, o)
	var f camera.Frame
	n := uint64(0)
	for {
		err := src.Read(t.Context(), &f)
		if errors.Is(err, io.EOF) {
			break
		}
		if n++; err != nil || f.Seq != n {
			t.Fatalf("frame %d is number %d, %v", n, f.Seq, err)
		}
	}
	if n != 1189 {
		t.Errorf("%d frames, want 1189", n)
	}
}

// A wait gives signs of life, and ends with its context.
func TestCancel(t *testing.T) {
	o := options(t, "size=64x48,fps=50,stall=0s")
	turns := 0
	o.Alive, o.Stall = func() { turns++ }, time.Minute
	src := open(t, o)
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	began := time.Now()
	var f camera.Frame
	if err := src.Read(ctx, &f); !errors.Is(err, context.DeadlineExceeded) || time.Since(began) > 2*time.Second || turns < 2 {
		t.Errorf("%v after %v, %d signs of life", err, time.Since(began), turns)
	}
}

// What a process is given can be read by others, except for what goes through a pipe.
func TestSecretsStayOut(t *testing.T) {
	t.Setenv("XBM_MQTT_PASSWORD", "s3cret")
	var said lockedBuffer
	o := options(t, "")
	o.Log = slog.New(slog.NewTextHandler(&said, &slog.HandlerOptions{Level: slog.LevelDebug}))
	report := filepath.Join(t.TempDir(), "report")
	o.Camera.Address = "rtsp://me:hunter22@127.0.0.1/x" // a test pattern would not take it; the script does not look
	o.Program = []string{"/bin/sh", "-c", "tr '\\0' '\\n' </proc/self/environ >" + report + "; tr '\\0' ' ' </proc/$$/cmdline >>" + report +
		"; read line; echo \"got $line\" >&2; exit 1"}
	if src, err := capture.Open(t.Context(), o); err == nil {
		_ = src.Close()
		t.Fatal("opened")
	} else if strings.Contains(err.Error(), "hunter22") {
		t.Errorf("error %v", err)
	}
	text, err := os.ReadFile(report)
	if err != nil || !strings.Contains(string(text), "PATH=") {
		t.Fatalf("no report: %v %s", err, text)
	}
	if strings.Contains(string(text), "s3cret") || strings.Contains(string(text), "hunter22") {
		t.Errorf("a secret in the environment or the arguments:\n%s", text)
	}
	if log := said.String(); strings.Contains(log, "hunter22") || !strings.Contains(log, "got ") {
		t.Errorf("log:\n%s", log)
	}
}

// lockedBuffer may be written by several goroutines.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
