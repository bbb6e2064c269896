package mqtt_test

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"xbmedge/agent/internal/mqtt"
	"xbmedge/agent/internal/mqtt/brokertest"
)

const patience = 20 * time.Second

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// noLeaks must be called before anything is started: it looks after all of that has been stopped at the test's end.
func noLeaks(t *testing.T) {
	t.Helper()
	before := goleak.IgnoreCurrent()
	t.Cleanup(func() { goleak.VerifyNone(t, before) })
}

// subscriber collects what arrives at a broker.
type subscriber struct {
	messages chan mqtt.Message
}

func subscribe(t testing.TB, url string, topics ...string) *subscriber {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	s := &subscriber{messages: make(chan mqtt.Message, 10000)}
	ready := make(chan struct{}, 100) // one for each time it connects
	done := make(chan error, 1)
	go func() {
		done <- mqtt.Listen(ctx, fast(url), topics, quiet(), func() error {
			ready <- struct{}{}
			return nil
		}, func(m mqtt.Message) bool {
			s.messages <- m
			return true
		})
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("listen: %v", err)
		}
	})
	select {
	case <-ready:
	case <-time.After(patience):
		t.Fatal("not subscribed")
	}
	return s
}

// until returns what arrives up to and with the message that stop likes.
func (s *subscriber) until(t *testing.T, stop func(mqtt.Message) bool) []mqtt.Message {
	t.Helper()
	var got []mqtt.Message
	deadline := time.After(patience)
	for {
		select {
		case m := <-s.messages:
			got = append(got, m)
			if stop(m) {
				return got
			}
		case <-deadline:
			t.Fatalf("what was waited for did not come; %d messages did", len(got))
		}
	}
}

func is(topic, payload string) func(mqtt.Message) bool {
	return func(m mqtt.Message) bool { return m.Topic == topic && string(m.Payload) == payload }
}

func fast(url string) mqtt.Config {
	return mqtt.Config{
		Broker: url, StatusTopic: "b/n/status", BackoffMin: 5 * time.Millisecond, BackoffMax: 50 * time.Millisecond,
		WriteTimeout: 200 * time.Millisecond, AckTimeout: 200 * time.Millisecond, Settle: 20 * time.Millisecond, ConnectTimeout: 2 * time.Second, DrainTimeout: patience,
	}
}

// start runs a client; the returned function ends it and returns its error.
func start(t testing.TB, cfg mqtt.Config, outbox mqtt.Outbox) (*mqtt.Client, func() error) {
	t.Helper()
	return startLogged(t, cfg, outbox, quiet())
}

func startLogged(t testing.TB, cfg mqtt.Config, outbox mqtt.Outbox, log *slog.Logger) (*mqtt.Client, func() error) {
	t.Helper()
	c, err := mqtt.New(cfg, outbox, log)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	stop := sync.OnceValue(func() error {
		cancel()
		select {
		case err := <-done:
			return err
		case <-time.After(2 * patience):
			return fmt.Errorf("the client does not end")
		}
	})
	t.Cleanup(func() { _ = stop() })
	return c, stop
}

// wired starts a broker, a subscriber to all that is said there, and a client whose way to the broker is a cable; the
// client is online when it returns.
func wired(t *testing.T, outbox mqtt.Outbox) (*brokertest.Cable, *subscriber, *mqtt.Client, func() error) {
	t.Helper()
	broker := brokertest.Start(t, "127.0.0.1:0")
	cable := brokertest.NewCable(t, broker.Addr)
	sub := subscribe(t, broker.URL(), "b/#")
	c, stop := start(t, fast("tcp://"+cable.Addr), outbox)
	sub.until(t, is("b/n/status", "online"))
	return cable, sub, c, stop
}

func events(messages []mqtt.Message, topic string) []string {
	var out []string
	for _, m := range messages {
		if m.Topic == topic {
			out = append(out, string(m.Payload))
		}
	}
	return out
}

func numbers(from, to int) []string {
	var out []string
	for i := from; i <= to; i++ {
		out = append(out, fmt.Sprint(i))
	}
	return out
}

func send(t *testing.T, c *mqtt.Client, from, to int) {
	t.Helper()
	for _, n := range numbers(from, to) {
		if err := c.Event("b/n/c/match", func(uint64) ([]byte, error) { return []byte(n), nil }); err != nil {
			t.Fatal(err)
		}
	}
}

func TestClientDeliversInOrderAndSaysGoodbye(t *testing.T) {
	noLeaks(t)
	broker := brokertest.Start(t, "127.0.0.1:0")
	sub := subscribe(t, broker.URL(), "b/#")
	c, stop := start(t, fast(broker.URL()), mqtt.NewMemoryOutbox(1000, 1))
	c.State("b/n/c/state", []byte("old"))
	c.State("b/n/c/state", []byte("new"))
	send(t, c, 1, 300)
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	got := sub.until(t, is("b/n/status", "offline"))
	if diff := cmp.Diff(numbers(1, 300), events(got, "b/n/c/match")); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
	live := slices.DeleteFunc(slices.Clone(got), func(m mqtt.Message) bool { return m.Retained }) // the broker may send a value twice to a new subscriber
	if diff := cmp.Diff([]string{"online", "offline"}, events(live, "b/n/status")); diff != "" {
		t.Errorf("status (-want +got):\n%s", diff)
	}
	if s := events(got, "b/n/c/state"); len(s) == 0 || s[len(s)-1] != "new" {
		t.Errorf("states %v; want new at the end", s)
	}
	if s := c.Stats(); s.Queued != 0 || s.Connects != 1 || s.DroppedEvents != 0 || s.Acknowledged < 302 || s.Connected {
		t.Errorf("stats %+v", s)
	}
	late := subscribe(t, broker.URL(), "b/#")
	retained := map[string]string{}
	for range 2 {
		m := late.until(t, func(mqtt.Message) bool { return true })[0]
		if !m.Retained {
			t.Errorf("%s is not retained", m.Topic)
		}
		retained[m.Topic] = string(m.Payload)
	}
	if diff := cmp.Diff(map[string]string{"b/n/status": "offline", "b/n/c/state": "new"}, retained); diff != "" {
		t.Errorf("retained (-want +got):\n%s", diff)
	}
}

func TestClientWaitsForALateBroker(t *testing.T) {
	noLeaks(t)
	probe := brokertest.Start(t, "127.0.0.1:0")
	addr := probe.Addr
	probe.Stop()
	c, stop := start(t, fast("tcp://"+addr), mqtt.NewMemoryOutbox(1000, 1))
	c.State("b/n/c/state", []byte("s"))
	send(t, c, 1, 50)
	if c.Sample("b/n/c/embedding", []byte("x")) {
		t.Error("a sample went out without a broker")
	}
	broker := brokertest.Start(t, addr)
	sub := subscribe(t, broker.URL(), "b/#")
	send(t, c, 51, 60)
	got := sub.until(t, is("b/n/c/match", "60"))
	// What the broker had before the subscriber came is lost to it; what it got must be in order and complete.
	list := events(got, "b/n/c/match")
	if diff := cmp.Diff(numbers(61-len(list), 60), list); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if s := c.Stats(); s.DroppedSamples != 1 || s.Queued != 0 {
		t.Errorf("stats %+v; want one dropped sample, nothing queued", s)
	}
}

func TestClientLosesNothingWhenTheCableIsCut(t *testing.T) {
	noLeaks(t)
	cable, sub, c, stop := wired(t, mqtt.NewMemoryOutbox(1000, 1))
	seen := map[string]bool{}
	wills := 0
	const rounds, each = 10, 30
	for round := range rounds {
		send(t, c, round*each+1, (round+1)*each)
		cable.Cut() // some are on their way
		last := fmt.Sprint((round + 1) * each)
		for _, m := range sub.until(t, is("b/n/c/match", last)) {
			switch {
			case m.Topic == "b/n/c/match":
				seen[string(m.Payload)] = true
			case string(m.Payload) == "offline":
				wills++
			}
		}
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	for _, n := range numbers(1, rounds*each) {
		if !seen[n] {
			t.Errorf("event %s was lost", n)
		}
	}
	if wills == 0 {
		t.Error("no last will after a cut")
	}
	if s := c.Stats(); s.Connects < 2 {
		t.Errorf("%d connections; the cable was not cut", s.Connects)
	}
}

// paho completes a token only with a PUBACK when its own reconnecting is off. Were that on, or an event removed when
// it is sent, this would lose events.
func TestClientKeepsEventsUntilConfirmed(t *testing.T) {
	noLeaks(t)
	outbox := mqtt.NewMemoryOutbox(1000, 1)
	cable, sub, c, stop := wired(t, outbox)
	cable.Mute(true)
	send(t, c, 1, 5)
	sub.until(t, is("b/n/c/match", "5")) // arrived, unconfirmed
	if n := outbox.Len(); n != 5 {
		t.Errorf("%d events in the outbox before any confirmation, want 5", n)
	}
	cable.Cut()
	cable.Mute(false)
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if n := outbox.Len(); n != 0 {
		t.Errorf("%d events in the outbox at the end", n)
	}
}

func TestClientLeavesASilentBroker(t *testing.T) {
	noLeaks(t)
	cable, sub, c, stop := wired(t, mqtt.NewMemoryOutbox(1000, 1))
	cable.Mute(true)
	send(t, c, 1, 1)
	sub.until(t, is("b/n/status", "offline")) // gave up after AckTimeout
	cable.Mute(false)
	sub.until(t, is("b/n/status", "online"))
	if err := stop(); err != nil {
		t.Fatal(err)
	}
}

func TestClientEndsInTimeWithoutABroker(t *testing.T) {
	noLeaks(t)
	cfg := fast("tcp://127.0.0.1:1")
	cfg.DrainTimeout = 50 * time.Millisecond
	c, stop := start(t, cfg, mqtt.NewMemoryOutbox(10, 1))
	send(t, c, 1, 12)
	if err := stop(); err == nil || !strings.Contains(err.Error(), "10 events were left unsent") {
		t.Errorf("error %v does not say how many events are lost", err)
	}
	if s := c.Stats(); s.DroppedEvents != 2 || s.Connects != 0 {
		t.Errorf("stats %+v; want 2 dropped, no connects", s)
	}
	_, stop = start(t, cfg, mqtt.NewMemoryOutbox(10, 1))
	if err := stop(); err != nil {
		t.Errorf("with nothing to say: %v", err)
	}
}

func TestClientLogsIn(t *testing.T) {
	noLeaks(t)
	broker := brokertest.Start(t, "127.0.0.1:0", brokertest.User{Name: "board", Password: "s3cret"})
	for _, tt := range []struct {
		name   string
		change func(*mqtt.Config)
		want   bool
	}{
		{"fields", func(c *mqtt.Config) { c.Username, c.Password = "board", "s3cret" }, true},
		{"URL", func(c *mqtt.Config) { c.Broker = "tcp://board:s3cret@" + broker.Addr }, true},
		{"wrong", func(c *mqtt.Config) { c.Username, c.Password = "board", "guess" }, false},
		{"none", func(*mqtt.Config) {}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cfg := fast(broker.URL())
			cfg.DrainTimeout = 300 * time.Millisecond
			tt.change(&cfg)
			c, stop := start(t, cfg, mqtt.NewMemoryOutbox(10, 1))
			send(t, c, 1, 1)
			if err := stop(); (err == nil) != tt.want {
				t.Errorf("sent: %v, want %v", err == nil, tt.want)
			}
		})
	}
}

func TestListenRefusesTopics(t *testing.T) {
	for topic, want := range map[string]string{
		"": "empty", "a/#/b": "last level", "a#": "last level", "a/b+": "alone in it", "xbm/+/+/match": "", "#": "",
	} {
		ctx, cancel := context.WithCancel(t.Context())
		cancel() // a topic that is taken gets as far as the broker, which is not there
		err := mqtt.Listen(ctx, fast("tcp://127.0.0.1:1"), []string{topic}, quiet(), func() error { return nil }, func(mqtt.Message) bool { return false })
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("topic %q: error %v, want %q", topic, err, want)
		}
	}
}

func TestListenSaysThatThePasswordIsWrong(t *testing.T) {
	noLeaks(t)
	broker := brokertest.Start(t, "127.0.0.1:0", brokertest.User{Name: "board", Password: "s3cret"})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var said lines
	said.then = cancel
	cfg := fast(broker.URL())
	cfg.Username, cfg.Password = "board", "guess"
	err := mqtt.Listen(ctx, cfg, []string{"#"}, slog.New(slog.NewTextHandler(&said, nil)), func() error { return nil }, func(mqtt.Message) bool { return true })
	if text := said.String(); err != nil || !strings.Contains(text, "refuses the user name or password") || strings.Contains(text, "guess") {
		t.Errorf("said %q, %v", text, err)
	}
}

// lines keeps what is written and calls then after each line.
type lines struct {
	strings.Builder
	then func()
}

func (l *lines) Write(p []byte) (int, error) {
	defer l.then()
	return l.Builder.Write(p)
}

func TestNewRefuses(t *testing.T) {
	for broker, want := range map[string]string{
		"": "want a URL", "localhost:1883": "want a URL", "http://h": "want a URL", "tcp://": "names no host",
		"tcp://u:s3cret@h:123456": "no port", "tcp://u:s3%zzcret@h": "not a URL",
	} {
		_, err := mqtt.New(mqtt.Config{Broker: broker, StatusTopic: "s"}, mqtt.NewMemoryOutbox(1, 1), quiet())
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "cret") {
			t.Errorf("broker %q: %v; want %q and no password", broker, err, want)
		}
	}
}
