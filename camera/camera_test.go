package camera_test

import (
	"bytes"
	"context"
	"errors"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"xbmedge/camera"
	"xbmedge/internal/testdata"
)

func picture(t testing.TB, width, height int, c color.Color) image.Image {
	t.Helper()
	m := image.NewRGBA(image.Rect(0, 0, width, height))
	for y := range height {
		for x := range width {
			m.Set(x, y, c)
		}
	}
	return m
}

func encode(t testing.TB, m image.Image) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := jpeg.Encode(&b, m, &jpeg.Options{Quality: 95}); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func open(t testing.TB, kind camera.Kind, address string) camera.Source {
	t.Helper()
	src, err := camera.Open(camera.Config{Kind: kind, Address: address}, camera.Parts{Log: slog.New(slog.DiscardHandler)})
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

// readAll reads to the end and returns the numbers and the middle pixels of the frames.
func readAll(t testing.TB, src camera.Source, width, height int) (seqs []uint64, middles [][3]byte) {
	t.Helper()
	var f camera.Frame
	last := time.Time{}
	for {
		err := src.Read(context.Background(), &f)
		if errors.Is(err, io.EOF) {
			return seqs, middles
		}
		if err != nil {
			t.Fatal(err)
		}
		if f.Width != width || f.Height != height || len(f.Pix) != 3*width*height {
			t.Fatalf("frame %d is %d×%d with %d bytes, want %d×%d", f.Seq, f.Width, f.Height, len(f.Pix), width, height)
		}
		if f.Captured.Before(last) {
			t.Fatalf("frame %d was captured before the one before it", f.Seq)
		}
		last = f.Captured
		seqs = append(seqs, f.Seq)
		middles = append(middles, [3]byte(f.Pix[3*(height/2*width+width/2):]))
	}
}

func near(got [3]byte, want color.RGBA) bool {
	for i, w := range []byte{want.R, want.G, want.B} {
		if d := int(got[i]) - int(w); d < -6 || d > 6 {
			return false
		}
	}
	return true
}

var colours = []color.RGBA{{200, 30, 60, 255}, {20, 180, 40, 255}, {50, 60, 220, 255}}

func TestDir(t *testing.T) {
	dir := t.TempDir()
	for i, name := range []string{"b.jpg", "c.JPEG", "a.png"} {
		data := encode(t, picture(t, 32, 24, colours[i]))
		if strings.HasSuffix(name, ".png") {
			var b bytes.Buffer
			if err := png.Encode(&b, picture(t, 32, 24, colours[i])); err != nil {
				t.Fatal(err)
			}
			data = b.Bytes()
		}
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"broken.jpg", "notes.txt"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("not a picture"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	seqs, middles := readAll(t, open(t, camera.Dir, dir), 32, 24)
	// a.png, b.jpg, broken.jpg (left out, its number lost), c.JPEG
	if len(seqs) != 3 || seqs[0] != 1 || seqs[1] != 2 || seqs[2] != 4 {
		t.Fatalf("frames %v, want 1, 2, 4", seqs)
	}
	for i, want := range []color.RGBA{colours[2], colours[0], colours[1]} {
		if !near(middles[i], want) {
			t.Errorf("frame %d: middle pixel %v, want %v", i, middles[i], want)
		}
	}
}

func TestDirWithoutAReadablePicture(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"a.jpg", "b.png"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("not a picture"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var f camera.Frame
	err := open(t, camera.Dir, dir).Read(t.Context(), &f)
	if errors.Is(err, io.EOF) || err == nil || !strings.Contains(err.Error(), "none of the 2 pictures can be read") {
		t.Errorf("error %v; want that no picture can be read", err)
	}
}

func TestCheck(t *testing.T) {
	dir := t.TempDir()
	for _, tt := range []struct {
		cfg  camera.Config
		want error
	}{
		{camera.Config{Kind: camera.Dir, Address: dir}, nil},
		{camera.Config{Kind: camera.Dir, Address: filepath.Join(dir, "none")}, fs.ErrNotExist},
		{camera.Config{Kind: camera.File, Address: filepath.Join(dir, "none.mjpeg")}, fs.ErrNotExist},
		{camera.Config{Kind: camera.Device, Address: "/dev/video97"}, nil}, // it may be plugged in later
	} {
		if err := camera.Check(tt.cfg); !errors.Is(err, tt.want) {
			t.Errorf("%v: error %v, want %v", tt.cfg, err, tt.want)
		}
	}
}

func TestPicture(t *testing.T) {
	path := filepath.Join(t.TempDir(), "one.jpg")
	if err := os.WriteFile(path, encode(t, picture(t, 16, 16, colours[0])), 0o600); err != nil {
		t.Fatal(err)
	}
	seqs, middles := readAll(t, open(t, camera.File, path), 16, 16)
	if len(seqs) != 1 || !near(middles[0], colours[0]) {
		t.Errorf("frames %v, middle %v", seqs, middles)
	}
}

func TestMotionJPEGClip(t *testing.T) {
	var clip bytes.Buffer
	for _, c := range colours {
		clip.Write(encode(t, picture(t, 64, 48, c)))
	}
	path := filepath.Join(t.TempDir(), "clip.mjpeg")
	if err := os.WriteFile(path, clip.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	seqs, middles := readAll(t, open(t, camera.File, path), 64, 48)
	if len(seqs) != 3 {
		t.Fatalf("frames %v, want 3", seqs)
	}
	for i, want := range colours {
		if !near(middles[i], want) {
			t.Errorf("frame %d: middle pixel %v, want %v: are the channels in order?", i, middles[i], want)
		}
	}
}

func TestRealClip(t *testing.T) {
	path := filepath.Join(testdata.Dir(t, "video"), "fruit-and-vegetable-detection.mjpeg")
	seqs, _ := readAll(t, open(t, camera.File, path), 480, 270)
	if len(seqs) != 101 || seqs[len(seqs)-1] != 101 {
		t.Errorf("%d frames, the last is number %d; want 101", len(seqs), seqs[len(seqs)-1])
	}
}

func TestCancelled(t *testing.T) {
	path := filepath.Join(t.TempDir(), "one.jpg")
	if err := os.WriteFile(path, encode(t, picture(t, 16, 16, colours[0])), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	var f camera.Frame
	if err := open(t, camera.File, path).Read(ctx, &f); !errors.Is(err, context.Canceled) {
		t.Errorf("read after cancel: %v", err)
	}
}

func TestOpenRefuses(t *testing.T) {
	empty := t.TempDir()
	notClip := filepath.Join(empty, "clip.mp4")
	if err := os.WriteFile(notClip, []byte("not a clip"), 0o600); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name string
		cfg  camera.Config
		want string
	}{
		{"no address", camera.Config{Kind: camera.File}, "no address"},
		{"unknown kind", camera.Config{Kind: "webcam", Address: "0"}, `kind "webcam" is not one of [file dir device rtsp http libcamera test]`},
		{"missing file", camera.Config{Kind: camera.File, Address: filepath.Join(empty, "none.mp4")}, "no such file"},
		{"missing folder", camera.Config{Kind: camera.Dir, Address: filepath.Join(empty, "none")}, "no such file"},
		{"folder as a file", camera.Config{Kind: camera.File, Address: empty}, "use the kind dir"},
		{"folder without pictures", camera.Config{Kind: camera.Dir, Address: empty}, "has no pictures"},
		{"no OpenCV for a clip", camera.Config{Kind: camera.File, Address: notClip}, "built without OpenCV"},
		{"no OpenCV for a stream", camera.Config{Kind: camera.RTSP, Address: "rtsp://admin:s3cret@127.0.0.1:1/x"}, "built without OpenCV"},
		{"a view that cannot be", camera.Config{Kind: camera.Test, View: camera.View{Rotate: 45}}, "rotate: 45 is not one of"},
		{"an unknown setting of the pattern", camera.Config{Kind: camera.Test, Address: "stal=1s"}, `"stal" is no setting of the test pattern`},
		{"a pattern too large", camera.Config{Kind: camera.Test, Address: "size=10000x10000"}, "larger than 64 megapixels"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			src, err := camera.Open(tt.cfg, camera.Parts{Log: slog.New(slog.DiscardHandler)})
			if err == nil {
				_ = src.Close()
				t.Fatal("opened")
			}
			if !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %q does not say %q", err, tt.want)
			}
			if strings.Contains(err.Error(), "s3cret") {
				t.Errorf("error %q shows the password", err)
			}
		})
	}
}
