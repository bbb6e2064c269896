package command_test

import (
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"xbmedge/agent/internal/mqtt/brokertest"
)

// The way to the broker is printed step by step, and the first that fails is the command's error.
func TestMQTTTest(t *testing.T) {
	broker := brokertest.Start(t, "127.0.0.1:0")
	nobody, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := nobody.Close(); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	path := filepath.Join(dir, "agent.yaml")
	yaml := "node: porch\nmodel: {path: m.xbm}\ngallery: {path: g}\ncameras: {shelf: {kind: test}}\n"
	if err := os.WriteFile(path, []byte(yaml), 0o600); err != nil {
		t.Fatal(err)
	}
	steps := func(args ...string) (taken []string, err error) {
		out, err := run(t, append([]string{"mqtt", "test", "--config", path, "--json"}, args...)...)
		for line := range strings.Lines(out) {
			var s struct {
				Step, Found, Remedy string
				OK                  bool
			}
			if json.Unmarshal([]byte(line), &s) != nil || s.Found == "" || s.OK == (s.Remedy != "") {
				t.Errorf("%s", line)
			}
			taken = append(taken, s.Step)
		}
		return taken, err
	}
	taken, err := steps("--set", "mqtt.broker="+broker.URL())
	if diff := cmp.Diff([]string{"dns", "tcp", "login", "subscribe", "publish", "receive"}, taken); diff != "" || err != nil {
		t.Errorf("%v\n%s", err, diff)
	}
	taken, err = steps("--set", "mqtt.broker=tcp://"+nobody.Addr().String())
	if diff := cmp.Diff([]string{"dns", "tcp"}, taken); diff != "" || err == nil || !strings.Contains(err.Error(), "at the step tcp") {
		t.Errorf("%v\n%s", err, diff)
	}
	taken, err = steps("--set", "mqtt.broker=tcp://"+nobody.Addr().String(), "--set", "mqtt.fallbacks=tcp://me:secret@127.0.0.1:1,"+broker.URL())
	if diff := cmp.Diff([]string{"dns", "tcp", "dns", "tcp", "dns", "tcp", "login", "subscribe", "publish", "receive"}, taken); diff != "" ||
		err == nil || strings.Count(err.Error(), "at the step tcp") != 2 || strings.Contains(err.Error(), "secret") {
		t.Errorf("with fallbacks: %v\n%s", err, diff)
	}
	text, err := run(t, "mqtt", "test", "--config", path, "--set", "mqtt.broker="+broker.URL(), "--set", "mqtt.fallbacks=tcp://me:secret@127.0.0.1:1")
	for _, want := range []string{broker.URL() + ", 1 of 2:", "tcp://me:xxxxx@127.0.0.1:1, 2 of 2:", "correct the port in mqtt.fallbacks"} {
		if err == nil || !strings.Contains(text, want) || strings.Contains(text, "secret") {
			t.Errorf("%v\n%s\ndoes not say %q", err, text, want)
		}
	}
	if _, err := steps("--timeout", "0s"); err == nil || !strings.Contains(err.Error(), "--timeout") {
		t.Errorf("no time: %v", err)
	}
	out, err := run(t, "mqtt", "test", "--config", path, "--set", "mqtt.broker=tcp://me:secret@"+nobody.Addr().String())
	if err == nil || !strings.Contains(out, "FAILED  127.0.0.1 refuses connections") || strings.Contains(out+err.Error(), "secret") {
		t.Errorf("%v\n%s", err, out)
	}
}
