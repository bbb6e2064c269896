package camera

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// Streams as cameras write them: pictures come out as they went in, and what is no motion JPEG is left to OpenCV.
func TestStream(t *testing.T) {
	one := string(grey(t))
	mixed := "multipart/x-mixed-replace; boundary=b"
	part := func(picture string) string {
		return fmt.Sprintf("--b\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n%s\r\n", len(picture), picture)
	}
	bare := func(picture string) string { return "\r\n----b\r\n\r\n" + picture }
	damaged := one[:30] + "\xff\xd9" // cut off within its tables
	for _, tt := range []struct {
		name, kind string
		status     int
		body       string
		want       int // pictures
		fault      error
	}{
		{"as it should be", mixed, 200, strings.Repeat(part(one), 3), 3, nil},
		{"without lengths, and another boundary", mixed, 200, strings.Repeat(bare(one), 3), 3, nil},
		{"a boundary in quotes", `multipart/x-mixed-replace;boundary="--b"`, 200, strings.Repeat(part(one), 2), 2, nil},
		{"begun in the middle of a picture", mixed, 200, one[40:] + part(one) + part(one), 2, nil},
		{"a damaged picture among many", mixed, 200, part(one) + part("\xff\xd8\xff\xfe\x00\x04xx\xff\xd9") + part(one), 2, nil},
		{"the first is damaged", mixed, 200, part(damaged), 0, ErrNoOpenCV},
		{"a film", "video/mp4", 200, "ftyp", 0, ErrNoOpenCV},
		{"another way to log in", mixed, 401, "", 0, ErrNoOpenCV},
		{"no type", "", 200, "", 0, ErrNoOpenCV},
		{"nothing", mixed, 200, "", 0, ErrNoOpenCV},
	} {
		t.Run(tt.name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				user, password, _ := r.BasicAuth()
				if user != "me" || password != "s3cret" {
					t.Errorf("logged in as %q with %q", user, password)
				}
				w.Header().Set("Content-Type", tt.kind)
				w.WriteHeader(tt.status)
				if _, err := io.WriteString(w, tt.body); err != nil {
					t.Error(err)
				}
			}))
			defer server.Close()
			address := strings.Replace(server.URL, "//", "//me:s3cret@", 1)
			src, err := Open(Config{Kind: HTTP, Address: address}, Parts{Log: slog.New(slog.DiscardHandler)})
			if !errors.Is(err, tt.fault) || err != nil && strings.Contains(err.Error(), "s3cret") {
				t.Fatalf("open: %v, want %v", err, tt.fault)
			}
			if err != nil {
				return
			}
			n := 0
			var f Frame
			for ; err == nil; n++ {
				if err = src.Read(t.Context(), &f); err == nil && (f.Width != 8 || f.Height != 8) {
					t.Errorf("picture %d: %d×%d", n+1, f.Width, f.Height)
				}
			}
			if n-1 != tt.want || errors.Is(err, io.EOF) {
				t.Errorf("%d pictures, want %d; then %v, which must not be the end of a clip", n-1, tt.want, err)
			}
			if err := src.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// A camera that takes the connection and says nothing is given up in time, and leaves nothing behind.
func TestASilentStream(t *testing.T) {
	silent := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "multipart/x-mixed-replace; boundary=b")
		if err := http.NewResponseController(w).Flush(); err != nil {
			t.Error(err)
		}
		<-silent
	}))
	defer server.Close()
	defer close(silent)
	began := time.Now()
	_, err := Open(Config{Kind: HTTP, Address: server.URL, Timeout: 200 * time.Millisecond}, Parts{Log: slog.New(slog.DiscardHandler)})
	if !errors.Is(err, ErrNoOpenCV) || time.Since(began) > 10*time.Second {
		t.Errorf("after %v: %v", time.Since(began), err)
	}
}
