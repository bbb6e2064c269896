package mqtt

import (
	"errors"
	"fmt"
	"slices"

	paho "github.com/eclipse/paho.mqtt.golang"
)

// errRefused says that a broker does not let this client listen to a topic.
var errRefused = errors.New("the broker refuses the subscription")

// subscribe asks a new connection for the client's topics. A broker that refuses them is told of: without commands an
// agent still tells what it sees.
func (c *Client) subscribe(conn *connection) error {
	if len(c.cfg.Subscribe) == 0 {
		return nil
	}
	err := subscribe(conn.client, c.cfg, func(_ paho.Client, m paho.Message) {
		c.cfg.Receive(Message{m.Topic(), m.Payload(), m.Retained()})
	}, c.cfg.Subscribe)
	if errors.Is(err, errRefused) {
		conn.to.log.Error("no commands from this broker: give the agent's user the right to read their topics", "error", err)
		return nil
	}
	return err
}

// subscribe subscribes to topics with QoS 1 and waits for the broker's word.
func subscribe(client paho.Client, cfg Config, handle paho.MessageHandler, topics []string) error {
	filters := map[string]byte{}
	for _, t := range topics {
		filters[t] = 1
	}
	sub := client.SubscribeMultiple(filters, handle)
	if !sub.WaitTimeout(cfg.ConnectTimeout) {
		return fmt.Errorf("the broker has not confirmed the subscription for %v", cfg.ConnectTimeout)
	}
	var refused []string
	if token, ok := sub.(*paho.SubscribeToken); ok {
		for topic, qos := range token.Result() {
			if qos == 0x80 {
				refused = append(refused, topic)
			}
		}
	}
	if len(refused) > 0 {
		slices.Sort(refused)
		return fmt.Errorf("%w to %q", errRefused, refused)
	}
	if err := sub.Error(); err != nil {
		return fmt.Errorf("subscribe: %w", err)
	}
	return nil
}
