package command

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"xbmedge/agent/internal/config"
	"xbmedge/agent/internal/doctor"
	"xbmedge/agent/internal/mqtt"
	"xbmedge/internal/cli"
	"xbmedge/internal/redact"
)

func mqttGroup() cli.Command {
	return cli.Command{Name: "mqtt", Summary: "look at the way to the broker", Commands: []cli.Command{mqttTest()}}
}

func mqttTest() cli.Command {
	return cli.Command{
		Name: "test", Summary: "go to the broker and back, and say which step fails",
		Long: `Looks up the broker's name, connects, shakes hands (TLS), logs in, subscribes,
publishes and receives, as the configuration says, on a topic of its own
(base/node/test/set, not retained). An agent at work is not disturbed. The first
step that fails is the last one; it says why and what to do, and the command ends
with 1. mqtt.fallbacks are tried in the same way, each of them.`,
		Examples: `xbm-agent mqtt test --config /etc/xbm-agent/agent.yaml
xbm-agent mqtt test --config agent.yaml --set mqtt.broker=ssl://broker.lan`,
		Setup: func(f *cli.Flags) cli.Func {
			load := configFlags(f)
			asJSON := f.Bool("json", false, `print {"broker","step","ok","found","remedy"} a line`)
			timeout := f.Duration("timeout", 5*time.Second, "longest `TIME` for one step")
			return func(ctx context.Context, _ []string, stdout, _ io.Writer) error {
				cfg, err := load()
				if err != nil {
					return err
				}
				if *timeout <= 0 {
					return fmt.Errorf("--timeout %v: want more than 0s", *timeout)
				}
				return walkAll(ctx, cfg, *timeout, *asJSON, stdout)
			}
		},
	}
}

// stepJSON is what `mqtt test --json` prints of a step.
type stepJSON struct {
	Broker string `json:"broker"`
	Step   string `json:"step"`
	OK     bool   `json:"ok"`
	Found  string `json:"found"`
	Remedy string `json:"remedy,omitempty"`
}

// walkAll walks to each of the configured brokers and prints every step.
func walkAll(ctx context.Context, cfg *config.Config, timeout time.Duration, asJSON bool, out io.Writer) error {
	var faults []error
	brokers := cfg.MQTT.Brokers()
	for i, broker := range brokers {
		if len(brokers) > 1 && !asJSON {
			if _, err := fmt.Fprintf(out, "%s, %d of %d:\n", redact.URL(broker), i+1, len(brokers)); err != nil {
				return err
			}
		}
		faults = append(faults, walk(ctx, cfg, i, timeout, asJSON, out))
	}
	return errors.Join(faults...)
}

// walk takes the steps to a broker, of that place in config.MQTT.Brokers, and prints each.
func walk(ctx context.Context, cfg *config.Config, place int, timeout time.Duration, asJSON bool, out io.Writer) error {
	client := cfg.Client()
	client.Broker, client.ConnectTimeout = cfg.MQTT.Brokers()[place], timeout
	name := redact.URL(client.Broker)
	var printed error
	err := mqtt.Walk(ctx, client, mqtt.Topics{Base: cfg.MQTT.Base, Node: cfg.Node}.Test(), func(s mqtt.Step) {
		line := stepJSON{name, s.Name, s.Err == nil, s.Found, ""}
		if s.Err != nil {
			line.Found, line.Remedy = explain(cfg.MQTT, place, s)
		}
		printed = errors.Join(printed, printStep(out, line, asJSON))
	})
	if err != nil {
		return errors.Join(printed, fmt.Errorf("mqtt test: %s does not work at the step %w", name, err))
	}
	return printed
}

// explain says what a step's error means, and what to do.
func explain(m config.MQTT, place int, s mqtt.Step) (what, remedy string) {
	switch s.Name {
	case mqtt.StepDNS, mqtt.StepTCP, mqtt.StepTLS, mqtt.StepLogin:
		return doctor.ExplainBroker(m, place, s.Err)
	}
	return s.Err.Error(), "give the broker's user the right to read and write below base/node/ (docs/mqtt.md, Broker)"
}

func printStep(out io.Writer, line stepJSON, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(out).Encode(line)
	}
	if line.OK {
		_, err := fmt.Fprintf(out, "%-9s  ok      %s\n", line.Step, line.Found)
		return err
	}
	_, err := fmt.Fprintf(out, "%-9s  FAILED  %s\n%19s%s\n", line.Step, line.Found, "", line.Remedy)
	return err
}
