// Package camera reads frames: from a camera on this board (V4L2, libcamera), a network camera (RTSP), a clip, or pictures. It is
// the only importer of gocv; without OpenCV compiled in, pictures and motion-JPEG clips still work.
//
// A Source lives in one process and one goroutine now. Nothing in the interface depends on that: a Read that blocks
// inside OpenCV cannot be cancelled, so live sources are meant to move into a child process that can be killed.
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
	Dir    Kind = "dir"    // a folder of pictures, in the order of their names
	Device Kind = "device" // a V4L2 device: a number, or a path such as /dev/video0
	RTSP   Kind = "rtsp"   // the URL of a network camera
	// Libcamera is a camera on a ribbon cable (CSI) of a Raspberry Pi: its number, 0 for the first.
	Libcamera Kind = "libcamera"
)

// Kinds lists all kinds.
func Kinds() []Kind { return []Kind{File, Dir, Device, RTSP, Libcamera} }

// Live reports whether frames come at their own pace, so that a slow reader has to skip some. A clip or a folder waits
// for its reader and has an end.
func (k Kind) Live() bool { return k == Device || k == RTSP || k == Libcamera }

// Local reports whether the camera is a device of this board.
func (k Kind) Local() bool { return k == Device || k == Libcamera }

// Config says where frames come from.
type Config struct {
	Kind    Kind
	Address string // path, device or URL
	// Width, Height and FPS are asked of a Device or Libcamera; it may give others. 0 leaves the choice to it.
	Width, Height int
	FPS           float64
	// Timeout bounds how long opening and reading an RTSP stream, or reading of Libcamera, may take; 0 means 5 s.
	Timeout time.Duration
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

// ErrNoOpenCV is returned for a source that needs OpenCV in a program built without it.
var ErrNoOpenCV = errors.New("this program was built without OpenCV (gocv): run scripts/setup.sh, then `. scripts/env.sh` and build again")

// Open opens a source. A camera that is not there is an error, and may be there a minute later.
func Open(cfg Config, log *slog.Logger) (Source, error) {
	src, err := open(cfg, log)
	if err != nil {
		return nil, fmt.Errorf("open camera %s: %w", cfg, err)
	}
	return src, nil
}

func open(cfg Config, log *slog.Logger) (Source, error) {
	if cfg.Address == "" {
		return nil, errors.New("no address")
	}
	switch cfg.Kind {
	case Dir:
		return openDir(cfg.Address, log)
	case File:
		info, err := os.Stat(cfg.Address)
		if err != nil {
			return nil, err
		}
		if info.IsDir() {
			return nil, errors.New("is a folder; use the kind dir")
		}
		if isPicture(cfg.Address) {
			return &pictures{paths: []string{cfg.Address}, log: log, strict: true}, nil
		}
		if isMotionJPEG(cfg.Address) && Available() != nil {
			return openMotionJPEG(cfg.Address)
		}
		return openVideo(cfg)
	case Device, RTSP:
		return openVideo(cfg)
	case Libcamera:
		return openLibcamera(cfg, log)
	}
	return nil, fmt.Errorf("kind %q is not one of %v", cfg.Kind, Kinds())
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

// shape makes f a frame of that size, keeping its buffer where it is large enough.
func shape(f *vision.Frame, width, height int) {
	n := 3 * width * height
	if cap(f.Pix) < n {
		f.Pix = make([]byte, n)
	}
	f.Width, f.Height, f.Pix = width, height, f.Pix[:n]
}

// Check reports whether such a source can be read at all: ErrNoOpenCV where the program cannot, and another error where
// there is no such clip or folder. A camera that is not there may come later and is not looked for.
func Check(cfg Config) error {
	if !cfg.Kind.Live() {
		if _, err := os.Stat(cfg.Address); err != nil {
			return fmt.Errorf("camera %s: %w", cfg, errors.Unwrap(err))
		}
	}
	if cfg.Kind == Libcamera {
		_, err := findLibcamera()
		return err
	}
	if cfg.Kind == Dir || cfg.Kind == File && (isPicture(cfg.Address) || isMotionJPEG(cfg.Address)) {
		return nil
	}
	return Available()
}
