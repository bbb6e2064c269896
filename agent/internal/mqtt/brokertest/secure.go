package brokertest

import (
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"
	"testing"
	"time"

	broker "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/hooks/auth"
	"github.com/mochi-mqtt/server/v2/listeners"
)

// StartWebSocket runs a broker that listens for WebSockets over TLS until the test's end, and returns its URL.
func StartWebSocket(t testing.TB, cfg *tls.Config) (url string) {
	t.Helper()
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := free.Addr().String()
	if err := free.Close(); err != nil {
		t.Fatal(err)
	}
	server := broker.New(&broker.Options{Logger: slog.New(slog.DiscardHandler)})
	if err := server.AddHook(new(auth.AllowHook), nil); err != nil {
		t.Fatal(err)
	}
	if err := server.AddListener(listeners.NewWebsocket(listeners.Config{ID: "wss", Address: addr, TLSConfig: cfg})); err != nil {
		t.Fatal(err)
	}
	if err := server.Serve(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close() })
	for deadline := time.Now().Add(20 * time.Second); ; { // Serve does not wait until it listens
		conn, err := net.Dial("tcp", addr)
		if err == nil {
			_ = conn.Close()
			break
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
	return fmt.Sprintf("wss://%s", addr)
}

// Join passes the connections that a listener takes on to an address until the test's end; those that admit refuses are
// closed.
func Join(t testing.TB, l net.Listener, target string, admit func(net.Conn) bool) {
	t.Helper()
	var group sync.WaitGroup
	group.Go(func() {
		for {
			near, err := l.Accept()
			if err != nil {
				return
			}
			group.Go(func() {
				defer func() { _ = near.Close() }()
				if !admit(near) {
					return
				}
				far, err := net.Dial("tcp", target)
				if err != nil {
					return
				}
				var back sync.WaitGroup
				back.Go(func() {
					_, _ = io.Copy(near, far) // until either end closes
					_ = near.Close()
				})
				_, _ = io.Copy(far, near) // as above
				_ = far.Close()
				back.Wait()
			})
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		group.Wait()
	})
}
