package opencv_test

import (
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"xbmedge/camera"
	"xbmedge/camera/opencv"
	"xbmedge/internal/testdata"
)

func parts() camera.Parts {
	return camera.Parts{Video: opencv.Open, Log: slog.New(slog.DiscardHandler)}
}

func openClip(t *testing.T) camera.Source {
	t.Helper()
	if err := opencv.Available(); err != nil {
		t.Skip(err)
	}
	path := filepath.Join(testdata.Dir(t, "video"), "bottle-detection.mp4")
	src, err := camera.Open(camera.Config{Kind: camera.File, Address: path}, parts())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := src.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return src
}

func TestRealClip(t *testing.T) {
	src := openClip(t)
	start := time.Now()
	var f camera.Frame
	n := uint64(0)
	for {
		err := src.Read(t.Context(), &f)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if n++; f.Width != 640 || f.Height != 360 || f.Seq != n {
			t.Fatalf("frame %d is number %d, %d×%d", n, f.Seq, f.Width, f.Height)
		}
	}
	if n != 1189 {
		t.Errorf("%d frames, want 1189", n)
	}
	t.Logf("%s: %.0f frames/s", opencv.Version(), float64(n)/time.Since(start).Seconds())
}

func TestReadReusesTheBuffer(t *testing.T) {
	src := openClip(t)
	var f camera.Frame
	if err := src.Read(t.Context(), &f); err != nil {
		t.Fatal(err)
	}
	first := &f.Pix[0]
	n := testing.AllocsPerRun(50, func() {
		if err := src.Read(t.Context(), &f); err != nil {
			t.Fatal(err)
		}
	})
	if n != 0 || &f.Pix[0] != first {
		t.Errorf("%v allocations for one frame, buffer kept: %v", n, &f.Pix[0] == first)
	}
}

func TestOpenRefuses(t *testing.T) {
	notClip := filepath.Join(t.TempDir(), "clip.mp4")
	if err := os.WriteFile(notClip, []byte("not a clip"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name string
		cfg  camera.Config
		want string
	}{
		{"not a clip", camera.Config{Kind: camera.File, Address: notClip}, "not a clip"},
		{"missing device", camera.Config{Kind: camera.Device, Address: "/dev/video97"}, "no such camera"},
		{"missing named device", camera.Config{Kind: camera.Device, Address: "/dev/v4l/by-id/none"}, "no such camera"},
		{"nobody there", camera.Config{Kind: camera.RTSP, Address: "rtsp://admin:s3cret@127.0.0.1:1/x", Timeout: time.Second}, "no answer"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			src, err := camera.Open(tt.cfg, parts())
			if err == nil {
				_ = src.Close()
				t.Fatal("opened")
			}
			want := tt.want
			if opencv.Available() != nil {
				want = "built without OpenCV"
			}
			if !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "s3cret") {
				t.Errorf("error %q; want %q and no password", err, want)
			}
		})
	}
}
