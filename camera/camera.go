// Package camera reads frames: from a camera on this board (V4L2, libcamera), a network camera (RTSP, HTTP), a clip, or
// pictures. What needs OpenCV is in camera/opencv, which a program hands to Open; without it pictures, motion-JPEG clips,
// libcamera through its own program, and the test pattern still work.
//
// A Source may block inside a driver, where nothing but the end of its process helps: live ones run in a process of their
// own (see agent/internal/capture).
package camera

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"time"

	"xbmedge/internal/redact"
	"xbmedge/internal/vision"
)

// Kind says what an address means.
type Kind string

// The kinds of sources.
const (
	File   Kind = "file"   // a clip, or one picture
	Dir    Kind = "dir"    // a folder of pictures, in the order of their names; with Watch those that come
	Device Kind = "device" // a V4L2 device: a number, or a path such as /dev/video0
	RTSP   Kind = "rtsp"   // the URL of a network camera
	HTTP   Kind = "http"   // a URL of motion JPEG, or of anything else that FFmpeg reads
	// Libcamera is a camera on a ribbon cable (CSI) of a Raspberry Pi: its number, 0 for the first.
	Libcamera Kind = "libcamera"
	// Test is a pattern that moves, for trials without a camera; see the source file pattern.go.
	Test Kind = "test"
)

// Kinds lists all kinds.
func Kinds() []Kind { return []Kind{File, Dir, Device, RTSP, HTTP, Libcamera, Test} }

// Local reports whether the camera is a device of this board.
func (k Kind) Local() bool { return k == Device || k == Libcamera }

// Config says where frames come from and what is done to each. It can be written as JSON.
type Config struct {
	Kind    Kind
	Address string // path, device, URL, or settings of the test pattern
	Watch   bool   // of Dir: only pictures that come from now on, without an end
	// Format, Width, Height and FPS are asked of a Device, the latter three also of Libcamera; it may give others. Zero
	// leaves the choice to it. Format is a fourcc such as MJPG.
	Format        string
	Width, Height int
	FPS           float64
	// Timeout bounds how long opening and reading an RTSP or HTTP stream, or reading of Libcamera, may take; 0 means 5 s.
	Timeout time.Duration
	View    View
}

// Live reports whether frames come at their own pace, so that a slow reader has to skip some. A clip or a folder waits
// for its reader and has an end.
func (c Config) Live() bool { return c.Kind != File && (c.Kind != Dir || c.Watch) }

// Apart reports whether the source may hang or bring down the process that reads it, and so needs one of its own.
func (c Config) Apart() bool { return c.Kind != Dir && (c.Kind != File || c.NeedsOpenCV()) }

// NeedsOpenCV reports whether only OpenCV reads such a source. Libcamera can be read by OpenCV and needs it not; of HTTP only
// what is no motion JPEG needs it, and that is known when it is opened.
func (c Config) NeedsOpenCV() bool {
	switch c.Kind {
	case Device, RTSP:
		return true
	case File:
		return !isPicture(c.Address) && !isMotionJPEG(c.Address)
	}
	return false
}

// Patience is Timeout or its default.
func (c Config) Patience() time.Duration {
	if c.Timeout > 0 {
		return c.Timeout
	}
	return 5 * time.Second
}

// String names the source without its password.
func (c Config) String() string { return string(c.Kind) + " " + redact.URL(c.Address) }

// Frame is a picture with its number and the time at which it was read.
type Frame struct {
	vision.Frame
	Seq      uint64    // 1 for the first frame of a source; a gap means frames lost on the way
	Captured time.Time // with its monotonic reading
}

// Source gives frames one after another. Its methods are for one goroutine, except that Close may come from another
// once Read has returned.
type Source interface {
	// Read fills f, reusing its pixel buffer where it is large enough. It returns io.EOF at the end of a clip or
	// folder and another error when the source is lost; then it has to be closed and opened again.
	Read(ctx context.Context, f *Frame) error
	Close() error
}

// Video opens what only OpenCV reads; opencv.Open is one.
type Video func(cfg Config) (Source, error)

// ErrNoOpenCV is returned for a source that needs OpenCV in a program built without it.
var ErrNoOpenCV = errors.New("this program was built without OpenCV (gocv): run scripts/setup.sh, then `. scripts/env.sh` and build again")

// MaxPixels bounds a frame: what claims more is a fault or an attack.
const MaxPixels = 64_000_000

// CheckSize refuses a frame without pixels, or with more than MaxPixels.
func CheckSize(width, height int) error {
	if width <= 0 || height <= 0 {
		return fmt.Errorf("a frame of %d×%d has no pixels", width, height)
	}
	if width > MaxPixels/height {
		return fmt.Errorf("a frame of %d×%d is larger than %d megapixels: choose a smaller size in the camera", width, height, MaxPixels/1_000_000)
	}
	return nil
}

// Parts are what sources work with. Video may be nil in a program without OpenCV, and Alive too: it is called several
// times a second while a watched folder waits for a picture, which may take a day.
type Parts struct {
	Video Video
	Alive func()
	Log   *slog.Logger
}

// Open opens a source. A camera that is not there is an error, and may be there a minute later.
func Open(cfg Config, parts Parts) (Source, error) {
	view, err := newViewer(cfg.View)
	if err != nil {
		return nil, err
	}
	src, err := open(cfg, parts)
	if err != nil {
		return nil, fmt.Errorf("open camera %s: %w", cfg, err)
	}
	return view.of(src), nil
}

func open(cfg Config, parts Parts) (Source, error) {
	video, log := parts.Video, parts.Log
	if video == nil {
		video = func(Config) (Source, error) { return nil, ErrNoOpenCV }
	}
	if cfg.Address == "" && cfg.Kind != Test {
		return nil, errors.New("no address")
	}
	switch cfg.Kind {
	case Dir:
		if cfg.Watch {
			return watchDir(cfg.Address, parts.Alive, log)
		}
		return openDir(cfg.Address, log)
	case File:
		return openFile(cfg, video, log)
	case HTTP:
		if parts.Video == nil {
			return openStream(cfg)
		}
		return video(cfg)
	case Device, RTSP:
		return video(cfg)
	case Libcamera:
		return openEither(cfg, video, log)
	case Test:
		return openPattern(cfg)
	}
	return nil, fmt.Errorf("kind %q is not one of %v", cfg.Kind, Kinds())
}

func openFile(cfg Config, video Video, log *slog.Logger) (Source, error) {
	info, err := os.Stat(cfg.Address)
	if err != nil {
		return nil, err
	}
	switch {
	case info.IsDir():
		return nil, errors.New("is a folder; use the kind dir")
	case isPicture(cfg.Address):
		return &pictures{paths: []string{cfg.Address}, log: log, strict: true}, nil
	case isMotionJPEG(cfg.Address):
		return openMotionJPEG(cfg.Address)
	}
	return video(cfg)
}

func isPicture(path string) bool { return hasExt(path, ".jpg", ".jpeg", ".png") }

func isMotionJPEG(path string) bool { return hasExt(path, ".mjpeg", ".mjpg") }

func hasExt(path string, exts ...string) bool {
	for _, ext := range exts {
		if len(path) > len(ext) && strings.EqualFold(path[len(path)-len(ext):], ext) {
			return true
		}
	}
	return false
}

// Shape makes f a frame of that size, keeping its buffer where it is large enough.
func Shape(f *vision.Frame, width, height int) {
	n := 3 * width * height
	if cap(f.Pix) < n {
		f.Pix = make([]byte, n)
	}
	f.Width, f.Height, f.Pix = width, height, f.Pix[:n]
}

// Check returns an error where there is no such clip or folder, or no program for libcamera. A camera that is not there
// may come later and is not looked for.
func Check(cfg Config) error {
	if !cfg.Live() || cfg.Kind == Dir {
		if _, err := os.Stat(cfg.Address); err != nil {
			return fmt.Errorf("camera %s: %w", cfg, errors.Unwrap(err))
		}
	}
	if _, err := newViewer(cfg.View); err != nil {
		return err
	}
	switch cfg.Kind {
	case Libcamera:
		_, err := findLibcamera()
		return err
	case Test:
		_, err := parsePattern(cfg)
		return err
	}
	return nil
}
