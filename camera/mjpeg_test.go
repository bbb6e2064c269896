package camera

import (
	"bufio"
	"bytes"
	"errors"
	"image"
	"image/jpeg"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"xbmedge/internal/testdata"
)

func grey(t testing.TB) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := jpeg.Encode(&b, image.NewGray(image.Rect(0, 0, 8, 8)), nil); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestNextJPEG(t *testing.T) {
	one := grey(t)
	thumbnail := append([]byte{0xFF, 0xD8, 0xFF, 0xE1, 0, byte(2 + len(one)%256)}, one...) // APP1 that holds a whole JPEG
	thumbnail[4] = byte((2 + len(one)) >> 8)
	withThumbnail := slices.Concat(thumbnail, one[2:])
	r := bufio.NewReader(bytes.NewReader(bytes.Join([][]byte{one, withThumbnail, one}, nil)))
	for i, want := range [][]byte{one, withThumbnail, one} {
		var got bytes.Buffer
		if err := nextJPEG(r, &got); err != nil {
			t.Fatalf("picture %d: %v", i, err)
		}
		if !bytes.Equal(got.Bytes(), want) {
			t.Errorf("picture %d has %d bytes, want %d", i, got.Len(), len(want))
		}
	}
	if err := nextJPEG(r, new(bytes.Buffer)); !errors.Is(err, io.EOF) {
		t.Errorf("at the end: %v", err)
	}
	for n := 1; n < len(one); n++ {
		if err := nextJPEG(bufio.NewReader(bytes.NewReader(one[:n])), new(bytes.Buffer)); err == nil || errors.Is(err, io.EOF) {
			t.Fatalf("first %d bytes: %v", n, err)
		}
	}
}

// A pipe may be opened in the middle of a picture, and a file with that name be none.
func TestMotionJPEGBegins(t *testing.T) {
	one := grey(t)
	for _, tt := range []struct {
		name  string
		file  []byte
		want  int // pictures
		fault string
	}{
		{"in the middle", slices.Concat(one[len(one)/2:], one, one), 2, ""},
		{"just before the end of one", slices.Concat([]byte{0xD9}, one), 1, ""},
		{"with a text", []byte("no picture, \xff"), 0, "no JPEG"},
		{"with nothing", nil, 0, ""},
		{"with another thing between", slices.Concat(one, []byte("?"), one), 1, "not a JPEG where one should start"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "clip.mjpeg")
			if err := os.WriteFile(path, tt.file, 0o600); err != nil {
				t.Fatal(err)
			}
			src, err := openMotionJPEG(path)
			if err != nil {
				t.Fatal(err)
			}
			defer src.Close()
			var f Frame
			n := 0
			for err = src.Read(t.Context(), &f); err == nil; err = src.Read(t.Context(), &f) {
				n++
			}
			if n != tt.want || (tt.fault == "") != errors.Is(err, io.EOF) || !strings.Contains(err.Error(), tt.fault) {
				t.Errorf("%d pictures, then %v; want %d, then %q", n, err, tt.want, tt.fault)
			}
		})
	}
}

// The Go reader must see the same frames in a real clip as OpenCV does.
func TestMotionJPEGRealClip(t *testing.T) {
	path := filepath.Join(testdata.Dir(t, "video"), "fruit-and-vegetable-detection.mjpeg")
	src, err := openMotionJPEG(path)
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	var f Frame
	n := 0
	for err = src.Read(t.Context(), &f); err == nil; err = src.Read(t.Context(), &f) {
		n++
	}
	if !errors.Is(err, io.EOF) || n != 101 {
		t.Errorf("%d frames, then %v; want 101", n, err)
	}
}

func FuzzNextJPEG(f *testing.F) {
	f.Add(grey(f))
	f.Add([]byte{0xFF, 0xD8, 0xFF, 0xE0, 0, 0, 0xFF, 0xD9})
	f.Fuzz(func(t *testing.T, data []byte) {
		r := bufio.NewReader(bytes.NewReader(data))
		total := 0
		for {
			var out bytes.Buffer
			err := nextJPEG(r, &out)
			if err != nil {
				break
			}
			if out.Len() < 4 {
				t.Fatalf("a JPEG of %d bytes", out.Len())
			}
			total += out.Len()
		}
		if total > len(data) {
			t.Fatalf("%d bytes out of %d", total, len(data))
		}
	})
}
