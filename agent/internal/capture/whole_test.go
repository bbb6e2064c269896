package capture_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"xbmedge/agent/internal/capture"
	"xbmedge/camera"
)

// counterArgument makes this test program a capture process whose devices are counters.
const counterArgument = "be-a-counting-capture-process"

// counter gives frames as fast as they are taken, of two sizes in turn; every byte of one is its number.
type counter struct{ seq uint64 }

func openCounter(camera.Config) (camera.Source, error) { return &counter{}, nil }

func counterSize(seq uint64) (width, height int) { return 640 - 160*int(seq%2), 480 }

func (c *counter) Read(_ context.Context, f *camera.Frame) error {
	c.seq++
	width, height := counterSize(c.seq)
	camera.Shape(&f.Frame, width, height)
	f.Pix[0] = byte(c.seq)
	for n := 1; n < len(f.Pix); n *= 2 {
		copy(f.Pix[n:], f.Pix[:n])
	}
	f.Seq, f.Captured = c.seq, time.Now()
	return nil
}

func (c *counter) Close() error { return nil }

func counterOptions(t *testing.T) capture.Options {
	o := options(t, "")
	o.Camera.Kind, o.Camera.Address = camera.Device, "/dev/null" // which is there; nobody opens it
	o.Program[1] = counterArgument
	return o
}

// checkWhole fails the test where a frame has bytes of another one.
func checkWhole(t *testing.T, f *camera.Frame) {
	t.Helper()
	width, height := counterSize(f.Seq)
	if f.Width != width || f.Height != height || bytes.Count(f.Pix, []byte{byte(f.Seq)}) != 3*width*height {
		t.Fatalf("frame %d is torn: %d×%d, %d of %d bytes are its own", f.Seq, f.Width, f.Height,
			bytes.Count(f.Pix, []byte{byte(f.Seq)}), len(f.Pix))
	}
}

// No frame has a part of another, whether the reader is faster than the camera or slower, and frames are left out.
func TestFramesAreWhole(t *testing.T) {
	o := counterOptions(t)
	src := open(t, o)
	var f camera.Frame
	last := uint64(0)
	for n := range 300 {
		if err := src.Read(t.Context(), &f); err != nil {
			t.Fatal(err)
		}
		checkWhole(t, &f)
		if f.Seq <= last {
			t.Fatalf("frame %d after %d", f.Seq, last)
		}
		last = f.Seq
		if n%3 == 0 {
			time.Sleep(20 * time.Millisecond) // so that the pipe is full: what is tested is real time
		}
	}
	if o.Counts.Dropped.Load() == 0 {
		t.Error("no frame was replaced by a newer one: the test shows nothing")
	}
}

// A process that is killed while it writes leaves no half frame behind.
func TestKilledInTheMiddle(t *testing.T) {
	for i := range 5 {
		src := open(t, counterOptions(t))
		pid := src.PID()
		killer := time.AfterFunc(time.Duration(10+7*i)*time.Millisecond, func() { _ = syscall.Kill(pid, syscall.SIGKILL) })
		defer killer.Stop()
		var f camera.Frame
		var err error
		for err == nil {
			if err = src.Read(t.Context(), &f); err == nil {
				checkWhole(t, &f)
			}
		}
		if !strings.Contains(err.Error(), "signal: killed") {
			t.Errorf("from a killed process: %v", err)
		}
	}
}

// What a capture process says is checked: it has a camera's picture in its memory, from anywhere.
func TestStrangeFrames(t *testing.T) {
	for _, tt := range []struct {
		name  string
		frame []byte
		want  string
	}{
		{"too large", capture.FrameHeader(9000, 8000, 3*9000*8000), "larger than 64 megapixels"},
		{"too large for 32 bits", capture.FrameHeader(1<<31, 1<<31, 0), "a frame of"},
		{"no pixels", capture.FrameHeader(0, 8, 0), "has no pixels"},
		{"another length", capture.FrameHeader(2, 2, 13), "13 bytes for 2×2"},
		{"a half frame", append(capture.FrameHeader(2, 2, 12), 1, 2, 3), "has ended"},
		{"a half header", capture.FrameHeader(2, 2, 12)[:20], "has ended"},
		{"another format", bytes.Repeat([]byte{7}, 64), "of another version"},
		{"another message", capture.Beginning(), "between frames"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "said")
			if err := os.WriteFile(file, append(capture.Beginning(), tt.frame...), 0o600); err != nil {
				t.Fatal(err)
			}
			o := options(t, "")
			o.Program = []string{"/bin/sh", "-c", "cat " + file + " >&3"}
			src := open(t, o)
			var f camera.Frame
			if err := src.Read(t.Context(), &f); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%v, want %q", err, tt.want)
			}
		})
	}
}

// The time of a frame is the machine's steady one, not that of the clock, which may be set.
func TestCapturedIsMonotonic(t *testing.T) {
	src := open(t, options(t, "size=64x48,fps=50"))
	var f camera.Frame
	if err := src.Read(t.Context(), &f); err != nil {
		t.Fatal(err)
	}
	if s := f.Captured.String(); !strings.Contains(s, " m=") {
		t.Errorf("captured at %s, which has no monotonic reading", s)
	}
}

// A process has the files that it needs, and none of those that its agent has open.
func TestFilesOfAProcess(t *testing.T) {
	other := open(t, options(t, "size=64x48,fps=50")) // whose pipes would be inherited
	report := filepath.Join(t.TempDir(), "files")
	o := options(t, "")
	o.Program = []string{"/bin/sh", "-c", "for n in 0 1 2 3 4 5 6 7 8 9; do [ ! -e /proc/$$/fd/$n ] || echo $n; done >" + report + "; exit 1"}
	if src, err := capture.Open(t.Context(), o); err == nil {
		t.Error(src.Close())
	}
	text, err := os.ReadFile(report)
	if err != nil {
		t.Fatal(err)
	}
	if files := strings.Fields(string(text)); !slices.Equal(files, []string{"0", "1", "2", "3"}) {
		t.Errorf("files %s, want 0 to 3", files)
	}
	var f camera.Frame
	if err := other.Read(t.Context(), &f); err != nil {
		t.Error(err)
	}
}

// Opening in vain leaves neither files nor processes behind.
func TestFailuresLeaveNothing(t *testing.T) {
	try := func() {
		for _, program := range [][]string{
			{"/nonexistent/program"},
			{"/bin/sh", "-c", "exit 3"},
			{"/bin/sh", "-c", "sleep 60 & yes 0123456789 >&3"},
			options(t, "").Program,
		} {
			o := options(t, "refuse=0s")
			o.Program = program
			if src, err := capture.Open(t.Context(), o); err == nil {
				t.Error(src.Close())
			}
		}
	}
	try() // what is there once and stays
	before := count(t)
	for range 5 {
		try()
	}
	after := count(t)
	if after.files > before.files || after.children > before.children {
		t.Errorf("before: %+v, after: %+v", before, after)
	}
}
