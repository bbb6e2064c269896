package capture_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"image/jpeg"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"xbmedge/camera"
	"xbmedge/camera/opencv"
)

// film gives a moving pattern as JPEGs, for several connections at once.
type film struct {
	mu     sync.Mutex
	src    camera.Source
	silent atomic.Bool
}

func newFilm(t *testing.T) *film {
	src, err := camera.Open(camera.Config{Kind: camera.Test, Address: "size=320x240,fps=1000"}, camera.Parts{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	return &film{src: src}
}

func (m *film) next() []byte {
	if m.silent.Load() {
		return nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	var f camera.Frame
	var b bytes.Buffer
	if m.src.Read(context.Background(), &f) != nil || jpeg.Encode(&b, f.Image(), &jpeg.Options{Quality: 90}) != nil {
		return nil
	}
	return b.Bytes()
}

// serveHTTP answers with motion JPEG, as network cameras do.
func (m *film) serveHTTP(conn net.Conn) {
	defer conn.Close()
	if _, _, err := readRequest(bufio.NewReader(conn)); err != nil {
		return
	}
	fmt.Fprint(conn, "HTTP/1.1 200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary=frame\r\nConnection: close\r\n\r\n")
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	for range ticker.C {
		picture := m.next()
		if picture == nil {
			if _, err := conn.Write(nil); err != nil {
				return
			}
			continue
		}
		if _, err := fmt.Fprintf(conn, "--frame\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n%s\r\n", len(picture), picture); err != nil {
			return
		}
	}
}

// A network camera is read through FFmpeg or without, falls silent, is switched off and comes back, with the limits that are
// shipped.
func TestNetworkCameras(t *testing.T) {
	if testing.Short() {
		t.Skip("takes half a minute")
	}
	m := newFilm(t)
	for _, tt := range []struct {
		name  string
		kind  camera.Kind
		serve func(net.Conn)
		plain bool // without OpenCV
	}{
		{"http", camera.HTTP, m.serveHTTP, true},
		{"http through FFmpeg", camera.HTTP, m.serveHTTP, false},
		{"rtsp", camera.RTSP, rtspCamera{m.next}.serve, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if err := opencv.Available(); err != nil && !tt.plain {
				t.Skip(err)
			}
			h := &host{address: "127.0.0.1:0", serve: tt.serve}
			if err := h.on(); err != nil {
				t.Fatal(err)
			}
			defer h.off()
			defer m.silent.Store(false)
			o := options(t, "")
			if tt.plain {
				o.Program = nil
			}
			o.Camera = camera.Config{Kind: tt.kind, Address: fmt.Sprintf("%s://me:s3cret@%s/live", tt.kind, h.address)}
			o.Stall, o.Frozen = 4*time.Second, 4*time.Second
			ctx, cancel := context.WithCancel(t.Context())
			var running sync.WaitGroup
			defer running.Wait()
			defer cancel()
			p := startPatient(ctx, t, &running, tt.name, o, 5*time.Second)
			first := p.await(t, 30*time.Second, "the first frames", p.isFresh())

			before := p.offline.Load()
			m.silent.Store(true)
			silent := p.await(t, 5*time.Second, "silence is noticed", func() bool { return p.offline.Load() > before })
			m.silent.Store(false)
			spoke := p.await(t, 10*time.Second, "it is back after the silence", p.isFresh())

			before = p.offline.Load()
			began := time.Now()
			h.off()
			p.await(t, 5*time.Second, "that it is off is noticed", func() bool { return p.offline.Load() > before })
			off := time.Since(began)
			time.Sleep(3 * time.Second) // what is tested is real time
			if err := h.on(); err != nil {
				t.Fatal(err)
			}
			on := p.await(t, 10*time.Second, "it is back after it was off", p.isFresh())
			t.Logf("%s: first frames after %v; silence noticed after %v, over after %v; off noticed after %v, over after %v",
				tt.name, first, silent, spoke, off, on)
		})
	}
}
