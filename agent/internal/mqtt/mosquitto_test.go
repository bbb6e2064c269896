package mqtt_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"xbmedge/agent/internal/mqtt"
	"xbmedge/agent/internal/mqtt/brokertest"
)

func mosquitto(t testing.TB, folder string, port int) (kill func()) {
	t.Helper()
	return brokertest.Mosquitto(t, folder, port)
}

func mosquittoWith(t testing.TB, folder string, port int, config string) (kill func()) {
	t.Helper()
	return brokertest.MosquittoWith(t, folder, port, config)
}

// The shipped configuration starts, and keeps a state through a crash of the broker, as it says.
func TestShippedMosquittoConfiguration(t *testing.T) {
	port := freePort(t)
	url := fmt.Sprintf("tcp://127.0.0.1:%d", port)
	folder := t.TempDir()
	kill := mosquitto(t, folder, port)

	c, stop := start(t, fast(url), mqtt.NewMemoryOutbox(10, 1))
	c.State("b/n/c/state", []byte("what is in sight"))
	send(t, c, 1, 1) // a client that has no event to deliver does not wait for the broker
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	for deadline := time.After(patience); ; { // confirmed, and written a moment later
		saved, err := os.ReadFile(filepath.Join(folder, "mosquitto.db"))
		if err == nil && bytes.Contains(saved, []byte("what is in sight")) {
			break
		}
		select {
		case <-deadline:
			t.Fatalf("the state is not written: %v", err)
		case <-time.After(5 * time.Millisecond):
		}
	}
	kill()
	mosquitto(t, folder, port)
	got := subscribe(t, url, "b/n/c/state").until(t, is("b/n/c/state", "what is in sight"))
	if m := got[len(got)-1]; !m.Retained {
		t.Errorf("%s is not retained", m.Topic)
	}
}

func freePort(t testing.TB) int {
	t.Helper()
	return brokertest.FreePort(t)
}

// anyBroker starts a Mosquitto that keeps nothing on the disk where it is installed, and else the tests' own broker.
func anyBroker(t testing.TB) (url, name string) {
	t.Helper()
	if _, err := exec.LookPath("mosquitto"); err != nil {
		return brokertest.Start(t, "127.0.0.1:0").URL(), "the tests' broker"
	}
	port := freePort(t)
	mosquittoWith(t, t.TempDir(), port, fmt.Sprintf("listener %d 127.0.0.1\nallow_anonymous true\nmax_queued_messages 0\nset_tcp_nodelay true\nuser root\n", port))
	return fmt.Sprintf("tcp://127.0.0.1:%d", port), "Mosquitto"
}
