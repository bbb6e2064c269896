// Package mqtt carries what the agent sees to a broker, as the project's MQTT contract describes it. It is the only
// importer of paho.
//
// A Client keeps three kinds of messages apart. Events (QoS 1) wait in an Outbox, in order, until the broker has
// confirmed them. States (retained, QoS 1) are values: only the newest of each topic is kept, and all are said again
// after every connect. Samples (QoS 0) are dropped, and counted, while there is no connection.
//
// paho's own reconnecting completes a publish without a confirmation, so it is off: the Client makes a new paho
// client for every connection and takes an event out of the outbox only after that same client had its PUBACK.
package mqtt

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"

	"xbmedge/internal/redact"
)

// Config says how to reach a broker. Zero durations take the defaults that their comments name.
type Config struct {
	Broker   string // tcp://host:1883, ssl://host:8883, ws://… or wss://…
	ClientID string // unique at the broker; empty makes one up
	Username string
	Password string
	TLS      *tls.Config

	StatusTopic string // gets online, and offline by the last will

	KeepAlive      time.Duration // 30 s
	ConnectTimeout time.Duration // 5 s
	WriteTimeout   time.Duration // 5 s
	AckTimeout     time.Duration // 20 s without a PUBACK ends a connection
	BackoffMin     time.Duration // 500 ms
	BackoffMax     time.Duration // 30 s
	DrainTimeout   time.Duration // 5 s, for what is left at the end
	Keeps          bool          // what is left after that stays in the outbox for the next start: no error

	Watch func() Heartbeat // called when Run begins; may be nil

	// Subscribe are the topics that Receive gets messages of, in their order. Receive must not wait, since it holds up
	// the connection, and may be called for a moment after Run.
	Subscribe []string
	Receive   func(Message)
}

// Heartbeat is told that Run is alive, at least once a second while it waits, and that it has ended.
type Heartbeat interface {
	Beat()
	End()
}

// unwatched is the heartbeat of a client that nobody watches.
type unwatched struct{}

func (unwatched) Beat() {}
func (unwatched) End()  {}

const (
	maxInFlight  = 20 // messages without their PUBACK
	sampleBuffer = 16
	noticeBuffer = 64
	sayEvery     = time.Minute
	quiesce      = 250 // ms for the DISCONNECT packet to leave

	online  = "online"
	offline = "offline"

	// Disabled is the status of a camera that is switched off.
	Disabled = "disabled"
)

func (c Config) withDefaults() Config {
	for _, d := range []struct {
		value    *time.Duration
		fallback time.Duration
	}{
		{&c.KeepAlive, 30 * time.Second},
		{&c.ConnectTimeout, 5 * time.Second},
		{&c.WriteTimeout, 5 * time.Second},
		{&c.AckTimeout, 20 * time.Second},
		{&c.BackoffMin, 500 * time.Millisecond},
		{&c.BackoffMax, 30 * time.Second},
		{&c.DrainTimeout, 5 * time.Second},
	} {
		if *d.value <= 0 {
			*d.value = d.fallback
		}
	}
	if c.ClientID == "" {
		c.ClientID = fmt.Sprintf("xbm-%08x", rand.Uint32())
	}
	if c.Watch == nil {
		c.Watch = func() Heartbeat { return unwatched{} }
	}
	return c
}

// Stats are counts since the start.
type Stats struct {
	Connected      bool
	Connects       uint64 // connections made
	Acknowledged   uint64 // events and states confirmed by the broker
	DroppedSamples uint64 // messages at QoS 0, and notices, that were not sent
	DroppedEvents  uint64 // events the outbox had no room for
	Queued         int    // events waiting
}

// Client publishes to one broker. Run does the work; the other methods may be called from any goroutine, before,
// during and after Run, and never wait for the network.
type Client struct {
	cfg    Config
	outbox Outbox
	log    *slog.Logger
	wake   chan struct{}
	sample chan message
	notice chan message

	mu       sync.Mutex
	topics   []string // of retained, in the order of their first use
	retained map[string]*state

	connected                        atomic.Bool
	connects, acknowledged, dropped0 atomic.Uint64
}

type message struct {
	topic   string
	payload []byte
}

// state is the value of a retained topic. Each change makes a new version; sent is the one that the present connection
// was given, 0 for none.
type state struct {
	payload       []byte
	version, sent uint64
}

// New checks the configuration and returns a client that waits for Run.
func New(cfg Config, outbox Outbox, log *slog.Logger) (*Client, error) {
	if _, err := parseBroker(cfg.Broker); err != nil {
		return nil, err
	}
	if cfg.StatusTopic == "" {
		return nil, errors.New("new MQTT client: no status topic")
	}
	return &Client{
		cfg: cfg.withDefaults(), outbox: outbox, log: log.With("broker", redact.URL(cfg.Broker)),
		wake: make(chan struct{}, 1), sample: make(chan message, sampleBuffer), notice: make(chan message, noticeBuffer), retained: map[string]*state{},
	}, nil
}

// Event puts a QoS 1 message into the outbox. encode is given the event's number and returns the payload, which must not
// change afterwards.
func (c *Client) Event(topic string, encode func(seq uint64) ([]byte, error)) error {
	if err := c.outbox.Append(topic, encode); err != nil {
		return fmt.Errorf("queue event: %w", err)
	}
	return nil
}

// State sets the value of a retained topic. The payload must not change afterwards.
func (c *Client) State(topic string, payload []byte) {
	c.mu.Lock()
	s := c.retained[topic]
	if s == nil {
		s = &state{}
		c.retained[topic] = s
		c.topics = append(c.topics, topic)
	}
	s.payload = payload
	s.version++
	c.mu.Unlock()
	c.poke()
}

// Sample sends a QoS 0 message now or never, and reports whether it is on its way. The payload must not change
// afterwards.
func (c *Client) Sample(topic string, payload []byte) bool {
	if c.connected.Load() {
		select {
		case c.sample <- message{topic, payload}:
			return true
		default: // the connection is slower than the camera
		}
	}
	c.dropped0.Add(1)
	return false
}

// Notice sends a QoS 1 message that nobody misses after a restart, such as an answer. It waits for a connection; when 64
// wait, further ones are dropped and counted, and the result is false. The payload must not change afterwards.
func (c *Client) Notice(topic string, payload []byte) bool {
	select {
	case c.notice <- message{topic, payload}:
		return true
	default: // no broker, or one that is slower than who asks
		c.dropped0.Add(1)
		return false
	}
}

// Stats returns the counts so far.
func (c *Client) Stats() Stats {
	return Stats{
		Connected: c.connected.Load(), Connects: c.connects.Load(), Acknowledged: c.acknowledged.Load(),
		DroppedSamples: c.dropped0.Load(), DroppedEvents: c.outbox.Dropped(), Queued: c.outbox.Len(),
	}
}

func (c *Client) poke() {
	select {
	case c.wake <- struct{}{}:
	default: // it is awake
	}
}

// Run connects, publishes, and connects again until ctx ends. Then it sends what is left, for at most DrainTimeout,
// publishes offline and returns. A broker that is away is no error: Run returns one only when events are lost with it.
func (c *Client) Run(ctx context.Context) error {
	hard, cancel := context.WithCancel(context.WithoutCancel(ctx)) // ends DrainTimeout after ctx
	defer cancel()
	stop := context.AfterFunc(ctx, func() {
		timer := time.AfterFunc(c.cfg.DrainTimeout, cancel)
		context.AfterFunc(hard, func() { timer.Stop() })
	})
	defer stop()

	beat := c.cfg.Watch()
	defer beat.End()
	complaint := &complaint{log: c.log}
	backoff := c.cfg.BackoffMin
	for ctx.Err() == nil || hard.Err() == nil && c.outbox.Len() > 0 {
		beat.Beat()
		conn, err := c.connect()
		if err == nil {
			complaint.over("connected to the broker")
			backoff = c.cfg.BackoffMin
			err = c.pump(ctx, hard, conn, beat)
			c.connected.Store(false)
			conn.client.Disconnect(quiesce)
			if err == nil {
				break
			}
		}
		complaint.say("no connection to the broker; still trying", err)
		// Full jitter: boards that lost their broker together do not come back together.
		c.rest(ctx, hard, time.Duration(rand.Int64N(int64(backoff))+1), beat)
		backoff = min(2*backoff, c.cfg.BackoffMax)
	}
	n := c.outbox.Len()
	switch {
	case n > 0 && c.cfg.Keeps:
		c.log.Info("events wait for the next start", "events", n)
	case n > 0:
		return fmt.Errorf("%d events were left unsent", n)
	}
	return nil
}

// rest waits, alive, for d, or until there is nothing more to wait for.
func (c *Client) rest(ctx, hard context.Context, d time.Duration, beat Heartbeat) {
	turn := time.NewTicker(time.Second)
	defer turn.Stop()
	wait := time.NewTimer(d)
	defer wait.Stop()
	for {
		select {
		case <-wait.C:
			return
		case <-hard.Done():
			return
		case <-drainSoon(ctx, c.outbox):
			return
		case <-turn.C:
			beat.Beat()
		}
	}
}

// drainSoon ends the wait for a broker at the end of the program when there is nothing to wait for.
func drainSoon(ctx context.Context, outbox Outbox) <-chan struct{} {
	if outbox.Len() == 0 {
		return ctx.Done()
	}
	return nil
}

// connection is one paho client, good for one connection.
type connection struct {
	client paho.Client
	lost   chan error
}

func (c *Client) connect() (*connection, error) {
	conn := &connection{lost: make(chan error, 1)}
	options, err := c.cfg.options()
	if err != nil {
		return nil, err
	}
	options.SetWill(c.cfg.StatusTopic, offline, 1, true)
	options.SetConnectionLostHandler(func(_ paho.Client, err error) { conn.lost <- err }) // once for a client: never blocks
	conn.client = paho.NewClient(options)
	token := conn.client.Connect()
	<-token.Done() // bounded by ConnectTimeout
	if err := token.Error(); err != nil {
		return nil, refusal(err)
	}
	if err := c.subscribe(conn); err != nil {
		conn.client.Disconnect(0)
		return nil, err
	}
	c.connects.Add(1)
	return conn, nil
}

// complaint says a lasting trouble once a minute and its end once.
type complaint struct {
	log  *slog.Logger
	last time.Time
}

func (c *complaint) say(text string, err error) {
	if !c.last.IsZero() && time.Since(c.last) < sayEvery {
		c.log.Debug(text, "error", err) //nolint:sloglint // the texts are constants of the callers
		return
	}
	c.last = time.Now()
	c.log.Warn(text, "error", err) //nolint:sloglint // as above
}

func (c *complaint) over(text string) {
	c.last = time.Time{}
	c.log.Info(text) //nolint:sloglint // as above
}
