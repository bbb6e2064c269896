package mqtt_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"

	"xbmedge/agent/internal/mqtt/brokertest"
	"xbmedge/agent/internal/outbox"
)

// A network that cuts connections and swallows confirmations loses nothing: what comes is in order, but for what comes
// again, and its number tells that.
func TestNetworkFaults(t *testing.T) {
	rounds := 20
	if os.Getenv("XBM_CHAOS") != "" {
		rounds = 300
	}
	noLeaks(t)
	url, name := anyBroker(t)
	cable := brokertest.NewCable(t, strings.TrimPrefix(url, "tcp://"))
	l, err := outbox.Open(outbox.Config{Dir: t.TempDir()}, quiet())
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	sub := subscribe(t, url, "b/n/c/match")
	c, stop := start(t, fast("tcp://"+cable.Addr), l)
	const each = 30
	next, again, started := uint64(1), 0, time.Now()
	for round := range rounds {
		for range each {
			if err := c.Event("b/n/c/match", func(seq uint64) ([]byte, error) { return fmt.Append(nil, seq), nil }); err != nil {
				t.Fatal(err)
			}
		}
		fault := []string{"cut", "silence", "silence and a cut"}[rand.IntN(3)]
		time.Sleep(time.Duration(rand.IntN(3000)) * time.Microsecond)
		if fault != "cut" {
			cable.Mute(true)
			time.Sleep(time.Duration(rand.IntN(20)) * time.Millisecond)
		}
		if fault != "silence" {
			cable.Cut()
		}
		cable.Mute(false)
		for deadline := time.After(patience); next <= uint64((round+1)*each); {
			select {
			case m := <-sub.messages:
				var seq uint64
				if _, err := fmt.Sscan(string(m.Payload), &seq); err != nil {
					t.Fatal(err)
				}
				switch {
				case seq == next:
					next++
				case seq < next:
					again++
				default:
					t.Fatalf("round %d, %s: event %d comes before %d", round, fault, seq, next)
				}
			case <-deadline:
				t.Fatalf("round %d, %s: event %d does not come", round, fault, next)
			}
		}
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if n := l.Len(); n != 0 {
		t.Errorf("%d events wait at the end", n)
	}
	t.Logf("%s: %d faults in %v, %d connections; %d events, none lost, %d came again", name, rounds,
		time.Since(started).Round(time.Second), c.Stats().Connects, next-1, again)
}
