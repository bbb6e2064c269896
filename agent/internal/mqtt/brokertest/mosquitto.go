package brokertest

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

	"xbmedge/internal/testdata"
)

const patience = 20 * time.Second

// Mosquitto runs the real broker with the shipped configuration, except for its port, its folder and its user, until
// the returned function kills it without warning. It skips the test where Mosquitto is not installed.
func Mosquitto(t testing.TB, folder string, port int) (kill func()) {
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
	return MosquittoWith(t, folder, port, config)
}

// MosquittoWith is Mosquitto with any configuration that listens on the port.
func MosquittoWith(t testing.TB, folder string, port int, config string) (kill func()) {
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
	broker := exec.CommandContext(t.Context(), program, "-c", path) //nolint:gosec // the broker, with the test's own file
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

// FreePort returns a port of this machine that nobody listens on.
func FreePort(t testing.TB) int {
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
