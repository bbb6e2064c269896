package metrics_test

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"xbmedge/agent/internal/metrics"
	"xbmedge/agent/internal/stats"
)

func reading() stats.Stats {
	hot := 61.5
	return stats.Stats{
		Schema: stats.Schema, Node: "porch", FPS: 9.5, RSS: 12345, Temperature: &hot, Throttled: true, Share: 0.75, Dropped: 3, Degraded: []string{"throttle"},
		Cameras: map[string]stats.Camera{"door": {Online: true, Frames: 100}},
	}
}

func get(t *testing.T, network, address string) string {
	t.Helper()
	client := http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, network, address)
		},
	}}
	resp, err := client.Get("http://agent/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %v", resp.Status, err)
	}
	return string(text)
}

func TestMetrics(t *testing.T) {
	defer goleak.VerifyNone(t)
	path := filepath.Join(t.TempDir(), "metrics.sock")
	for _, address := range []string{"unix:" + path, "127.0.0.1:0"} {
		s, err := metrics.Listen(address, reading, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		if info, err := os.Stat(path); strings.HasPrefix(address, "unix:") && (err != nil || info.Mode().Perm() != 0o660) {
			t.Errorf("the socket's mode: %v, %v", info, err)
		}
		text := get(t, s.Addr().Network(), s.Addr().String())
		for _, want := range []string{
			"# TYPE xbm_fps gauge\nxbm_fps 9.5\n", "xbm_temperature_c 61.5\n", "xbm_throttled 1\n", "xbm_rss_bytes 12345\n",
			"# TYPE xbm_dropped counter\nxbm_dropped 3\n", `xbm_camera_frames{camera="door"} 100`, `xbm_camera_online{camera="door"} 1`,
		} {
			if !strings.Contains(text, want) {
				t.Errorf("%s lacks %q in\n%s", address, want, text)
			}
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	if _, err := os.Stat(path); err == nil {
		t.Error("the socket is still there")
	}
}

// Every number of the message is a metric of the same name.
func TestSameNames(t *testing.T) {
	path := filepath.Join(t.TempDir(), "m.sock")
	s, err := metrics.Listen("unix:"+path, reading, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	text := get(t, "unix", path)
	r := reading()
	for _, part := range []struct {
		prefix string
		value  any
	}{{"\nxbm_", r}, {"\nxbm_camera_", r.Cameras["door"]}} {
		raw, err := json.Marshal(part.value)
		if err != nil {
			t.Fatal(err)
		}
		var fields map[string]any
		if err := json.Unmarshal(raw, &fields); err != nil {
			t.Fatal(err)
		}
		for name, v := range fields {
			isNumber := reflect.TypeOf(v).Kind() == reflect.Float64 || reflect.TypeOf(v).Kind() == reflect.Bool
			if name != "ts" && isNumber && !strings.Contains(text, part.prefix+name) {
				t.Errorf("no metric %s%s", part.prefix, name)
			}
		}
	}
}

func TestUnknownTemperatureIsAbsent(t *testing.T) {
	path := filepath.Join(t.TempDir(), "m.sock")
	s, err := metrics.Listen("unix:"+path, func() stats.Stats { return stats.Stats{} }, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if text := get(t, "unix", path); strings.Contains(text, "temperature") || !strings.Contains(text, "xbm_fps 0") {
		t.Errorf("got\n%s", text)
	}
}

func TestSocketInTheWay(t *testing.T) {
	path := filepath.Join(t.TempDir(), "m.sock")
	left, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	left.SetUnlinkOnClose(false)
	log := slog.New(slog.DiscardHandler)
	if _, err := metrics.Listen("unix:"+path, reading, log); err == nil || !strings.Contains(err.Error(), "another agent") {
		t.Errorf("beside a living server: %v", err)
	}
	if err := left.Close(); err != nil {
		t.Fatal(err)
	}
	s, err := metrics.Listen("unix:"+path, reading, log)
	if err != nil {
		t.Fatalf("in place of a dead one: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if err := os.WriteFile(path, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := metrics.Listen("unix:"+path, reading, log); err == nil {
		t.Error("it took a file for a socket")
	}
	if data, err := os.ReadFile(path); err != nil || string(data) != "precious" {
		t.Errorf("the file in its place: %q, %v", data, err)
	}
}
