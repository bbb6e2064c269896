// Package metrics serves a running agent's stats to Prometheus over HTTP, by default on a Unix socket.
package metrics

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"reflect"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"xbmedge/agent/internal/stats"
)

// Server answers GET /metrics. It must be closed.
type Server struct {
	http   *http.Server
	done   chan error
	listen net.Listener
}

// Listen serves the readings that read returns, on "unix:/path" or "host:port". read may be called from any goroutine.
// A socket that an ended agent has left behind is replaced.
func Listen(address string, read func() stats.Stats, log *slog.Logger) (*Server, error) {
	network := "tcp"
	if path, ok := strings.CutPrefix(address, "unix:"); ok {
		network, address = "unix", path
		if err := removeStale(path); err != nil {
			return nil, fmt.Errorf("metrics: %w", err)
		}
	}
	listener, err := net.Listen(network, address)
	if err != nil {
		return nil, fmt.Errorf("metrics: %w", err)
	}
	if network == "unix" {
		if err := os.Chmod(address, 0o660); err != nil { //nolint:gosec // for the service's group, whatever the umask
			return nil, errors.Join(fmt.Errorf("metrics: %w", err), listener.Close())
		}
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(collector{read})
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelWarn)}))
	s := &Server{
		http:   &http.Server{Handler: mux, ReadTimeout: 10 * time.Second, WriteTimeout: 10 * time.Second, IdleTimeout: time.Minute},
		done:   make(chan error, 1),
		listen: listener,
	}
	go func() { s.done <- s.http.Serve(listener) }()
	return s, nil
}

// Addr returns where it listens.
func (s *Server) Addr() net.Addr { return s.listen.Addr() }

// Close ends the server and waits for it. It removes its socket.
func (s *Server) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	err := s.http.Shutdown(ctx)
	if served := <-s.done; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	return err
}

// removeStale removes a socket that nobody serves any more. It touches nothing else.
func removeStale(path string) error {
	info, err := os.Lstat(path)
	if err != nil || info.Mode().Type() != os.ModeSocket {
		return nil //nolint:nilerr // nothing there, or nothing of ours: listening will say
	}
	conn, err := net.Dial("unix", path)
	if err == nil {
		return errors.Join(fmt.Errorf("another agent already serves %s", path), conn.Close())
	}
	return os.Remove(path)
}

// collector makes metrics of the tags of stats.Stats, each time it is asked.
type collector struct{ read func() stats.Stats }

// Describe sends nothing: which metrics there are depends on the board and the cameras.
func (collector) Describe(chan<- *prometheus.Desc) {}

// Collect sends all metrics.
func (c collector) Collect(out chan<- prometheus.Metric) {
	s := c.read()
	collect(out, "xbm_", reflect.ValueOf(s), nil, nil)
	for name, camera := range s.Cameras {
		collect(out, "xbm_camera_", reflect.ValueOf(camera), []string{"camera"}, []string{name})
	}
}

func collect(out chan<- prometheus.Metric, prefix string, v reflect.Value, labels, values []string) {
	for i := range v.NumField() {
		field := v.Type().Field(i)
		help := field.Tag.Get("help")
		if help == "" {
			continue
		}
		value, known := number(v.Field(i))
		if !known {
			continue
		}
		kind := prometheus.GaugeValue
		if field.Tag.Get("counter") != "" {
			kind = prometheus.CounterValue
		}
		desc := prometheus.NewDesc(prefix+field.Tag.Get("json"), help, labels, nil)
		out <- prometheus.MustNewConstMetric(desc, kind, value, values...)
	}
}

// number returns a field as a number; a nil pointer is none.
func number(v reflect.Value) (float64, bool) {
	if v.Kind() == reflect.Pointer {
		if v.IsNil() {
			return 0, false
		}
		v = v.Elem()
	}
	switch {
	case v.Kind() == reflect.Bool:
		if v.Bool() {
			return 1, true
		}
		return 0, true
	case v.CanUint():
		return float64(v.Uint()), true
	case v.CanInt():
		return float64(v.Int()), true
	case v.CanFloat():
		return v.Float(), true
	}
	return 0, false
}
