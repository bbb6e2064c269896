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
	await(t, "the end of the wait", func() bool { return outbox.Len() == 0 })
	send(t, c, 6, 10)
	await(t, "all confirmations", func() bool { return c.Stats().Queued == 0 })
	if n := outbox.Len(); n != 5 {
		t.Errorf("%d events are in the outbox right after their confirmation, want 5", n)
	}
	first.Stop()
	await(t, "the loss", func() bool { return !c.Stats().Connected })
	if n := c.Stats().Queued; n != 5 {
		t.Errorf("%d events wait for another broker, want 5", n)
	}
	second := brokertest.Start(t, addr)
	sub := subscribe(t, second.URL(), "b/n/c/match") // it may come too late for them
	await(t, "the end of the wait", func() bool { return outbox.Len() == 0 && c.Stats().Connected })
	send(t, c, 11, 12)
	got := events(sub.until(t, is("b/n/c/match", "12")), "b/n/c/match")
	if diff := cmp.Diff(numbers(13-len(got), 12), got); diff != "" || len(got) > 7 {
		t.Errorf("after the crash (-want +got):\n%s", diff)
	}
	if n := c.Stats().Acknowledged; n < 5+5+5+2 {
		t.Errorf("%d confirmations: events 6 to 10 were not told again", n)
	}
	cfg.Settle = time.Hour
	if err := stop(); err != nil || outbox.Len() != 0 {
		t.Errorf("at the end: %v, %d events are left", err, outbox.Len())
	}
	patient, stop := start(t, cfg, outbox)
	send(t, patient, 13, 15)
	if err := stop(); err != nil || outbox.Len() != 0 {
		t.Errorf("at the end of one that waits for an hour: %v, %d events are left", err, outbox.Len())
	}
}
