package mqtt

import (
	"context"
	"fmt"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"
)

// Retain publishes retained messages, with QoS 1, over a connection of its own that says nothing of a node's status, and
// returns when the broker has confirmed them all. An empty payload takes a topic's value away.
func Retain(ctx context.Context, cfg Config, messages []Message) error {
	cfg = cfg.withDefaults()
	options, err := cfg.options()
	if err != nil {
		return err
	}
	client := paho.NewClient(options)
	token := client.Connect()
	<-token.Done() // bounded by ConnectTimeout
	if err := token.Error(); err != nil {
		return refusal(err)
	}
	defer client.Disconnect(quiesce)
	for _, m := range messages {
		token := client.Publish(m.Topic, 1, true, m.Payload)
		select {
		case <-token.Done():
			if err := token.Error(); err != nil {
				return fmt.Errorf("publish %s: %w", m.Topic, err)
			}
		case <-time.After(cfg.AckTimeout):
			return fmt.Errorf("publish %s: the broker has not confirmed it for %v", m.Topic, cfg.AckTimeout)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}
