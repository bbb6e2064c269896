package mqtt

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"

	"xbmedge/internal/redact"
)

// Message is something that arrived.
type Message struct {
	Topic    string
	Payload  []byte
	Retained bool // kept by the broker from before the subscription
}

// listenBuffer is how many messages may wait for handle.
const listenBuffer = 1024

// Listen subscribes to topics with QoS 1 and calls handle for every message, one after another, until handle returns
// false or ctx ends. It connects again when the connection is lost; ready is called after every subscription, and its
// error ends Listen. A handle too slow for the messages makes the connection wait, and then the broker.
func Listen(ctx context.Context, cfg Config, topics []string, log *slog.Logger, ready func() error, handle func(Message) (more bool)) error {
	cfg = cfg.withDefaults()
	if err := CheckBroker(cfg.Broker); err != nil {
		return err
	}
	for _, topic := range topics {
		if err := checkFilter(topic); err != nil {
			return err
		}
	}
	complaint := &complaint{log: log.With("broker", redact.URL(cfg.Broker))}
	backoff := cfg.BackoffMin
	for {
		var failed error
		subscribed, more, err := listenOnce(ctx, cfg, topics, handle, func() bool {
			complaint.over("listening")
			failed = ready()
			return failed == nil
		})
		if !more || ctx.Err() != nil {
			return failed
		}
		if subscribed {
			backoff = cfg.BackoffMin
		}
		complaint.say("not listening; still trying", err)
		wait := time.NewTimer(time.Duration(rand.Int64N(int64(backoff)) + 1))
		backoff = min(2*backoff, cfg.BackoffMax)
		select {
		case <-wait.C:
		case <-ctx.Done():
			wait.Stop()
			return nil
		}
	}
}

// checkFilter refuses what no broker would take for a topic to listen to (MQTT 3.1.1, 4.7.1).
func checkFilter(topic string) error {
	if topic == "" {
		return errors.New("a topic to listen to is empty")
	}
	levels := strings.Split(topic, "/")
	for i, level := range levels {
		if strings.Contains(level, "#") && (level != "#" || i < len(levels)-1) {
			return fmt.Errorf("topic %q: # stands for all that follows, so it has to be the last level, alone", topic)
		}
		if strings.Contains(level, "+") && level != "+" {
			return fmt.Errorf("topic %q: + stands for one level, so it has to be alone in it", topic)
		}
	}
	return nil
}

func listenOnce(ctx context.Context, cfg Config, topics []string, handle func(Message) bool, ready func() bool) (subscribed, more bool, err error) {
	options, err := cfg.options()
	if err != nil {
		return false, true, err
	}
	arrived := make(chan Message, listenBuffer)
	over := make(chan struct{}) // closed when nobody takes from arrived any more
	defer close(over)
	lost := make(chan error, 1)
	options.SetOrderMatters(true) // the order of events is the point, and the handler below only passes on
	options.SetConnectionLostHandler(func(_ paho.Client, err error) { lost <- err })
	client := paho.NewClient(options)
	token := client.Connect()
	<-token.Done() // bounded by ConnectTimeout
	if err := token.Error(); err != nil {
		return false, true, refusal(err)
	}
	defer client.Disconnect(quiesce)

	if err := subscribe(client, cfg, func(_ paho.Client, m paho.Message) {
		select {
		case arrived <- Message{m.Topic(), m.Payload(), m.Retained()}:
		case <-over:
		}
	}, topics); err != nil {
		return false, true, err
	}
	if !ready() {
		return true, false, nil
	}
	for {
		select {
		case m := <-arrived:
			if !handle(m) {
				return true, false, nil
			}
		case err := <-lost:
			return true, true, fmt.Errorf("connection lost: %w", err)
		case <-ctx.Done():
			return true, true, nil
		}
	}
}
