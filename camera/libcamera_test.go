package camera

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// program puts a shell script in the place of rpicam-vid. It finds a clip of two frames as $CLIP.
func program(t *testing.T, script string) (arguments string) {
	t.Helper()
	dir := t.TempDir()
	arguments = filepath.Join(dir, "arguments")
	clip := filepath.Join(dir, "clip.mjpeg")
	text := fmt.Sprintf("#!/bin/sh\nCLIP=%s\necho \"$@\" >%s\n%s\n", clip, arguments, script)
	if err := os.WriteFile(clip, append(grey(t), grey(t)...), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "rpicam-vid"), []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	return arguments
}

func TestLibcamera(t *testing.T) {
	arguments := program(t, `cat "$CLIP" "$CLIP"; exec sleep 60`)
	cfg := Config{Kind: Libcamera, Address: "1", Width: 64, Height: 48, FPS: 7.5, Timeout: 500 * time.Millisecond}
	src, err := Open(cfg, Parts{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	var f Frame
	for n := range 4 {
		if err := src.Read(t.Context(), &f); err != nil || f.Seq != uint64(n+1) || f.Width == 0 {
			t.Fatalf("frame %d: %d wide, number %d, %v", n+1, f.Width, f.Seq, err)
		}
	}
	if err := src.Read(t.Context(), &f); err == nil || !strings.Contains(err.Error(), "no frame for 500ms") {
		t.Errorf("from a camera that stalls: %v", err)
	}
	pid := src.(*libcamera).cmd.Process.Pid
	if err := src.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(fmt.Sprintf("/proc/%d", pid)); err == nil {
		t.Error("the camera's program still runs")
	}
	got, err := os.ReadFile(arguments)
	if err != nil || !strings.Contains(string(got), "--camera 1 --codec mjpeg --timeout 0 ") || !strings.Contains(string(got), "--width 64 --height 48 --framerate 7.5") {
		t.Errorf("arguments %q, %v", got, err)
	}
}

func TestLibcameraThatEnds(t *testing.T) {
	program(t, `echo "[1] INFO starting" >&2; echo "ERROR: *** no cameras available ***" >&2; exit 255`)
	src, err := Open(Config{Kind: Libcamera, Address: "0"}, Parts{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	var f Frame
	if err := src.Read(t.Context(), &f); err == nil || !strings.Contains(err.Error(), "no cameras available") {
		t.Errorf("error %v does not say what the program said", err)
	}
}

func TestLibcameraRefuses(t *testing.T) {
	program(t, "exit 1")
	if _, err := Open(Config{Kind: Libcamera, Address: "/dev/video0"}, Parts{Log: slog.New(slog.DiscardHandler)}); err == nil || !strings.Contains(err.Error(), "no camera's number") {
		t.Errorf("a device as the address: %v", err)
	}
	t.Setenv("PATH", t.TempDir())
	if err := Check(Config{Kind: Libcamera, Address: "0"}); err == nil || !strings.Contains(err.Error(), "apt-get install") {
		t.Errorf("without the program: %v", err)
	}
}
