package camera

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// A camera on a ribbon cable (CSI) of a Raspberry Pi is no V4L2 camera that gives pictures: libcamera has to run its
// image pipeline. Where GStreamer has a plug-in for it, OpenCV reads that. Otherwise libcamera's own program gives the
// frames as JPEGs through a pipe.

// GStreamerHasLibcamera reports whether GStreamer's plug-in for libcamera is installed.
func GStreamerHasLibcamera() bool {
	dirs := filepath.SplitList(os.Getenv("GST_PLUGIN_PATH"))
	for _, dir := range append(dirs, "/usr/lib/*/gstreamer-1.0", "/usr/lib/gstreamer-1.0", "/usr/local/lib/*/gstreamer-1.0") {
		if found, err := filepath.Glob(filepath.Join(dir, "libgstlibcamera.so")); err == nil && len(found) > 0 {
			return true
		}
	}
	return false
}

// LibcameraPipeline is what GStreamer is asked to do; the newest frame waits in its end.
func LibcameraPipeline(cfg Config) string {
	caps := "video/x-raw"
	if cfg.Width > 0 && cfg.Height > 0 {
		caps += fmt.Sprintf(",width=%d,height=%d", cfg.Width, cfg.Height)
	}
	if cfg.FPS > 0 {
		caps += fmt.Sprintf(",framerate=%d/1000", int(1000*cfg.FPS))
	}
	source := "libcamerasrc"
	if cfg.Address != "0" { // which is the first
		source += " camera-name=" + strconv.Quote(cfg.Address)
	}
	return source + " ! " + caps + " ! videoconvert ! video/x-raw,format=BGR ! appsink drop=true max-buffers=1 sync=false"
}

// errNoLibcamera says what to install.
var errNoLibcamera = errors.New("rpicam-vid is not installed: `sudo apt-get install rpicam-apps-lite` on Raspberry Pi OS")

func findLibcamera() (string, error) {
	for _, name := range []string{"rpicam-vid", "libcamera-vid"} { // the newer name first
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", errNoLibcamera
}

// openEither opens the camera through GStreamer where that can, or with libcamera's own program. GStreamer's camera is the
// first, or one by its long name; only the program knows the others by their numbers.
func openEither(cfg Config, video Video, log *slog.Logger) (Source, error) {
	if GStreamerHasLibcamera() && cfg.byGStreamer() {
		src, err := video(cfg)
		if err == nil {
			return src, nil
		}
		log.Debug("not through GStreamer", "error", err)
	}
	return openLibcamera(cfg, log)
}

// byGStreamer reports whether GStreamer can find that camera of libcamera's.
func (c Config) byGStreamer() bool {
	_, err := strconv.ParseUint(c.Address, 10, 8)
	return c.Address == "0" || err != nil
}

// libcamera reads the frames of a child process.
type libcamera struct {
	motionJPEG
	cmd     *exec.Cmd
	timeout time.Duration
	ended   bool
	said    tail // to be read once the child has ended
}

func openLibcamera(cfg Config, log *slog.Logger) (*libcamera, error) {
	program, err := findLibcamera()
	if err != nil {
		return nil, err
	}
	if _, err := strconv.ParseUint(cfg.Address, 10, 8); err != nil {
		return nil, fmt.Errorf("%q is no camera's number; 0 is the first, `%s --list-cameras` lists them", cfg.Address, program)
	}
	args := []string{"--camera", cfg.Address, "--codec", "mjpeg", "--timeout", "0", "--nopreview", "--flush", "--output", "-"}
	if cfg.Width > 0 && cfg.Height > 0 {
		args = append(args, "--width", strconv.Itoa(cfg.Width), "--height", strconv.Itoa(cfg.Height))
	}
	if cfg.FPS > 0 {
		args = append(args, "--framerate", strconv.FormatFloat(cfg.FPS, 'f', -1, 64))
	}
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	c := &libcamera{motionJPEG: motionJPEG{file: r, reader: bufio.NewReaderSize(r, 64<<10)}, timeout: cfg.Patience()}
	c.cmd = exec.Command(program, args...) //nolint:gosec // one of two names, with numbers
	c.cmd.Stdout, c.cmd.Stderr = w, &c.said
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // in our process group: who kills that means it too
	err = c.cmd.Start()
	if closed := w.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return nil, errors.Join(err, r.Close())
	}
	log.Debug("camera program started", "program", program, "arguments", args)
	return c, nil
}

// Read fills f; a camera that gives nothing for the time-out is lost.
func (c *libcamera) Read(ctx context.Context, f *Frame) error {
	if err := c.file.SetReadDeadline(time.Now().Add(c.timeout)); err != nil {
		return err
	}
	err := c.motionJPEG.Read(ctx, f)
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return fmt.Errorf("no frame for %v", c.timeout)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		c.end()
		return fmt.Errorf("%s has ended: %s", c.cmd.Path, c.said.line())
	}
	return err
}

// end ends the child, if it has not ended yet, and waits for it and for the last of what it says.
func (c *libcamera) end() {
	if c.ended {
		return
	}
	c.ended = true
	_ = c.cmd.Process.Kill() // fails where it has ended
	_ = c.cmd.Wait()         // "killed" is no news
}

// Close ends the child.
func (c *libcamera) Close() error {
	c.end()
	return c.motionJPEG.Close()
}

// tail keeps the end of what a program says.
type tail struct{ text bytes.Buffer }

func (t *tail) Write(p []byte) (int, error) {
	const most = 4 << 10
	if t.text.Len() > most {
		t.text.Next(t.text.Len() - most)
	}
	return t.text.Write(p)
}

// line returns the last line.
func (t *tail) line() string {
	lines := strings.Split(strings.TrimSpace(t.text.String()), "\n")
	return lines[len(lines)-1]
}

// LibcameraList asks libcamera's own program which cameras it sees: a line each, which begins with the number.
func LibcameraList(ctx context.Context) ([]string, error) {
	program, err := findLibcamera()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, program, "--list-cameras").CombinedOutput() //nolint:gosec // one of two names
	if err != nil {
		return nil, fmt.Errorf("ask %s for cameras: %w", program, err)
	}
	var list []string
	for line := range strings.Lines(string(out)) {
		number, _, ok := strings.Cut(line, " : ")
		if _, err := strconv.Atoi(number); ok && err == nil {
			list = append(list, strings.TrimSpace(line))
		}
	}
	return list, nil
}
