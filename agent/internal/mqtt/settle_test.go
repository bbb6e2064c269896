package mqtt_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"xbmedge/agent/internal/mqtt"
	"xbmedge/agent/internal/mqtt/brokertest"
)

// What a broker has confirmed just before it crashes, and lost, is told again to the one that comes after it. What it
// confirmed longer ago is not, nor what it confirmed before the client's own end.
func TestBrokerThatCrashesAfterItsConfirmation(t *testing.T) {
	noLeaks(t)
	addr := fmt.Sprintf("127.0.0.1:%d", freePort(t))
	outbox := mqtt.NewMemoryOutbox(100, 1)
	cfg := fast("tcp://" + addr)
	cfg.Settle = 300 * time.Millisecond
	first := brokertest.Start(t, addr)
	c, stop := start(t, cfg, outbox)
	send(t, c, 1, 5)
	await(t, "all confirmations", func() bool { return c.Stats().Queued == 0 })
	time.Sleep(cfg.Settle + 10*time.Millisecond)
	send(t, c, 6, 10)
	await(t, "all confirmations", func() bool { return c.Stats().Queued == 0 })
	first.Stop()
	await(t, "the loss", func() bool { return !c.Stats().Connected })
	await(t, "what is to be told again", func() bool { return c.Stats().Queued > 0 })
	if n, kept := c.Stats().Queued, outbox.Len(); n != 5 || kept != 0 {
		t.Errorf("%d events wait for another broker, %d of them in the outbox; want 5 and none", n, kept)
	}
	before := c.Stats().Acknowledged
	second := brokertest.Start(t, addr)
	sub := subscribe(t, second.URL(), "b/n/c/match") // it may come too late for them
	await(t, "all confirmations", func() bool { return c.Stats().Queued == 0 && c.Stats().Connected })
	send(t, c, 11, 12)
	got := events(sub.until(t, is("b/n/c/match", "12")), "b/n/c/match")
	if diff := cmp.Diff(numbers(13-len(got), 12), got); diff != "" || len(got) > 7 {
		t.Errorf("after the crash (-want +got):\n%s", diff)
	}
	await(t, "all confirmations", func() bool { return c.Stats().Queued == 0 })
	if n := c.Stats().Acknowledged - before; n != 1+5+2 { // the status, and events
		t.Errorf("%d confirmations: events 6 to 10 were not told again, or others were", n)
	}
	if err := stop(); err != nil || outbox.Len() != 0 {
		t.Errorf("at the end: %v, %d events are left", err, outbox.Len())
	}
}
