package mqtt

import (
	"fmt"
	"math/rand/v2"
	"time"
)

// Config says how to reach a broker. Zero durations take the defaults that their comments name.
type Config struct {
	Broker   string // tcp://host:1883, ssl://host:8883, ws://… or wss://…
	ClientID string // unique at the broker; empty makes one up
	// Fallbacks are brokers for a Client to turn to, in their order, when Broker does not let it in. Functions that make
	// one connection go to Broker alone.
	Fallbacks []string
	Username  string
	Password  string
	// RenewPassword, where it is not nil, is asked for the password before each connection, in place of Password.
	RenewPassword func() (string, error)
	TLS           TLSFiles // read anew before each connection

	StatusTopic string // gets online, and offline by the last will

	KeepAlive      time.Duration // 30 s
	ConnectTimeout time.Duration // 5 s
	WriteTimeout   time.Duration // 5 s
	AckTimeout     time.Duration // 20 s without a PUBACK ends a connection
	Settle         time.Duration // 1 s, for which the connection has to stand after a PUBACK; else the event is told again
	BackoffMin     time.Duration // 500 ms
	BackoffMax     time.Duration // 30 s
	ReturnEvery    time.Duration // 5 min, after which a client at a fallback asks whether an earlier broker is back
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
		{&c.Settle, time.Second},
		{&c.BackoffMin, 500 * time.Millisecond},
		{&c.BackoffMax, 30 * time.Second},
		{&c.ReturnEvery, 5 * time.Minute},
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
