// The tag gocv_videoio comes from scripts/env.sh: without its tags gocv does not compile against every OpenCV, and the
// stub stands in.

//go:build cgo && gocv_videoio

package camera

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"gocv.io/x/gocv"

	"xbmedge/internal/vision"
)

// Parameters of OpenCV's FFmpeg backend that gocv has no names for (cv::CAP_PROP_OPEN_TIMEOUT_MSEC and
// CAP_PROP_READ_TIMEOUT_MSEC, since OpenCV 4.5.2).
const (
	propOpenTimeout gocv.VideoCaptureProperties = 53
	propReadTimeout gocv.VideoCaptureProperties = 54
)

const defaultTimeout = 5 * time.Second

// Available returns nil when OpenCV is compiled in, and otherwise ErrNoOpenCV.
func Available() error { return nil }

// Version returns the versions of gocv and OpenCV compiled in, or "".
func Version() string { return "gocv " + gocv.Version() + ", OpenCV " + gocv.OpenCVVersion() }

// video reads through OpenCV's VideoCapture.
type video struct {
	live    bool
	capture *gocv.VideoCapture
	bgr     gocv.Mat
	rgb     gocv.Mat
	seq     uint64
}

// openVideo names the backend, so that OpenCV does not try all it has, one louder than the other.
func openVideo(cfg Config) (Source, error) {
	var capture *gocv.VideoCapture
	var err error
	if cfg.Kind == Device {
		capture, err = openDevice(cfg)
	} else {
		timeout := cfg.Timeout
		if timeout <= 0 {
			timeout = defaultTimeout
		}
		ms := gocv.VideoCaptureProperties(timeout.Milliseconds())
		capture, err = gocv.VideoCaptureFileWithAPIParams(cfg.Address, gocv.VideoCaptureFFmpeg,
			[]gocv.VideoCaptureProperties{propOpenTimeout, ms, propReadTimeout, ms})
	}
	// gocv's own errors repeat the address with its password: they are replaced, not wrapped.
	if err != nil {
		return nil, errors.New(hint(cfg.Kind))
	}
	if !capture.IsOpened() {
		return nil, errors.Join(errors.New(hint(cfg.Kind)), capture.Close())
	}
	return &video{live: cfg.Kind.Live(), capture: capture, bgr: gocv.NewMat(), rgb: gocv.NewMat()}, nil
}

func hint(k Kind) string {
	switch k {
	case Device:
		return "no such camera, or another program has it"
	case RTSP:
		return "no answer, a wrong user or password, or no video stream"
	}
	return "not a clip that OpenCV can read"
}

func openDevice(cfg Config) (*gocv.VideoCapture, error) {
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
	for prop, value := range map[gocv.VideoCaptureProperties]float64{
		gocv.VideoCaptureFrameWidth: float64(cfg.Width), gocv.VideoCaptureFrameHeight: float64(cfg.Height), gocv.VideoCaptureFPS: cfg.FPS,
	} {
		if value > 0 {
			capture.Set(prop, value)
		}
	}
	capture.Set(gocv.VideoCaptureBufferSize, 1) // the newest frame, not the one of four frames ago
	return capture, nil
}

func (v *video) Read(ctx context.Context, f *Frame) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if !v.capture.Read(&v.bgr) || v.bgr.Empty() {
		if v.live {
			return errors.New("the camera gives no more frames")
		}
		if v.seq == 0 {
			return errors.New("the clip has no frames")
		}
		return io.EOF
	}
	captured := time.Now()
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
	shape(f, src.Cols(), src.Rows())
	copy(f.Pix, pix)
	return nil
}

func (v *video) Close() error {
	return errors.Join(v.capture.Close(), v.bgr.Close(), v.rgb.Close())
}
