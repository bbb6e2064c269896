// The tag gocv_videoio comes from scripts/env.sh: without its tags gocv does not compile against every OpenCV, and the
// stub stands in.

//go:build cgo && gocv_videoio

// Package opencv reads cameras, streams and clips with OpenCV, which brings some 240 shared libraries into a process
// and may hang inside a driver: only the program xbm-capture has it. It is the only importer of gocv.
package opencv

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"gocv.io/x/gocv"

	"xbmedge/camera"
	"xbmedge/internal/vision"
)

// Parameters of OpenCV's FFmpeg backend that gocv has no names for (cv::CAP_PROP_OPEN_TIMEOUT_MSEC and
// CAP_PROP_READ_TIMEOUT_MSEC, since OpenCV 4.5.2).
const (
	propOpenTimeout gocv.VideoCaptureProperties = 53
	propReadTimeout gocv.VideoCaptureProperties = 54
)

// Available returns nil when OpenCV is compiled in, and otherwise camera.ErrNoOpenCV.
func Available() error { return nil }

// Version returns the versions of gocv and OpenCV compiled in, or "".
func Version() string { return "gocv " + gocv.Version() + ", OpenCV " + gocv.OpenCVVersion() }

// video reads through OpenCV's VideoCapture.
type video struct {
	cfg     camera.Config
	capture *gocv.VideoCapture
	bgr     gocv.Mat
	rgb     gocv.Mat
	seq     uint64
}

// Open opens a clip, a device, a stream, or libcamera's through GStreamer.
func Open(cfg camera.Config) (camera.Source, error) {
	capture, err := openCapture(cfg)
	// gocv's own errors repeat the address with its password: they are replaced, not wrapped.
	if err != nil {
		return nil, errors.New(hint(cfg.Kind))
	}
	if !capture.IsOpened() {
		return nil, errors.Join(errors.New(hint(cfg.Kind)), capture.Close())
	}
	return &video{cfg: cfg, capture: capture, bgr: gocv.NewMat(), rgb: gocv.NewMat()}, nil
}

// openCapture names the backend, so that OpenCV does not try all it has, one louder than the other.
func openCapture(cfg camera.Config) (*gocv.VideoCapture, error) {
	switch cfg.Kind {
	case camera.Device:
		return openDevice(cfg)
	case camera.Libcamera:
		return gocv.VideoCaptureFileWithAPI(camera.LibcameraPipeline(cfg), gocv.VideoCaptureGstreamer)
	}
	ms := gocv.VideoCaptureProperties(cfg.Patience().Milliseconds())
	return gocv.VideoCaptureFileWithAPIParams(cfg.Address, gocv.VideoCaptureFFmpeg,
		[]gocv.VideoCaptureProperties{propOpenTimeout, ms, propReadTimeout, ms})
}

func hint(k camera.Kind) string {
	switch k {
	case camera.Device:
		return "no such camera, or another program has it"
	case camera.RTSP, camera.HTTP:
		return "no answer, a wrong user or password, or no video stream"
	case camera.Libcamera:
		return "GStreamer's libcamerasrc gives no pictures; `rpicam-hello --list-cameras` shows what is there"
	}
	return "not a clip that OpenCV can read"
}

func openDevice(cfg camera.Config) (*gocv.VideoCapture, error) {
	number, err := strconv.Atoi(strings.TrimPrefix(cfg.Address, "/dev/video"))
	var capture *gocv.VideoCapture
	if err == nil {
		capture, err = gocv.VideoCaptureDeviceWithAPI(number, gocv.VideoCaptureV4L2)
	} else { // such as /dev/v4l/by-id/…, which stays the same when cameras are plugged in another order
		capture, err = gocv.VideoCaptureFileWithAPI(cfg.Address, gocv.VideoCaptureV4L2)
	}
	if err != nil || !capture.IsOpened() {
		return capture, err
	}
	if cfg.Format != "" { // before the size, which not every format has
		capture.Set(gocv.VideoCaptureFOURCC, capture.ToCodec(cfg.Format))
	}
	for _, wish := range []struct {
		property gocv.VideoCaptureProperties
		value    float64
	}{
		{gocv.VideoCaptureFrameWidth, float64(cfg.Width)},
		{gocv.VideoCaptureFrameHeight, float64(cfg.Height)},
		{gocv.VideoCaptureFPS, cfg.FPS},
	} {
		if wish.value > 0 {
			capture.Set(wish.property, wish.value)
		}
	}
	capture.Set(gocv.VideoCaptureBufferSize, 1) // the newest frame, not the one of four frames ago
	return capture, nil
}

// Read takes the next frame. What is too large is not copied.
func (v *video) Read(ctx context.Context, f *camera.Frame) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if !v.capture.Read(&v.bgr) || v.bgr.Empty() {
		if v.cfg.Live() {
			return errors.New("the camera gives no more frames")
		}
		if v.seq == 0 {
			return errors.New("the clip has no frames")
		}
		return io.EOF
	}
	captured := time.Now()
	if err := camera.CheckSize(v.bgr.Cols(), v.bgr.Rows()); err != nil {
		return err
	}
	if err := toRGB(&f.Frame, v.bgr, &v.rgb); err != nil {
		return err
	}
	v.seq++
	f.Seq, f.Captured = v.seq, captured
	return nil
}

// toRGB copies a BGR or grey picture into f, with scratch for the conversion.
func toRGB(f *vision.Frame, src gocv.Mat, scratch *gocv.Mat) error {
	code := gocv.ColorBGRToRGB
	switch src.Type() {
	case gocv.MatTypeCV8UC3:
	case gocv.MatTypeCV8UC1:
		code = gocv.ColorGrayToBGR
	default:
		return fmt.Errorf("the camera's pixel format %v is not known", src.Type())
	}
	if err := gocv.CvtColor(src, scratch, code); err != nil {
		return fmt.Errorf("convert colours: %w", err)
	}
	pix, err := scratch.DataPtrUint8()
	if err != nil {
		return fmt.Errorf("convert colours: %w", err)
	}
	camera.Shape(f, src.Cols(), src.Rows())
	copy(f.Pix, pix)
	return nil
}

func (v *video) Close() error {
	return errors.Join(v.capture.Close(), v.bgr.Close(), v.rgb.Close())
}
