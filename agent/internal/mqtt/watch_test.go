package mqtt_test

import (
	"sync"
	"testing"
	"time"

	"xbmedge/agent/internal/mqtt"
	"xbmedge/agent/internal/mqtt/brokertest"
)

// beats counts heartbeats.
type beats struct {
	beat chan struct{} // one for each
	once sync.Once
	end  chan struct{} // closed by End
}

func newBeats() *beats { return &beats{beat: make(chan struct{}, 1000), end: make(chan struct{})} }

func (b *beats) Beat() { b.beat <- struct{}{} }
func (b *beats) End()  { b.once.Do(func() { close(b.end) }) }

// wait takes n beats.
func (b *beats) wait(t *testing.T, n int) {
	t.Helper()
	for range n {
		select {
		case <-b.beat:
		case <-time.After(patience):
			t.Fatal("no heartbeat")
		}
	}
}

// stuck is an outbox that hangs from a moment on, as a lock or a disk may.
type stuck struct {
	*mqtt.MemoryOutbox
	hang  chan struct{} // closed: hang
	hung  chan struct{} // closed when it does
	first sync.Once
	free  chan struct{}
}

func (s *stuck) Peek(after uint64, n int) []mqtt.Record {
	select {
	case <-s.hang:
		s.first.Do(func() { close(s.hung) })
		<-s.free
	default:
	}
	return s.MemoryOutbox.Peek(after, n)
}

func watchedClient(t *testing.T, url string, outbox mqtt.Outbox) (b *beats, c *mqtt.Client, stop func()) {
	t.Helper()
	b = newBeats()
	cfg := fast(url)
	cfg.Watch = func() mqtt.Heartbeat { return b }
	c, end := start(t, cfg, outbox)
	return b, c, func() {
		if err := end(); err != nil {
			t.Error(err)
		}
		select {
		case <-b.end:
		default:
			t.Error("the heartbeat was not ended")
		}
	}
}

func TestHeartbeat(t *testing.T) {
	noLeaks(t)
	broker := brokertest.Start(t, "127.0.0.1:0")
	away, _, stopAway := watchedClient(t, "tcp://127.0.0.1:1", mqtt.NewMemoryOutbox(10, 1))
	away.wait(t, 20) // without a broker it is alive, too
	stopAway()

	s := &stuck{MemoryOutbox: mqtt.NewMemoryOutbox(10, 1), hang: make(chan struct{}), hung: make(chan struct{}), free: make(chan struct{})}
	healthy, _, stopHealthy := watchedClient(t, broker.URL(), mqtt.NewMemoryOutbox(10, 1))
	hanging, c, stopHanging := watchedClient(t, broker.URL(), s)
	hanging.wait(t, 5)
	close(s.hang)
	if err := c.Event("b/n/c/match", func(uint64) ([]byte, error) { return []byte("x"), nil }); err != nil {
		t.Fatal(err)
	}
	select {
	case <-s.hung:
	case <-time.After(patience):
		t.Fatal("the outbox was not asked")
	}
	for len(hanging.beat) > 0 {
		<-hanging.beat
	}
	for len(healthy.beat) > 0 {
		<-healthy.beat
	}
	healthy.wait(t, 20)
	if n := len(hanging.beat); n > 0 {
		t.Errorf("%d heartbeats while it hangs", n)
	}
	close(s.free)
	hanging.wait(t, 5)
	stopHealthy()
	stopHanging()
}
