package mqtt

import (
	"context"
	"errors"
	"log/slog"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"
)

// connection is one paho client, good for one connection.
type connection struct {
	client paho.Client
	to     *place
	lost   chan error
}

// connect logs in to a broker. The connection is nil where there is an error.
func (c *Client) connect(to *place) (*connection, error) {
	conn := &connection{to: to, lost: make(chan error, 1)}
	options, err := to.cfg.options()
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

// serve publishes over a connection until it ends, and closes it. Its error is that of pump.
func (c *Client) serve(ctx, hard context.Context, conn *connection, beat Heartbeat) error {
	back, stop := c.scout(hard, conn.to)
	defer stop()
	err := c.pump(ctx, hard, conn, back, beat)
	if err == nil || errors.Is(err, errReturn) { // the broker is there
		c.settle.done()
	} else {
		c.settle.lost()
	}
	c.number.Store(0)
	conn.client.Disconnect(quiesce)
	return err
}

// complaint says a lasting trouble once a minute and its end once.
type complaint struct {
	log  *slog.Logger
	last time.Time
}

func (c *complaint) say(text string, err error, more ...any) {
	facts := append([]any{"error", err}, more...)
	if !c.last.IsZero() && time.Since(c.last) < sayEvery {
		c.log.Debug(text, facts...) //nolint:sloglint // the texts are constants of the callers
		return
	}
	c.last = time.Now()
	c.log.Warn(text, facts...) //nolint:sloglint // as above
}

func (c *complaint) over(text string) {
	c.last = time.Time{}
	c.log.Info(text) //nolint:sloglint // as above
}
