package mqtt_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"xbmedge/agent/internal/mqtt"
	"xbmedge/internal/testdata"
)

// house is a Mosquitto with the shipped configuration for a house.
type house struct {
	url string
	ca  string // file
	tls mqtt.TLSFiles
}

// newHouse starts one with the users porch, cellar, homeassistant, viewer and auditor, who may read and write everything;
// the password of each is its name. rules changes the access rules; porch may write one topic of Home Assistant's besides.
func newHouse(t *testing.T, rules func(string) string) house {
	t.Helper()
	if _, err := exec.LookPath("mosquitto_passwd"); err != nil {
		t.Skip("mosquitto_passwd is not in PATH (scripts/setup.sh installs Mosquitto)")
	}
	dir, port := t.TempDir(), freePort(t)
	read := func(name string) string {
		text, err := os.ReadFile(filepath.Join(testdata.Root(t), "configs", name))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("mosquitto.acl", rules(read("mosquitto.acl"))+"\nuser porch\ntopic write homeassistant/device/xbm_porch_1a2b3c/config\nuser auditor\ntopic readwrite #\n")
	config := strings.NewReplacer("listener 8883\n", fmt.Sprintf("listener %d 127.0.0.1\nuser root\n", port),
		"/etc/mosquitto/certs/", dir+"/", "/etc/mosquitto/", dir+"/", "/var/lib/mosquitto/", dir+"/").Replace(read("mosquitto-house.conf"))
	h := house{url: fmt.Sprintf("ssl://localhost:%d", port), ca: filepath.Join(dir, "broker.pem")}
	certificate, key := selfSigned(t, "localhost")
	write("broker.pem", certificate)
	write("broker.key", key)
	for i, user := range []string{"porch", "cellar", "homeassistant", "viewer", "auditor"} {
		args := []string{"-b", filepath.Join(dir, "passwd"), user, user}
		if i == 0 {
			args = append([]string{"-c"}, args...)
		}
		if out, err := exec.Command("mosquitto_passwd", args...).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	mosquittoWith(t, dir, port, config)
	h.tls.CA = h.ca
	return h
}

// selfSigned makes a certificate for a name of this machine.
func selfSigned(t *testing.T, name string) (certificate, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})), string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}))
}

func (h house) as(user string) mqtt.Config {
	cfg := fast(h.url)
	cfg.TLS, cfg.Username, cfg.Password, cfg.StatusTopic = h.tls, user, user, "xbm/"+user+"/status"
	return cfg
}

// publish sends messages as a user, in order, and waits until the broker has them.
func (h house) publish(t *testing.T, user string, topics ...string) {
	t.Helper()
	outbox := mqtt.NewMemoryOutbox(len(topics), 1)
	c, stop := start(t, h.as(user), outbox)
	for _, topic := range topics {
		if err := c.Event(topic, func(uint64) ([]byte, error) { return []byte("by " + user), nil }); err != nil {
			t.Fatal(err)
		}
	}
	if err := stop(); err != nil { // it drains
		t.Fatal(err)
	}
	if outbox.Len() > 0 {
		t.Fatalf("%d messages are left", outbox.Len())
	}
}

// heard returns the topics of what a user, subscribed to filters, receives of messages to topics that another publishes,
// up to and without the last, which it has to receive.
func (h house) heard(t *testing.T, user string, filters []string, sender string, topics []string) []string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	ready, done := make(chan struct{}), make(chan error, 1)
	var got []string
	arrived := false
	go func() {
		done <- mqtt.Listen(ctx, h.as(user), filters, quiet(), func() error { close(ready); return nil }, func(m mqtt.Message) bool {
			if string(m.Payload) != "by "+sender {
				return true // its status
			}
			if arrived = m.Topic == topics[len(topics)-1]; !arrived {
				got = append(got, m.Topic)
			}
			return !arrived
		})
	}()
	select {
	case <-ready:
	case err := <-done:
		t.Fatalf("%s does not listen: %v", user, err)
	case <-ctx.Done():
		t.Fatalf("%s does not listen", user)
	}
	h.publish(t, sender, topics...)
	if err := <-done; err != nil || !arrived {
		t.Fatalf("%s did not receive %s, which it may: %v", user, topics[len(topics)-1], err)
	}
	return got
}

// What a board may not write, and what it may not read.
var (
	forbiddenToWrite = []string{
		"xbm/cellar/status", "xbm/cellar/stats", "xbm/cellar/error", "xbm/cellar/shelf/match", "xbm/cellar/shelf/state",
		"xbm/cellar/shelf/status", "xbm/cellar/shelf/snapshot", "xbm/cellar/shelf/embedding", "xbm/cellar/identity/cup/state",
		"xbm/cellar/gallery/set", "xbm/cellar/gallery/reply", "xbm/cellar/gallery/state", "xbm/cellar/update/set",
		"xbm/cellar/shelf/recognition/set", "xbm/cellar/shelf/enabled/set", "xbm/cellar/test/set", "xbm/status", "xbm", "xbm/porch2/status",
		"homeassistant/status", "homeassistant/device/cellar/config", "homeassistant/device/cellar/shelf/config",
		"homeassistant/switch/x/config", "home/light/set", "zigbee2mqtt/bridge/request/restart", "porch/status",
		"xbm/cellar/shelf/fps/set", "xbm/cellar/shelf/threshold/set", "xbm/cellar/shelf/publish_embeddings/set", "xbm/cellar/shelf/candidate",
		"xbm/cellar/update/state", "xbm/cellar/identity/cup/snapshot",
	}
	forbiddenToRead = []string{
		"xbm/cellar/gallery/set", "xbm/cellar/shelf/recognition/set", "xbm/cellar/shelf/match", "xbm/cellar/shelf/state",
		"xbm/cellar/shelf/snapshot", "xbm/cellar/shelf/embedding", "xbm/cellar/gallery/reply", "xbm/cellar/gallery/state",
		"xbm/cellar/identity/cup/state", "xbm/cellar/stats", "homeassistant/device/cellar/config", "home/alarm/code",
		"zigbee2mqtt/bridge/state",
		"xbm/cellar/status", "xbm/cellar/error", "xbm/cellar/shelf/status", "xbm/cellar/shelf/candidate", "xbm/cellar/shelf/enabled/set",
		"xbm/cellar/shelf/fps/set", "xbm/cellar/update/set", "xbm/cellar/update/state", "xbm/cellar/identity/cup/snapshot", "xbm/cellar/test/set",
		"xbm/porch2/gallery/set", "xbm/status", "xbm/porch/shelf/match", "xbm/porch/shelf/snapshot", "xbm/porch/gallery/state",
		"homeassistant/device/xbm_porch_1a2b3c/config", "home/light/set",
	}
	allowedToWrite = []string{
		"xbm/porch/status", "xbm/porch/stats", "xbm/porch/error", "xbm/porch/shelf/match", "xbm/porch/shelf/state",
		"xbm/porch/gallery/reply", "xbm/porch/gallery/state", "xbm/porch/identity/cup/state", "xbm/porch/shelf/recognition/state",
		"homeassistant/device/xbm_porch_1a2b3c/config",
	}
	allowedToRead = []string{"xbm/porch/gallery/set", "xbm/porch/shelf/recognition/set", "xbm/porch/test/set", "homeassistant/status"}
)

// With the shipped access rules a board reaches its own topics and no others.
func TestAccessRules(t *testing.T) {
	h := newHouse(t, func(rules string) string { return rules })
	all := append(append([]string{}, forbiddenToWrite...), allowedToWrite...)
	got := h.heard(t, "auditor", []string{"#"}, "porch", append(all, "xbm/porch/last"))
	if diff := cmp.Diff(allowedToWrite, got); diff != "" {
		t.Errorf("written by a board (-want +got):\n%s", diff)
	}
	all = append(append([]string{}, forbiddenToRead...), allowedToRead...)
	filters := append([]string{"xbm/#", "homeassistant/#", "home/#", "zigbee2mqtt/#"}, forbiddenToRead...)
	got = h.heard(t, "porch", filters, "auditor", append(all, "xbm/porch/last/round/set"))
	if diff := cmp.Diff(allowedToRead, got); diff != "" {
		t.Errorf("read by a board (-want +got):\n%s", diff)
	}
	t.Logf("%d topics denied to write, %d to read; %d and %d allowed", len(forbiddenToWrite), len(forbiddenToRead), len(allowedToWrite), len(allowedToRead))
	commands := []string{"xbm/porch/gallery/set", "xbm/porch/shelf/recognition/set", "xbm/cellar/shelf/fps/set", "xbm/cellar/gallery/set"}
	if got := h.heard(t, "auditor", []string{"xbm/#"}, "homeassistant", append(commands, "xbm/porch/last/round/set")); len(got) != len(commands) {
		t.Errorf("of Home Assistant's commands only %q arrive", got)
	}
	if got := h.heard(t, "auditor", []string{"xbm/#"}, "homeassistant", []string{"xbm/porch/status", "xbm/porch/shelf/match", "xbm/porch/last/round/set"}); len(got) != 0 {
		t.Errorf("Home Assistant writes as a board: %q", got)
	}
	for name, cfg := range map[string]mqtt.Config{
		"nobody":         {Broker: h.url, TLS: h.tls},
		"wrong password": {Broker: h.url, TLS: h.tls, Username: "porch", Password: "cellar"},
		"no trust":       {Broker: h.url, Username: "porch", Password: "porch"},
		"no TLS":         {Broker: strings.Replace(h.url, "ssl", "tcp", 1), Username: "porch", Password: "porch", ConnectTimeout: time.Second},
	} {
		if err := mqtt.Probe(t.Context(), cfg); err == nil {
			t.Errorf("%s is let in", name)
		}
	}
}

// Without a rule the test above would see it: each is taken away or widened once.
func TestAccessRulesBite(t *testing.T) {
	h := newHouse(t, func(rules string) string {
		return strings.Replace(strings.Replace(rules, "pattern write xbm/%u/#", "pattern write xbm/#", 1), "pattern read xbm/%u/gallery/set", "pattern read xbm/#", 1)
	})
	if got := h.heard(t, "auditor", []string{"#"}, "porch", append(append([]string{}, forbiddenToWrite...), "xbm/porch/last")); len(got) < 15 {
		t.Errorf("only %q were written with a rule that lets boards write all", got)
	}
	if got := h.heard(t, "porch", []string{"xbm/#"}, "auditor", append(append([]string{}, forbiddenToRead...), "xbm/porch/last/round/set")); len(got) < 8 {
		t.Errorf("only %q were read with a rule that lets boards read all", got)
	}
}

func walkTo(t *testing.T, cfg mqtt.Config, topic string) (steps []string, err error) {
	t.Helper()
	err = mqtt.Walk(t.Context(), cfg, topic, func(s mqtt.Step) {
		text := s.Name + " ok"
		if s.Err != nil {
			text = s.Name + " failed"
		}
		steps = append(steps, text)
	})
	return steps, err
}

// Each step on the way to a broker fails for its own reason.
func TestWalk(t *testing.T) {
	noLeaks(t)
	h := newHouse(t, func(rules string) string { return rules })
	silent, err := net.Listen("tcp", "127.0.0.1:0") // it takes connections and says nothing
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	closed := freePort(t)
	ok := h.as("porch")
	with := func(change func(*mqtt.Config)) mqtt.Config {
		cfg := ok
		cfg.ConnectTimeout = 2 * time.Second
		change(&cfg)
		return cfg
	}
	for _, tt := range []struct {
		name  string
		cfg   mqtt.Config
		topic string
		steps int // that are ok
		last  string
		why   string
	}{
		{"all well", ok, "xbm/porch/test/set", 7, "receive", ""},
		{"an unknown name", with(func(c *mqtt.Config) { c.Broker = "ssl://broker.invalid" }), "", 0, "dns", "broker.invalid"},
		{"nobody listens", with(func(c *mqtt.Config) { c.Broker = fmt.Sprintf("tcp://127.0.0.1:%d", closed) }), "", 1, "tcp", "refused"},
		{"no trust", with(func(c *mqtt.Config) { c.TLS = mqtt.TLSFiles{} }), "", 2, "tls", "unknown authority"},
		{"silence", with(func(c *mqtt.Config) { c.Broker = "tcp://" + silent.Addr().String() }), "", 2, "login", "no answer"},
		{"a wrong password", with(func(c *mqtt.Config) { c.Password = "wrong" }), "", 3, "login", "user name or password"},
		{"another's topic", with(func(*mqtt.Config) {}), "xbm/cellar/test/set", 6, "receive", "access rules"},
	} {
		steps, err := walkTo(t, tt.cfg, tt.topic)
		want := tt.last + " failed"
		if tt.why == "" {
			want = tt.last + " ok"
		}
		good := 0
		for _, s := range steps {
			if strings.HasSuffix(s, " ok") {
				good++
			}
		}
		if len(steps) == 0 || steps[len(steps)-1] != want || good != tt.steps {
			t.Errorf("%s: %q", tt.name, steps)
		}
		if tt.why == "" && err != nil || tt.why != "" && (err == nil || !strings.Contains(err.Error(), tt.why)) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.why)
		}
	}
}
