// Package mqtt carries what the agent sees to a broker, as the project's MQTT contract describes it. It is the only
// importer of paho.
//
// A Client keeps three kinds of messages apart. Events (QoS 1) wait in an Outbox, in order, until the broker has
// confirmed them. States (retained, QoS 1) are values: only the newest of each topic is kept, and all are said again
// after every connect. Samples (QoS 0) are dropped, and counted, while there is no connection.
//
// paho's own reconnecting completes a publish without a confirmation, so it is off: the Client makes a new paho
// client for every connection and takes an event out of the outbox only after that same client had its PUBACK. For a
// moment more it remembers the event (see settling).
package mqtt

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// Stats are counts since the start.
type Stats struct {
	Connected      bool
	Broker         string // scheme://host:port of the one that is connected; else empty
	BrokerNumber   int    // 1 for Config.Broker, 2 for the first of the fallbacks and so on; 0 without a connection
	Connects       uint64 // connections made
	Acknowledged   uint64 // events and states confirmed by the broker
	DroppedSamples uint64 // messages at QoS 0, and notices, that were not sent
	DroppedEvents  uint64 // events the outbox had no room for
	Queued         int    // events that the broker has not confirmed
}

// Client publishes to one broker at a time. Run does the work; the other methods may be called from any goroutine,
// before, during and after Run, and never wait for the network.
type Client struct {
	cfg    Config
	places []*place // the brokers, in the order in which they are tried
	outbox Outbox
	settle settling
	log    *slog.Logger
	wake   chan struct{}
	sample chan message
	notice chan message

	mu       sync.Mutex
	topics   []string // of retained, in the order of their first use
	retained map[string]*state
	anew     bool // all states and the status are to be said again

	number                           atomic.Int64 // of the connected broker, from 1 on; 0: none
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
	qos           byte
	gone          func() // of a topic that is cleared: called when the broker has confirmed it
	version, sent uint64
}

// New checks the configuration and returns a client that waits for Run.
func New(cfg Config, outbox Outbox, log *slog.Logger) (*Client, error) {
	cfg = cfg.withDefaults()
	places, err := newPlaces(cfg, log)
	if err != nil {
		return nil, err
	}
	if cfg.StatusTopic == "" {
		return nil, errors.New("new MQTT client: no status topic")
	}
	return &Client{
		cfg: cfg, places: places, outbox: outbox, settle: settling{after: cfg.Settle}, log: log,
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
func (c *Client) State(topic string, payload []byte) { c.set(topic, state{payload: payload, qos: 1}) }

// Picture is State for what is large and not worth a confirmation: QoS 0.
func (c *Client) Picture(topic string, payload []byte) { c.set(topic, state{payload: payload}) }

// Clear takes the value of a retained topic away, at the broker too, and forgets the topic when the broker has confirmed
// that. Then it calls gone, which must not wait and may be nil, on the goroutine of Run.
func (c *Client) Clear(topic string, gone func()) {
	if gone == nil {
		gone = func() {}
	}
	c.set(topic, state{qos: 1, gone: gone})
}

func (c *Client) set(topic string, value state) {
	c.mu.Lock()
	s := c.retained[topic]
	if s == nil {
		s = &state{}
		c.retained[topic] = s
		c.topics = append(c.topics, topic)
	}
	s.payload, s.qos, s.gone = value.payload, value.qos, value.gone
	s.version++
	c.mu.Unlock()
	c.poke()
}

// Restate says the status and all retained values again, to those who have just begun to listen.
func (c *Client) Restate() {
	c.mu.Lock()
	c.anew = true
	c.mu.Unlock()
	c.poke()
}

// Sample sends a QoS 0 message now or never, and reports whether it is on its way. The payload must not change
// afterwards.
func (c *Client) Sample(topic string, payload []byte) bool {
	if c.number.Load() > 0 {
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
	s := Stats{
		Connects: c.connects.Load(), Acknowledged: c.acknowledged.Load(),
		DroppedSamples: c.dropped0.Load(), DroppedEvents: c.outbox.Dropped(), Queued: c.left(),
	}
	if n := int(c.number.Load()); n > 0 {
		s.Connected, s.Broker, s.BrokerNumber = true, c.places[n-1].address, n
	}
	return s
}

// left returns how many events are to be sent, or sent again.
func (c *Client) left() int { return c.outbox.Len() + c.settle.left() }

func (c *Client) poke() {
	select {
	case c.wake <- struct{}{}:
	default: // it is awake
	}
}

// Run connects, publishes, and connects again until ctx ends. Then it sends what is left, for at most DrainTimeout,
// publishes offline and returns. One attempt to connect is made at a time: to the brokers in their order, from the first
// on again after each connection. A broker that is away is no error: Run returns one only when events are lost with it.
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
	order := turn{brokers: len(c.places), least: c.cfg.BackoffMin, most: c.cfg.BackoffMax, backoff: c.cfg.BackoffMin}
	for ctx.Err() == nil || hard.Err() == nil && c.left() > 0 {
		beat.Beat()
		at := c.places[order.at]
		conn, err := c.connect(at)
		if err == nil {
			at.complaint.over("connected to the broker")
			err = c.serve(ctx, hard, conn, beat)
			if err == nil {
				break
			}
			order.begin()
			if errors.Is(err, errReturn) {
				at.log.Info("leaving for a broker that goes before this one and is back")
				continue
			}
		}
		at.complaint.say("no connection to the broker; still trying", err, at.remedy(err)...)
		c.rest(ctx, hard, order.next(conn != nil), beat)
	}
	if n := c.settle.left(); n > 0 {
		c.log.Warn("the broker confirmed events just before it went: if it crashed, it may have lost them", "events", n)
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
		case <-drainSoon(ctx, c.left()):
			return
		case <-turn.C:
			beat.Beat()
		}
	}
}

// drainSoon ends the wait for a broker at the end of the program when there is nothing to wait for.
func drainSoon(ctx context.Context, left int) <-chan struct{} {
	if left == 0 {
		return ctx.Done()
	}
	return nil
}
