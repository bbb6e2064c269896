package mqtt

import (
	"context"
	"errors"
	"fmt"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"
)

// flight is a message that waits for its PUBACK.
type flight struct {
	token paho.Token
	done  func() error // once confirmed; nil when there is nothing to do then
	since time.Time
}

// pump publishes over one connection until that is lost (an error), or until ctx has ended and all is sent, or hard
// has (nil).
func (c *Client) pump(ctx, hard context.Context, conn *connection, beat Heartbeat) error {
	c.restate()
	var flights []flight
	sent := uint64(0) // the newest event given to this connection
	publish := func(topic string, retained bool, payload []byte, done func() error) {
		flights = append(flights, flight{conn.client.Publish(topic, 1, retained, payload), done, time.Now()})
	}
	publish(c.cfg.StatusTopic, true, []byte(online), nil)
	c.connected.Store(true)

	timeout := time.NewTicker(min(max(c.cfg.AckTimeout/4, time.Millisecond), time.Second))
	defer timeout.Stop()
	for {
		beat.Beat()
		for len(flights) < maxInFlight {
			if topic, payload, ok := c.nextState(); ok {
				publish(topic, true, payload, nil)
				continue
			}
			records := c.outbox.Peek(sent, maxInFlight-len(flights))
			if len(records) == 0 {
				break
			}
			for _, r := range records {
				publish(r.Topic, false, r.Payload, func() error { return c.outbox.Ack(r.Seq) })
				sent = r.Seq
			}
		}
		if ctx.Err() != nil && len(flights) == 0 && c.outbox.Len() == 0 && len(c.notice) == 0 { // one that is not ready yet will be in a moment
			return c.goodbye(conn)
		}
		var confirmed <-chan struct{}
		if len(flights) > 0 {
			confirmed = flights[0].token.Done() // the oldest: the outbox is emptied in order
		}
		notice := c.notice
		if len(flights) >= maxInFlight {
			notice = nil
		}
		stopping := ctx.Done()
		if ctx.Err() != nil {
			stopping = nil // heard already
		}
		select {
		case <-confirmed:
			if err := flights[0].token.Error(); err != nil {
				return fmt.Errorf("publish: %w", err)
			}
			if done := flights[0].done; done != nil {
				if err := done(); err != nil {
					c.log.Error("a confirmed event stays in the outbox and will be sent twice", "error", err)
				}
			}
			c.acknowledged.Add(1)
			flights = flights[1:]
		case m := <-c.sample:
			conn.client.Publish(m.topic, 0, false, m.payload)
		case m := <-notice:
			publish(m.topic, false, m.payload, nil)
		case <-c.wake:
		case <-c.outbox.Ready():
		case err := <-conn.lost:
			return fmt.Errorf("connection lost: %w", err)
		case <-timeout.C:
			if len(flights) > 0 && time.Since(flights[0].since) > c.cfg.AckTimeout {
				return fmt.Errorf("the broker has not confirmed a message for %v", c.cfg.AckTimeout)
			}
		case <-stopping:
		case <-hard.Done():
			return c.goodbye(conn)
		}
	}
}

// goodbye says offline: after a proper DISCONNECT the broker keeps the last will to itself.
func (c *Client) goodbye(conn *connection) error {
	token := conn.client.Publish(c.cfg.StatusTopic, 1, true, offline)
	select {
	case <-token.Done():
	case <-time.After(c.cfg.WriteTimeout):
		c.log.Warn("the broker did not confirm that this node is offline")
	}
	if err := token.Error(); err != nil && !errors.Is(err, paho.ErrNotConnected) {
		c.log.Warn("could not say that this node is offline", "error", err)
	}
	return nil
}

// restate makes every retained value new to this connection.
func (c *Client) restate() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.retained {
		s.sent = 0
	}
}

// nextState returns a retained value that this connection has not been given yet, and takes it as given.
func (c *Client) nextState() (topic string, payload []byte, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, topic := range c.topics {
		if s := c.retained[topic]; s.sent != s.version {
			s.sent = s.version
			return topic, s.payload, true
		}
	}
	return "", nil, false
}
