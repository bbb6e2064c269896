package camera_test

import (
	"bytes"
	"context"
	"errors"
	"image/color"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"xbmedge/camera"
)

func pattern(t *testing.T, address string) camera.Source {
	t.Helper()
	src, err := camera.Open(camera.Config{Kind: camera.Test, Address: address}, camera.Parts{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	return src
}

func TestPattern(t *testing.T) {
	src := pattern(t, "size=320x200,fps=500,frames=5")
	var f camera.Frame
	var before []byte
	for n := range uint64(5) {
		if err := src.Read(t.Context(), &f); err != nil {
			t.Fatal(err)
		}
		got, ok := camera.Number(f.Frame)
		if !ok || got != n+1 || f.Seq != n+1 || f.Width != 320 || f.Height != 200 {
			t.Errorf("frame %d: number %d %v, sequence %d, %d×%d", n+1, got, ok, f.Seq, f.Width, f.Height)
		}
		if bytes.Equal(before, f.Pix) {
			t.Errorf("frame %d is the one before it", n+1)
		}
		before = bytes.Clone(f.Pix)
	}
	if err := src.Read(t.Context(), &f); err == nil {
		t.Error("a sixth frame")
	}
}

func TestPatternFreezesAndThaws(t *testing.T) {
	flag := filepath.Join(t.TempDir(), "trouble")
	src := pattern(t, "fps=500,size=64x64,freeze=0s,if="+flag)
	var f camera.Frame
	read := func() uint64 {
		t.Helper()
		if err := src.Read(t.Context(), &f); err != nil {
			t.Fatal(err)
		}
		n, _ := camera.Number(f.Frame)
		return n
	}
	first := read()
	if err := os.WriteFile(flag, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if second, third := read(), read(); second != first || third != first {
		t.Errorf("frames %d, %d, %d; want the first again", first, second, third)
	}
	if err := os.Remove(flag); err != nil {
		t.Fatal(err)
	}
	if n := read(); n != 4 {
		t.Errorf("frame %d after the thaw, want 4", n)
	}
}

func TestWatchedFolder(t *testing.T) {
	dir := t.TempDir()
	put := func(name string, c color.Color) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), encode(t, picture(t, 16, 16, c)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	put("before.jpg", colours[0])
	turns := 0
	src, err := camera.Open(camera.Config{Kind: camera.Dir, Address: dir, Watch: true},
		camera.Parts{Alive: func() { turns++ }, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()

	put("closed.jpg", colours[1])
	put("renamed.part", colours[2])
	if err := os.Rename(filepath.Join(dir, "renamed.part"), filepath.Join(dir, "renamed.jpg")); err != nil {
		t.Fatal(err)
	}
	half, err := os.Create(filepath.Join(dir, "half.jpg"))
	if err != nil {
		t.Fatal(err)
	}
	whole := encode(t, picture(t, 16, 16, colours[0]))
	if _, err := half.Write(whole[:len(whole)/2]); err != nil {
		t.Fatal(err)
	}
	put("notes.txt", colours[0])
	var f camera.Frame
	for i, want := range colours[1:] {
		if err := src.Read(t.Context(), &f); err != nil || !near([3]byte(f.Pix), want) || f.Seq != uint64(i+1) {
			t.Errorf("picture %d: %v, number %d, %v", i+1, f.Pix[:3], f.Seq, err)
		}
	}
	// Nothing is left: neither what was there before, nor the half one, nor the text.
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	if err := src.Read(ctx, &f); !errors.Is(err, context.DeadlineExceeded) || turns == 0 {
		t.Errorf("while nothing came: %v, %d signs of life", err, turns)
	}
	if _, err := half.Write(whole[len(whole)/2:]); err != nil {
		t.Fatal(err)
	}
	if err := half.Close(); err != nil {
		t.Fatal(err)
	}
	if err := src.Read(t.Context(), &f); err != nil || !near([3]byte(f.Pix), colours[0]) {
		t.Errorf("the half picture, once it is whole: %v, %v", f.Pix[:3], err)
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if err := src.Read(t.Context(), &f); err == nil || !strings.Contains(err.Error(), "is gone") {
		t.Errorf("without the folder: %v", err)
	}
}

func TestReach(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	here := l.Addr().String()
	for _, tt := range []struct {
		cfg  camera.Config
		want string // "" for none
	}{
		{camera.Config{Kind: camera.RTSP, Address: "rtsp://me:s3cret@" + here + "/a"}, ""},
		{camera.Config{Kind: camera.HTTP, Address: "http://" + here + "/a"}, ""},
		{camera.Config{Kind: camera.HTTP, Address: "http://me:s3cret@127.0.0.1:1/a"}, "no answer"},
		{camera.Config{Kind: camera.RTSP, Address: "rtsp:///s3cret"}, "no URL with a host"},
		{camera.Config{Kind: camera.Device, Address: "97"}, "/dev/video97 is not there"},
		{camera.Config{Kind: camera.Test}, ""},
	} {
		err := camera.Reach(t.Context(), tt.cfg)
		if (err == nil) != (tt.want == "") || err != nil && (!strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "s3cret")) {
			t.Errorf("%v: %v, want %q", tt.cfg, err, tt.want)
		}
	}
}
