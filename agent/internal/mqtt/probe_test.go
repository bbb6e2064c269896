package mqtt_test

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http/httptest"
	"runtime"
	"syscall"
	"testing"
	"time"

	"xbmedge/agent/internal/mqtt"
	"xbmedge/agent/internal/mqtt/brokertest"
)

func TestProbe(t *testing.T) {
	noLeaks(t)
	open := brokertest.Start(t, "127.0.0.1:0")
	closed := brokertest.Start(t, "127.0.0.1:0", brokertest.User{Name: "me", Password: "right"})
	mute, err := net.Listen("tcp", "127.0.0.1:0") // it takes connections and hangs up
	if err != nil {
		t.Fatal(err)
	}
	defer mute.Close()
	go func() {
		for {
			conn, err := mute.Accept()
			if err != nil {
				return
			}
			conn.Close()
		}
	}()
	gone, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	gone.Close()
	for name, tt := range map[string]struct {
		cfg  mqtt.Config
		want error
	}{
		"open":           {mqtt.Config{Broker: open.URL()}, nil},
		"right password": {mqtt.Config{Broker: closed.URL(), Username: "me", Password: "right"}, nil},
		"in the URL":     {mqtt.Config{Broker: "tcp://me:right@" + closed.Addr}, nil},
		"wrong password": {mqtt.Config{Broker: closed.URL(), Username: "me", Password: "wrong"}, mqtt.ErrLogin},
		"nobody":         {mqtt.Config{Broker: closed.URL()}, mqtt.ErrLogin},
		"no broker":      {mqtt.Config{Broker: "tcp://" + mute.Addr().String()}, mqtt.ErrNoBroker},
		"refused":        {mqtt.Config{Broker: "tcp://" + gone.Addr().String()}, syscall.ECONNREFUSED},
	} {
		if err := mqtt.Probe(t.Context(), tt.cfg); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", name, err, tt.want)
		}
	}
	untrusted := httptest.NewTLSServer(nil) // with a certificate of its own
	defer untrusted.Close()
	untrusted.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	var verification *tls.CertificateVerificationError
	if err := mqtt.Probe(t.Context(), mqtt.Config{Broker: "ssl://" + untrusted.Listener.Addr().String()}); !errors.As(err, &verification) {
		t.Errorf("a certificate nobody trusts: %v", err)
	}
	if err := mqtt.Probe(t.Context(), mqtt.Config{Broker: "ssl://" + open.Addr, ConnectTimeout: time.Second}); !errors.Is(err, mqtt.ErrNoBroker) {
		t.Errorf("TLS to a broker without: %v", err)
	}
}

// A probe leaves alone an agent that works under the configured client id.
func TestProbeThrowsNobodyOut(t *testing.T) {
	broker := brokertest.Start(t, "127.0.0.1:0")
	heard := subscribe(t, broker.URL(), "a/status")
	cfg := fast(broker.URL())
	cfg.ClientID, cfg.StatusTopic = "agent", "a/status"
	client, err := mqtt.New(cfg, mqtt.NewMemoryOutbox(1, 1), quiet())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- client.Run(ctx) }()
	heard.until(t, func(mqtt.Message) bool { return true })
	if err := mqtt.Probe(ctx, cfg); err != nil {
		t.Error(err)
	}
	// Its first message may be heard before the client has noted that it is connected.
	for end := time.Now().Add(5 * time.Second); !client.Stats().Connected && time.Now().Before(end); {
		runtime.Gosched()
	}
	if n := client.Stats().Connects; n != 1 || !client.Stats().Connected {
		t.Errorf("%d connections, connected %v; want the one still there", n, client.Stats().Connected)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
