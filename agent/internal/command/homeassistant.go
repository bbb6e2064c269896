package command

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"

	"xbmedge/agent/internal/app"
	"xbmedge/agent/internal/board"
	"xbmedge/agent/internal/config"
	"xbmedge/agent/internal/homeassistant"
	"xbmedge/agent/internal/mqtt"
	"xbmedge/internal/cli"
	"xbmedge/internal/gallery"
	"xbmedge/internal/redact"
)

func haGroup() cli.Command {
	return cli.Command{
		Name: "ha", Summary: "tell Home Assistant what there is, or that it is gone",
		Long: `An agent that runs does so by itself, while homeassistant.enabled is true. These
commands are for looking, for setting up before the agent runs, and for cleaning
up after it.`,
		Commands: []cli.Command{haPrint(), haSend(), haRemove()},
	}
}

// discovery returns what a configured agent with its gallery announces.
func discovery(cfg *config.Config) ([]homeassistant.Message, error) {
	g, err := gallery.Read(cfg.Gallery.Path)
	if err != nil {
		return nil, fmt.Errorf("gallery.path: %w", err)
	}
	node := app.HomeNode(cfg, board.New("/"), g)
	return node.Devices(nil)
}

func haPrint() cli.Command {
	return cli.Command{
		Name: "print", Summary: "print the discovery messages",
		Long:     `Prints {"topic","payload"}, a line for each device, and sends nothing.`,
		Examples: `xbm-agent ha print --config agent.yaml | jq .payload.cmps`,
		Setup: func(f *cli.Flags) cli.Func {
			load := configFlags(f)
			return func(_ context.Context, _ []string, stdout, _ io.Writer) error {
				cfg, err := load()
				if err != nil {
					return err
				}
				messages, err := discovery(cfg)
				if err != nil {
					return err
				}
				for _, m := range messages {
					if err := json.NewEncoder(stdout).Encode(struct {
						Topic   string          `json:"topic"`
						Payload json.RawMessage `json:"payload"`
					}{m.Topic, m.Payload}); err != nil {
						return err
					}
				}
				return nil
			}
		},
	}
}

func haSend() cli.Command {
	return cli.Command{
		Name: "send", Summary: "publish the discovery messages",
		Long:     `The entities are there at once, and available when the agent runs.`,
		Examples: `xbm-agent ha send --config agent.yaml`,
		Setup: func(f *cli.Flags) cli.Func {
			load := configFlags(f)
			return func(ctx context.Context, _ []string, stdout, _ io.Writer) error {
				cfg, err := load()
				if err != nil {
					return err
				}
				messages, err := discovery(cfg)
				if err != nil {
					return err
				}
				out := make([]mqtt.Message, 0, len(messages))
				for _, m := range messages {
					out = append(out, mqtt.Message{Topic: m.Topic, Payload: m.Payload})
				}
				return retain(ctx, cfg, out, "announced", stdout)
			}
		},
	}
}

func haRemove() cli.Command {
	return cli.Command{
		Name: "remove", Summary: "take the devices away",
		Long: `Takes away what this configuration announces, and what was announced from its
state folder. An agent that runs announces itself again at its next connection:
stop it first, or set homeassistant.enabled to false, which removes them too.`,
		Examples: `xbm-agent ha remove --config agent.yaml`,
		Setup: func(f *cli.Flags) cli.Func {
			load := configFlags(f)
			return func(ctx context.Context, _ []string, stdout, _ io.Writer) error {
				cfg, err := load()
				if err != nil {
					return err
				}
				node := app.HomeNode(cfg, board.New("/"), nil)
				told, err := homeassistant.Load(cfg.AnnouncedFile())
				if err != nil {
					return err
				}
				topics := map[string]bool{}
				for _, a := range []homeassistant.Announced{node.Announced(), told} {
					for topic := range a {
						topics[topic] = true
					}
				}
				var out []mqtt.Message
				for _, topic := range slices.Sorted(maps.Keys(topics)) {
					out = append(out, mqtt.Message{Topic: topic})
				}
				return retain(ctx, cfg, out, "removed", stdout)
			}
		},
	}
}

// retain publishes at every configured broker and says what was done. One that is away does not keep it from the others.
func retain(ctx context.Context, cfg *config.Config, messages []mqtt.Message, what string, stdout io.Writer) error {
	var faults []error
	client := cfg.Client()
	for i, broker := range cfg.MQTT.Brokers() {
		client.Broker = broker
		if err := mqtt.Retain(ctx, client, messages); err != nil {
			key := "mqtt.broker"
			if i > 0 {
				key = fmt.Sprintf("mqtt.fallbacks[%d]", i-1)
			}
			faults = append(faults, fmt.Errorf("%s: %w", key, err))
			continue
		}
		at := ""
		if len(cfg.MQTT.Fallbacks) > 0 {
			at = " at " + redact.URL(broker)
		}
		for _, m := range messages {
			if _, err := fmt.Fprintf(stdout, "%s %s%s\n", what, m.Topic, at); err != nil {
				return err
			}
		}
	}
	return errors.Join(faults...)
}
