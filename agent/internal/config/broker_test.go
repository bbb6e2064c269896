package config_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"xbmedge/agent/internal/config"
)

// Fallbacks come from the file or the environment, and their passwords are secrets as all others.
func TestFallbacks(t *testing.T) {
	want := []string{"tcp://localhost:1883", "ssl://me:s3cret@b.lan", "tcp://c.lan:1884"}
	for name, read := range map[string]func() (*config.Config, error){
		"file": func() (*config.Config, error) {
			return load(t, minimal+"mqtt: {fallbacks: ['ssl://me:s3cret@b.lan', 'tcp://c.lan:1884']}\n")
		},
		"environment": func() (*config.Config, error) {
			t.Setenv("XBM_MQTT_FALLBACKS", "ssl://me:s3cret@b.lan, tcp://c.lan:1884")
			return load(t, minimal)
		},
	} {
		c, err := read()
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		client := c.Client()
		if diff := cmp.Diff(want, c.MQTT.Brokers()); diff != "" || client.Broker != want[0] || len(client.Fallbacks) != 2 {
			t.Errorf("%s: %s\nclient %+v", name, diff, client)
		}
		if diff := cmp.Diff([]string{"s3cret"}, c.Secrets()); diff != "" {
			t.Errorf("%s: secrets %s", name, diff)
		}
	}
}

// The password in a file is read again for each connection, and no reason for a restart.
func TestPasswordIsReadAgain(t *testing.T) {
	t.Setenv("CREDENTIALS_DIRECTORY", "")
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "secrets"), 0o700); err != nil {
		t.Fatal(err)
	}
	write("agent.yaml", minimal+"mqtt: {username: me, password_file: 'secret:broker'}\n")
	write("secrets/broker", "this year's\n")
	read := func() *config.Config {
		t.Helper()
		c, err := config.Load(filepath.Join(dir, "agent.yaml"))
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	before := read()
	write("secrets/broker", "\n")
	if _, err := before.Client().RenewPassword(); err == nil || !strings.Contains(err.Error(), "mqtt.password_file: ") || !strings.Contains(err.Error(), "is empty") {
		t.Errorf("half a file: %v", err)
	}
	write("secrets/broker", "next year's\n")
	if password, err := before.Client().RenewPassword(); err != nil || password != "next year's" {
		t.Errorf("%q, %v", password, err)
	}
	if keys := before.RestartNeeded(read()); len(keys) > 0 {
		t.Errorf("a changed password wants a restart: %q", keys)
	}
	other := read()
	other.MQTT.Fallbacks = []string{"tcp://b"}
	if diff := cmp.Diff([]string{"mqtt"}, before.RestartNeeded(other)); diff != "" {
		t.Errorf("another fallback: %s", diff)
	}
	plain, err := load(t, minimal, "mqtt.password=a")
	if err != nil {
		t.Fatal(err)
	}
	changed, err := load(t, minimal, "mqtt.password=b")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"mqtt"}, plain.RestartNeeded(changed)); diff != "" || plain.Client().RenewPassword != nil {
		t.Errorf("a changed password in the configuration: %s", diff)
	}
}
