package mqtt_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"

	"xbmedge/agent/internal/mqtt"
	"xbmedge/agent/internal/mqtt/brokertest"
	"xbmedge/agent/internal/outbox"
)

// A broker that is killed again and again, while events flow, loses none of them: who listens with a session that the
// broker keeps gets them all. The client is back within its longest pause and one and a half times its keep-alive, and
// makes one attempt at a time.
func TestBrokerKills(t *testing.T) {
	kills := 6
	if os.Getenv("XBM_CHAOS") != "" {
		kills = 200
	}
	noLeaks(t)
	dir, port := t.TempDir(), freePort(t)
	addr := fmt.Sprintf("127.0.0.1:%d", port)
	kill := mosquitto(t, dir, port)
	var tries brokertest.Attempts
	cfg := fast("tcp://" + brokertest.NewWatchedCable(t, addr, &tries).Addr)
	cfg.KeepAlive, cfg.BackoffMax, cfg.AckTimeout, cfg.Settle = 2*time.Second, 500*time.Millisecond, 2*time.Second, time.Second
	l, err := outbox.Open(outbox.Config{Dir: filepath.Join(dir, "outbox")}, quiet())
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, stop := start(t, cfg, l)
	keeper := newKeeper(t, "tcp://"+addr)
	flow := newFlow(t, c)

	limit := cfg.BackoffMax + cfg.KeepAlive*3/2
	var back []time.Duration
	started := time.Now()
	for range kills {
		await(t, "a connection", func() bool { return c.Stats().Connected && keeper.connected() })
		time.Sleep(time.Duration(rand.IntN(60)) * time.Millisecond)
		kill()
		await(t, "the loss", func() bool { return !c.Stats().Connected })
		time.Sleep(time.Duration(rand.IntN(100)) * time.Millisecond)
		kill = mosquitto(t, dir, port)
		since := time.Now()
		await(t, "the connection", func() bool { return c.Stats().Connected })
		back = append(back, time.Since(since))
	}
	sent := flow.end()
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	await(t, "the last event", func() bool { return keeper.has(sent) })
	lost := 0
	for n := range sent {
		if !keeper.has(n + 1) {
			lost++
		}
	}
	slices.Sort(back)
	total, most := tries.Counts()
	t.Logf("%d kills of Mosquitto in %v, %d attempts, at most %d at one time; back after %v (median), %v (longest) of %v; %d events, %d lost, %d came again",
		kills, time.Since(started).Round(time.Second), total, most, back[len(back)/2].Round(time.Millisecond), back[len(back)-1].Round(time.Millisecond),
		limit, sent, lost, keeper.again)
	if lost > 0 || most != 1 || back[len(back)-1] > limit {
		t.Error("that is not as it should be")
	}
}

// flow tells numbered events, one each millisecond or two, until end.
type flow struct {
	over chan struct{}
	done chan int
}

func newFlow(t *testing.T, c *mqtt.Client) *flow {
	f := &flow{over: make(chan struct{}), done: make(chan int, 1)}
	go func() {
		ticker := time.NewTicker(1500 * time.Microsecond)
		defer ticker.Stop()
		for n := 1; ; n++ {
			if err := c.Event("b/n/c/match", func(uint64) ([]byte, error) { return []byte(strconv.Itoa(n)), nil }); err != nil {
				t.Error(err)
			}
			select {
			case <-ticker.C:
			case <-f.over:
				f.done <- n
				return
			}
		}
	}()
	t.Cleanup(func() { f.end() })
	return f
}

// end returns how many events were told.
func (f *flow) end() int {
	select {
	case <-f.over:
	default:
		close(f.over)
	}
	n := <-f.done
	f.done <- n
	return n
}

// keeper is a subscriber whose session the broker keeps.
type keeper struct {
	mu    sync.Mutex
	seen  map[int]bool
	again int
	on    bool
}

// newKeeper connects, and again whenever the broker is back, until the test's end.
func newKeeper(t *testing.T, url string) *keeper {
	k := &keeper{seen: map[int]bool{}}
	over, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			lost := make(chan error, 1)
			client := paho.NewClient(paho.NewClientOptions().AddBroker(url).SetClientID("keeper").SetCleanSession(false).SetAutoReconnect(false).
				SetOrderMatters(true).SetDefaultPublishHandler(k.take).SetConnectionLostHandler(func(_ paho.Client, err error) { lost <- err }))
			token := client.Connect()
			if token.Wait() && token.Error() == nil && client.Subscribe("b/n/c/match", 1, k.take).WaitTimeout(time.Second) {
				k.set(true)
				select {
				case <-lost:
				case <-over:
				}
				k.set(false)
			}
			client.Disconnect(0)
			select {
			case <-over:
				return
			case <-time.After(5 * time.Millisecond):
			}
		}
	}()
	t.Cleanup(func() {
		close(over)
		<-done
	})
	await(t, "the subscriber", k.connected)
	return k
}

func (k *keeper) take(_ paho.Client, m paho.Message) {
	n, err := strconv.Atoi(string(m.Payload()))
	if err != nil {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.seen[n] {
		k.again++
	}
	k.seen[n] = true
}

func (k *keeper) set(on bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.on = on
}

func (k *keeper) connected() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.on
}

func (k *keeper) has(n int) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.seen[n]
}
