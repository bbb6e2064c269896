package capture_test

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"xbmedge/agent/internal/capture"
	"xbmedge/camera"
)

// httpOptions are for a camera at a host, read by the program that capture.Program finds.
func httpOptions(t *testing.T, serve func(net.Conn)) capture.Options {
	t.Helper()
	h := &host{address: "127.0.0.1:0", serve: serve}
	if err := h.on(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.off)
	o := options(t, "")
	o.Program = nil
	o.Camera.Kind, o.Camera.Address = camera.HTTP, "http://"+h.address+"/live"
	return o
}

// helper puts a program, or what stands in for it here, beside this one.
func helper(t *testing.T, name string) (path string) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	path = filepath.Join(filepath.Dir(self), name)
	if err := os.WriteFile(path, fmt.Appendf(nil, "#!/bin/sh\nexec %s %s\n", self, counterArgument), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.Remove(path); err != nil {
			t.Error(err)
		}
	})
	return path
}

func TestProgram(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	program := func(kind camera.Kind) string {
		command, err := capture.Program(camera.Config{Kind: kind})
		if err != nil {
			return err.Error()
		}
		return strings.Join(command, " ")
	}
	if got, want := program(camera.HTTP), self+" capture"; got != want {
		t.Errorf("alone: %q, want %q", got, want)
	}
	if got := program(camera.Device); !strings.Contains(got, "needs OpenCV: the program xbm-capture is in none of") {
		t.Errorf("a device without OpenCV: %q", got)
	}
	for kind, name := range map[camera.Kind]string{camera.HTTP: "xbm-stream", camera.Device: "xbm-capture"} {
		if want, got := helper(t, name), program(kind); got != want {
			t.Errorf("%s: %q, want %q", kind, got, want)
		}
	}
}

// film answers with a film, which only OpenCV reads.
func film4(conn net.Conn) {
	defer conn.Close()
	if _, _, err := readRequest(bufio.NewReader(conn)); err == nil {
		fmt.Fprint(conn, "HTTP/1.1 200 OK\r\nContent-Type: video/mp4\r\nConnection: close\r\n\r\nftyp")
	}
}

func TestMotionJPEGTakesNoOpenCV(t *testing.T) {
	o := httpOptions(t, newFilm(t).serveHTTP)
	src := open(t, o)
	var f camera.Frame
	for want := uint64(1); want <= 3; want++ {
		if err := src.Read(t.Context(), &f); err != nil {
			t.Fatal(err)
		}
		if f.Seq != want || f.Width != 320 || f.Height != 240 {
			t.Errorf("frame %d is number %d, %d×%d", want, f.Seq, f.Width, f.Height)
		}
	}
	if n := o.Counts.Starts.Load(); n != 1 {
		t.Errorf("%d processes", n)
	}
}

func TestOtherStreamsAreReadWithOpenCV(t *testing.T) {
	o := httpOptions(t, film4)
	_, err := capture.Open(t.Context(), o)
	if err == nil || !strings.Contains(err.Error(), "video/mp4") || !strings.Contains(err.Error(), "install the package") {
		t.Errorf("without the program that has it: %v; want why and what to do", err)
	}
	helper(t, "xbm-capture")
	src := open(t, o)
	var f camera.Frame
	if err := src.Read(t.Context(), &f); err != nil {
		t.Fatal(err)
	}
	checkWhole(t, &f)
	if n := o.Counts.Starts.Load(); n != 3 {
		t.Errorf("%d processes; want the first one's, and then two", n)
	}
}
