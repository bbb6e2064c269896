package mqtt

import (
	"context"

	paho "github.com/eclipse/paho.mqtt.golang"
)

// Probe logs in to the broker and leaves again, for at most ConnectTimeout. It publishes nothing and has no last will,
// and it takes a client id of its own: with the configured one it would throw out an agent at work. Errors are ErrLogin
// and ErrNoBroker where they apply, and otherwise wrap what the network or TLS says.
func Probe(ctx context.Context, cfg Config) error {
	cfg.ClientID = ""
	options, err := cfg.withDefaults().options()
	if err != nil {
		return err
	}
	client := paho.NewClient(options)
	token := client.Connect()
	select {
	case <-token.Done():
	case <-ctx.Done():
		client.Disconnect(0)
		return ctx.Err()
	}
	if err := token.Error(); err != nil {
		return refusal(err)
	}
	client.Disconnect(quiesce)
	return nil
}
