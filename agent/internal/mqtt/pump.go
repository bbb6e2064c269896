package mqtt

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"
)

// flight is a message that waits for its PUBACK.
type flight struct {
	token paho.Token
	done  func() error // once confirmed; nil when there is nothing to do then
	since time.Time
}

// pump publishes over one connection until that is lost (an error), until back is closed (errReturn), or until ctx has
// ended and all is sent, or hard has (nil).
func (c *Client) pump(ctx, hard context.Context, conn *connection, back <-chan struct{}, beat Heartbeat) error {
	c.restate()
	var flights []flight
	sent := uint64(0) // the newest event given to this connection
	again := slices.Clone(c.settle.again)
	publish := func(topic string, qos byte, retained bool, payload []byte, done func() error) {
		flights = append(flights, flight{conn.client.Publish(topic, qos, retained, payload), done, time.Now()})
	}
	publish(c.cfg.StatusTopic, 1, true, []byte(online), nil)
	c.number.Store(int64(conn.to.number))

	timeout := time.NewTicker(min(max(c.cfg.AckTimeout/4, time.Millisecond), time.Second))
	defer timeout.Stop()
	for {
		beat.Beat()
		for len(flights) < maxInFlight {
			if c.toldAnew() {
				publish(c.cfg.StatusTopic, 1, true, []byte(online), nil)
				continue
			}
			if topic, s, ok := c.nextState(); ok {
				publish(topic, s.qos, true, s.payload, c.forgets(topic, s))
				continue
			}
			if len(again) > 0 {
				r := again[0]
				again = again[1:]
				publish(r.Topic, 1, false, r.Payload, func() error {
					c.settle.confirmedAgain(r)
					return nil
				})
				continue
			}
			records := c.outbox.Peek(sent, maxInFlight-len(flights))
			if len(records) == 0 {
				break
			}
			for _, r := range records {
				publish(r.Topic, 1, false, r.Payload, func() error {
					c.settle.keep(r)
					return c.outbox.Ack(r.Seq)
				})
				sent = r.Seq
			}
		}
		if ctx.Err() != nil && len(flights) == 0 && c.left() == 0 && len(c.notice) == 0 { // one that is not ready yet will be in a moment
			c.goodbye(conn)
			return nil
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
					conn.to.log.Error("a confirmed event stays in the outbox and will be sent twice", "error", err)
				}
			}
			c.acknowledged.Add(1)
			flights = flights[1:]
		case m := <-c.sample:
			conn.client.Publish(m.topic, 0, false, m.payload)
		case m := <-notice:
			publish(m.topic, 1, false, m.payload, nil)
		case <-c.wake:
		case <-c.outbox.Ready():
		case err := <-conn.lost:
			return fmt.Errorf("connection lost: %w", err)
		case <-timeout.C:
			c.settle.forget()
			if len(flights) > 0 && time.Since(flights[0].since) > c.cfg.AckTimeout {
				return fmt.Errorf("the broker has not confirmed a message for %v", c.cfg.AckTimeout)
			}
		case <-stopping:
		case <-back:
			c.goodbye(conn) // what is not confirmed yet goes to the other broker, too
			return errReturn
		case <-hard.Done():
			c.goodbye(conn)
			return nil
		}
	}
}

// goodbye says offline: after a proper DISCONNECT the broker keeps the last will to itself.
func (c *Client) goodbye(conn *connection) {
	token := conn.client.Publish(c.cfg.StatusTopic, 1, true, offline)
	select {
	case <-token.Done():
	case <-time.After(c.cfg.WriteTimeout):
		conn.to.log.Warn("the broker did not confirm that this node is offline")
	}
	if err := token.Error(); err != nil && !errors.Is(err, paho.ErrNotConnected) {
		conn.to.log.Warn("could not say that this node is offline", "error", err)
	}
}

// restate makes every retained value new to this connection.
func (c *Client) restate() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.retained {
		s.sent = 0
	}
	c.anew = false
}

// toldAnew reports whether Restate was called, and makes every retained value new then.
func (c *Client) toldAnew() bool {
	c.mu.Lock()
	anew := c.anew
	c.mu.Unlock()
	if anew {
		c.restate()
	}
	return anew
}

// nextState returns a retained value that this connection has not been given yet, and takes it as given.
func (c *Client) nextState() (topic string, value state, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, topic := range c.topics {
		if s := c.retained[topic]; s.sent != s.version {
			s.sent = s.version
			return topic, *s, true
		}
	}
	return "", state{}, false
}

// forgets returns what is to be done when the broker has confirmed a value: nothing, but for one that was cleared.
func (c *Client) forgets(topic string, value state) func() error {
	if value.gone == nil {
		return nil
	}
	return func() error {
		c.mu.Lock()
		same := c.retained[topic] != nil && c.retained[topic].version == value.version
		if same {
			delete(c.retained, topic)
			c.topics = slices.DeleteFunc(c.topics, func(t string) bool { return t == topic })
		}
		c.mu.Unlock()
		if same {
			value.gone()
		}
		return nil
	}
}
