package mqtt_test

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"xbmedge/agent/internal/mqtt"
	"xbmedge/agent/internal/mqtt/brokertest"
)

// await waits until something is so.
func await(t *testing.T, what string, so func() bool) {
	t.Helper()
	for deadline := time.After(patience); !so(); {
		select {
		case <-time.After(time.Millisecond):
		case <-deadline:
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

// The client turns to the next broker when one is away and goes back when it is there again. It makes one attempt at a
// time, and each event reaches one of the brokers.
func TestFallbacks(t *testing.T) {
	noLeaks(t)
	addr := fmt.Sprintf("127.0.0.1:%d", freePort(t))
	second, _ := anyBroker(t)
	var tries brokertest.Attempts
	to := []string{
		brokertest.NewWatchedCable(t, addr, &tries).Addr,
		brokertest.NewWatchedCable(t, fmt.Sprintf("127.0.0.1:%d", freePort(t)), &tries).Addr, // nobody's
		brokertest.NewWatchedCable(t, strings.TrimPrefix(second, "tcp://"), &tries).Addr,
	}
	atSecond := subscribe(t, second, "b/#")
	cfg := fast("tcp://me:s3cret@" + to[0])
	cfg.Fallbacks = []string{"tcp://" + to[1], "tcp://me:s3cret@" + to[2]}
	cfg.ReturnEvery = 20 * time.Millisecond
	c, stop := start(t, cfg, mqtt.NewMemoryOutbox(10000, 1))
	if s := c.Stats(); s.Connected || s.Broker != "" || s.BrokerNumber != 0 {
		t.Errorf("before a connection: %+v", s)
	}
	c.State("b/n/c/state", []byte("s"))
	came := map[string]bool{}
	note := func(messages []mqtt.Message) {
		for _, n := range events(messages, "b/n/c/match") {
			came[n] = true
		}
	}
	const rounds, each = 3, 40
	for round := range rounds {
		from := 2 * round * each
		send(t, c, from+1, from+each)
		note(atSecond.until(t, is("b/n/c/match", fmt.Sprint(from+each))))
		await(t, "the third broker", func() bool { return c.Stats().BrokerNumber == 3 })
		if s := c.Stats(); !s.Connected || s.Broker != "tcp://"+to[2] {
			t.Errorf("at the third broker: %+v", s)
		}
		first := brokertest.Start(t, addr)
		atFirst := subscribe(t, first.URL(), "b/n/c/match")
		send(t, c, from+each+1, from+2*each-1) // on their way while it goes back
		await(t, "the first broker", func() bool { return c.Stats().BrokerNumber == 1 })
		note(atSecond.until(t, is("b/n/status", "offline"))) // it says goodbye
		send(t, c, from+2*each, from+2*each)
		note(atFirst.until(t, is("b/n/c/match", fmt.Sprint(from+2*each))))
		await(t, "an empty outbox", func() bool { return c.Stats().Queued == 0 })
		for len(atFirst.messages) > 0 {
			note([]mqtt.Message{<-atFirst.messages})
		}
		first.Stop()
	}
	await(t, "the third broker", func() bool { return c.Stats().BrokerNumber == 3 })
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	for len(atSecond.messages) > 0 {
		note([]mqtt.Message{<-atSecond.messages})
	}
	for _, n := range numbers(1, 2*rounds*each) {
		if !came[n] {
			t.Errorf("event %s is lost", n)
		}
	}
	total, most := tries.Counts()
	if most != 1 || total < 3*rounds {
		t.Errorf("%d attempts, %d at one time; want one", total, most)
	}
	t.Logf("%d attempts, %d connections, %d events", total, c.Stats().Connects, 2*rounds*each)
}

// What stands in the log is which broker is meant, and no password.
func TestFallbacksInTheLog(t *testing.T) {
	noLeaks(t)
	second := brokertest.Start(t, "127.0.0.1:0")
	dead := fmt.Sprintf("127.0.0.1:%d", freePort(t))
	cfg := fast("tcp://me:s3cret@" + dead)
	cfg.Fallbacks = []string{"tcp://me:s3cret@" + second.Addr}
	said := &lines{then: func() {}}
	c, stop := startLogged(t, cfg, mqtt.NewMemoryOutbox(1, 1), slog.New(slog.NewTextHandler(said, &slog.HandlerOptions{Level: slog.LevelDebug})))
	await(t, "the second broker", func() bool { return c.Stats().BrokerNumber == 2 })
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	text := said.String()
	for _, want := range []string{
		`msg="no connection to the broker; still trying" broker=tcp://me:xxxxx@` + dead, `msg="connected to the broker" broker=tcp://me:xxxxx@` + second.Addr,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the log does not say %q:\n%s", want, text)
		}
	}
	if strings.Contains(text, "s3cret") {
		t.Errorf("a password in the log:\n%s", text)
	}
	cfg.Fallbacks = []string{"tcp://me:s3cret@"}
	if _, err := mqtt.New(cfg, mqtt.NewMemoryOutbox(1, 1), quiet()); err == nil || strings.Contains(err.Error(), "s3cret") {
		t.Errorf("a fallback without a host: %v", err)
	}
}
