package mqtt_test

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"xbmedge/agent/internal/mqtt"
	"xbmedge/agent/internal/mqtt/brokertest"
	"xbmedge/internal/testdata"
)

// mosquitto runs the real broker with the shipped configuration, except for its port, its folder and its user, until
// the returned function kills it without warning. It skips the test where Mosquitto is not installed.
func mosquitto(t testing.TB, folder string, port int) (kill func()) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(testdata.Root(t), "configs", "mosquitto.conf"))
	if err != nil {
		t.Fatal(err)
	}
	config := string(text)
	for old, changed := range map[string]string{
		"listener 1883 127.0.0.1":                    fmt.Sprintf("listener %d 127.0.0.1", port),
		"persistence_location /var/lib/mosquitto/\n": "persistence_location " + folder + "/\nuser root\n", // or it gives up the right to that folder
	} {
		if strings.Count(config, "\n"+old) != 1 {
			t.Fatalf("the shipped file has no line %q", old)
		}
		config = strings.Replace(config, "\n"+old, "\n"+changed, 1)
	}
	return mosquittoWith(t, folder, port, config)
}

// mosquittoWith is mosquitto with any configuration that listens on the port.
func mosquittoWith(t testing.TB, folder string, port int, config string) (kill func()) {
	t.Helper()
	program, err := exec.LookPath("mosquitto")
	if err != nil {
		t.Skip("mosquitto is not installed, or not in PATH (scripts/setup.sh installs it)")
	}
	path := filepath.Join(folder, "mosquitto.conf")
	if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	broker := exec.CommandContext(t.Context(), program, "-c", path)
	broker.Stdout, broker.Stderr = &log, &log
	if err := broker.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- broker.Wait() }()
	killed := false
	kill = func() {
		if killed {
			return
		}
		killed = true
		_ = broker.Process.Kill()
		<-ended
	}
	t.Cleanup(kill)
	for deadline := time.After(patience); ; {
		conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err == nil {
			_ = conn.Close()
			return kill
		}
		select {
		case err := <-ended:
			ended <- err
			t.Fatalf("mosquitto ended: %v\n%s", err, log.String())
		case <-deadline:
			t.Fatal("mosquitto does not listen")
		case <-time.After(5 * time.Millisecond):
		}
	}
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
	probe, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := probe.Close(); err != nil {
		t.Fatal(err)
	}
	return probe.Addr().(*net.TCPAddr).Port // of a TCP listener
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
