package camera

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"unsafe"

	"golang.org/x/sys/unix"
)

// DeviceInfo is a V4L2 device that gives pictures.
type DeviceInfo struct {
	Path    string   `json:"path"`
	Name    string   `json:"name"`
	Formats []Format `json:"formats"`
}

// Format is one that a device offers, with its sizes, such as 640x480.
type Format struct {
	FourCC string   `json:"fourcc"`
	Sizes  []string `json:"sizes"`
}

// The kernel's structures, of the same layout on all machines (linux/videodev2.h).
type (
	v4l2Capability struct {
		driver                            [16]byte
		card, bus                         [32]byte
		version, capabilities, deviceCaps uint32
		reserved                          [3]uint32
	}
	v4l2Format struct {
		index, kind, flags  uint32
		description         [32]byte
		pixelFormat, busFmt uint32
		reserved            [3]uint32
	}
	v4l2FrameSize struct {
		index, pixelFormat, kind uint32
		size                     [6]uint32 // width, height; or least, most and step of both
		reserved                 [2]uint32
	}
)

const (
	queryCap       = 0x80685600 // VIDIOC_QUERYCAP
	enumFormat     = 0xC0405602 // VIDIOC_ENUM_FMT
	enumFrameSizes = 0xC02C564A // VIDIOC_ENUM_FRAMESIZES

	capVideoCapture      = 0x1
	capVideoCaptureMulti = 0x1000
	capDeviceCaps        = 0x80000000
	captureStream        = 1 // V4L2_BUF_TYPE_VIDEO_CAPTURE
	captureStreamMulti   = 9
	discrete             = 1 // V4L2_FRMSIZE_TYPE_DISCRETE
)

// Devices lists the V4L2 devices that give pictures and may be opened. The error tells of those that may not; the list is
// good all the same.
func Devices() ([]DeviceInfo, error) {
	paths, err := filepath.Glob("/dev/video*")
	if err != nil {
		return nil, err
	}
	slices.SortFunc(paths, func(a, b string) int {
		if len(a) != len(b) { // video2 before video10
			return len(a) - len(b)
		}
		return bytes.Compare([]byte(a), []byte(b))
	})
	var list []DeviceInfo
	var faults []error
	for _, path := range paths {
		switch info, err := QueryDevice(path); {
		case errors.Is(err, errNoPictures):
		case err != nil:
			faults = append(faults, err)
		default:
			list = append(list, info)
		}
	}
	return list, errors.Join(faults...)
}

// errNoPictures is of a device that is a codec, an output, or a camera's second device for other data.
var errNoPictures = errors.New("gives no pictures")

// QueryDevice asks a V4L2 device what it is. A camera that is in use answers too.
func QueryDevice(path string) (DeviceInfo, error) {
	file, err := os.OpenFile(path, os.O_RDWR|unix.O_NONBLOCK, 0)
	if err != nil {
		return DeviceInfo{}, err
	}
	defer func() { _ = file.Close() }() // nothing was written
	fd := file.Fd()
	var c v4l2Capability
	if err := ioctl(fd, queryCap, &c); err != nil {
		return DeviceInfo{}, fmt.Errorf("%s is no V4L2 device: %w", path, err)
	}
	caps := c.capabilities
	if caps&capDeviceCaps != 0 {
		caps = c.deviceCaps
	}
	stream := uint32(captureStream)
	switch {
	case caps&capVideoCapture != 0:
	case caps&capVideoCaptureMulti != 0:
		stream = captureStreamMulti
	default:
		return DeviceInfo{}, fmt.Errorf("%s %w", path, errNoPictures)
	}
	info := DeviceInfo{Path: path, Name: text(c.card[:])}
	for i := range uint32(64) { // no device has so many; it says EINVAL after the last
		f := v4l2Format{index: i, kind: stream}
		if ioctl(fd, enumFormat, &f) != nil {
			break
		}
		info.Formats = append(info.Formats, Format{FourCC: fourCC(f.pixelFormat), Sizes: sizes(fd, f.pixelFormat)})
	}
	return info, nil
}

func sizes(fd uintptr, pixelFormat uint32) []string {
	var list []string
	for i := range uint32(64) {
		s := v4l2FrameSize{index: i, pixelFormat: pixelFormat}
		if ioctl(fd, enumFrameSizes, &s) != nil {
			break
		}
		if s.kind != discrete {
			return []string{fmt.Sprintf("%dx%d to %dx%d", s.size[0], s.size[3], s.size[1], s.size[4])}
		}
		list = append(list, fmt.Sprintf("%dx%d", s.size[0], s.size[1]))
	}
	return list
}

// ioctl calls the kernel with one of the structures above.
func ioctl[T any](fd, request uintptr, what *T) error {
	//nolint:gosec // the kernel's interface; the requests say the structures' sizes, which a test compares
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, fd, request, uintptr(unsafe.Pointer(what))); errno != 0 {
		return errno
	}
	return nil
}

func text(b []byte) string {
	head, _, _ := bytes.Cut(b, []byte{0})
	return string(bytes.ToValidUTF8(head, []byte("?")))
}

func fourCC(v uint32) string {
	return string([]byte{byte(v), byte(v >> 8), byte(v >> 16), byte(v>>24) & 0x7f})
}
