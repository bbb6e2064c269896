// Package brokertest runs an MQTT broker inside a test, and a cable to it that can be cut.
package brokertest

import (
	"bytes"
	"io"
	"log/slog"
	"net"
	"sync"
	"testing"

	broker "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/hooks/auth"
	"github.com/mochi-mqtt/server/v2/listeners"
)

// Broker is a running broker.
type Broker struct {
	Addr   string // host:port
	server *broker.Server
	door   *door
	once   sync.Once
}

// User is one whom a broker lets in.
type User struct{ Name, Password string }

// Start runs a broker on an address, 127.0.0.1:0 for any port, until Stop or the test's end. It lets in users alone, or
// everybody where there are none.
func Start(t testing.TB, addr string, users ...User) *Broker {
	t.Helper()
	socket, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatalf("start broker: %v", err)
	}
	b := &Broker{Addr: socket.Addr().String(), door: &door{Listener: socket}, server: broker.New(&broker.Options{
		Logger: slog.New(slog.DiscardHandler), InlineClient: true,
	})}
	var rules auth.AuthRules
	for _, u := range users {
		rules = append(rules, auth.AuthRule{Username: auth.RString(u.Name), Password: auth.RString(u.Password), Allow: true})
	}
	if len(rules) == 0 {
		err = b.server.AddHook(new(auth.AllowHook), nil)
	} else {
		err = b.server.AddHook(new(auth.Hook), &auth.Options{Ledger: &auth.Ledger{
			Auth: rules, ACL: auth.ACLRules{{Filters: auth.Filters{"#": auth.ReadWrite}}},
		}})
	}
	if err == nil {
		err = b.server.AddListener(listeners.NewNet("tcp", b.door))
	}
	if err == nil {
		err = b.server.Serve()
	}
	if err != nil {
		t.Fatalf("start broker: %v", err)
	}
	t.Cleanup(b.Stop)
	return b
}

// URL returns the broker's URL.
func (b *Broker) URL() string { return "tcp://" + b.Addr }

// Publish sends a message as if a client had, with QoS 1.
func (b *Broker) Publish(t testing.TB, topic string, retain bool, payload []byte) {
	t.Helper()
	if err := b.server.Publish(topic, payload, retain, 1); err != nil {
		t.Fatal(err)
	}
}

// Stop ends the broker and all its connections; what it kept is gone.
func (b *Broker) Stop() {
	b.once.Do(func() {
		b.door.shut()
		_ = b.server.Close()
	})
}

// Cable passes connections on to an address.
type Cable struct {
	Addr   string
	target string
	socket net.Listener
	tries  *Attempts

	mu    sync.Mutex
	mute  bool
	pairs map[net.Conn]net.Conn
	group sync.WaitGroup
}

// NewCable lays a cable to an address until the test's end.
func NewCable(t testing.TB, target string) *Cable {
	t.Helper()
	return NewWatchedCable(t, target, new(Attempts))
}

// NewWatchedCable is NewCable for one of several that are counted together.
func NewWatchedCable(t testing.TB, target string, tries *Attempts) *Cable {
	t.Helper()
	socket, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &Cable{Addr: socket.Addr().String(), target: target, socket: socket, tries: tries, pairs: map[net.Conn]net.Conn{}}
	c.group.Go(c.accept)
	t.Cleanup(func() {
		_ = socket.Close()
		c.Cut()
		c.group.Wait()
	})
	return c
}

func (c *Cable) accept() {
	for {
		near, err := c.socket.Accept()
		if err != nil {
			return
		}
		over := c.tries.begin()
		far, err := net.Dial("tcp", c.target)
		if err != nil {
			over()
			_ = near.Close()
			continue
		}
		c.mu.Lock()
		c.pairs[near] = far
		c.mu.Unlock()
		c.group.Go(func() { c.pass(far, near, false, over) })
		c.group.Go(func() { c.pass(near, far, true, over) })
	}
}

// pass copies bytes until either end closes. Answers are swallowed while the cable is mute.
func (c *Cable) pass(to, from net.Conn, answers bool, over func()) {
	defer over()
	defer func() { _, _ = to.Close(), from.Close() }() // whichever end was first
	buf := make([]byte, 4096)
	for {
		n, err := from.Read(buf)
		if err != nil {
			return
		}
		if answers {
			over()
		}
		c.mu.Lock()
		swallow := c.mute && answers
		c.mu.Unlock()
		if swallow {
			continue
		}
		if _, err := io.Copy(to, bytes.NewReader(buf[:n])); err != nil {
			return
		}
	}
}

// Cut breaks all connections; new ones may follow.
func (c *Cable) Cut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for near, far := range c.pairs {
		_ = near.Close()
		_ = far.Close()
		delete(c.pairs, near)
	}
}

// Mute swallows, or no longer swallows, all that the far end says.
func (c *Cable) Mute(on bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.mute = on
}
