package camera

import (
	"strings"
	"testing"
	"unsafe"
)

// The kernel has the sizes in the numbers of its calls.
func TestKernelStructures(t *testing.T) {
	for _, tt := range []struct {
		name    string
		size    uintptr
		request uint32
	}{
		{"capability", unsafe.Sizeof(v4l2Capability{}), queryCap},
		{"format", unsafe.Sizeof(v4l2Format{}), enumFormat},
		{"frame size", unsafe.Sizeof(v4l2FrameSize{}), enumFrameSizes},
	} {
		if want := uintptr(tt.request >> 16 & 0x3fff); tt.size != want {
			t.Errorf("%s: %d bytes, the kernel's has %d", tt.name, tt.size, want)
		}
	}
	if got := fourCC(0x47504a4d); got != "MJPG" {
		t.Errorf("fourcc %q, want MJPG", got)
	}
}

func TestQueryDevice(t *testing.T) {
	if _, err := QueryDevice("/dev/null"); err == nil || !strings.Contains(err.Error(), "/dev/null is no V4L2 device") {
		t.Errorf("of /dev/null: %v", err)
	}
	list, err := Devices()
	t.Logf("devices here: %+v, %v", list, err)
	for _, d := range list {
		if d.Path == "" || d.Name == "" {
			t.Errorf("a device without path or name: %+v", d)
		}
	}
}

func TestRibbonCameras(t *testing.T) {
	program(t, `printf 'Available cameras\n-----------------\n0 : imx708 [4608x2592 10-bit RGGB] (/base/soc/i2c0mux/i2c@1/imx708@1a)\n    Modes: x\n1 : ov5647 [2592x1944] (/base/b)\n'`)
	got, err := LibcameraList(t.Context())
	if err != nil || len(got) != 2 || got[0] != "0 : imx708 [4608x2592 10-bit RGGB] (/base/soc/i2c0mux/i2c@1/imx708@1a)" {
		t.Errorf("got %q, %v", got, err)
	}
	t.Setenv("PATH", t.TempDir())
	if got, err := LibcameraList(t.Context()); err == nil || got != nil {
		t.Errorf("without its program: %q, %v", got, err)
	}
}
