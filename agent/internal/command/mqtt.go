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
(base/node/test/set, not retained). An agent at work is not disturbed. Ends with
1 at the first step that fails, and says why and what to do.`,
		Examples: `xbm-agent mqtt test --config /etc/xbm-agent/agent.yaml
xbm-agent mqtt test --config agent.yaml --set mqtt.broker=ssl://broker.lan`,
		Setup: func(f *cli.Flags) cli.Func {
			load := configFlags(f)
			asJSON := f.Bool("json", false, `print {"step","ok","found","remedy"} a line`)
			timeout := f.Duration("timeout", 5*time.Second, "longest `TIME` for one step")
			return func(ctx context.Context, _ []string, stdout, _ io.Writer) error {
				cfg, err := load()
				if err != nil {
					return err
				}
				return walk(ctx, cfg, *timeout, *asJSON, stdout)
			}
		},
	}
}

// stepJSON is what `mqtt test --json` prints of a step.
type stepJSON struct {
	Step   string `json:"step"`
	OK     bool   `json:"ok"`
	Found  string `json:"found"`
	Remedy string `json:"remedy,omitempty"`
}

// walk takes the steps to a configured broker and prints each.
func walk(ctx context.Context, cfg *config.Config, timeout time.Duration, asJSON bool, out io.Writer) error {
	if timeout <= 0 {
		return fmt.Errorf("--timeout %v: want more than 0s", timeout)
	}
	m := cfg.MQTT
	files, err := mqtt.TLSFiles{CA: m.TLS.CA, Cert: m.TLS.Cert, Key: m.TLS.Key}.Config()
	if err != nil {
		return fmt.Errorf("mqtt.tls: %w", err)
	}
	var printed error
	err = mqtt.Walk(ctx, mqtt.Config{
		Broker: m.Broker, Username: m.Username, Password: m.Password, TLS: files, ConnectTimeout: timeout,
	}, mqtt.Topics{Base: m.Base, Node: cfg.Node}.Test(), func(s mqtt.Step) {
		line := stepJSON{s.Name, s.Err == nil, s.Found, ""}
		if s.Err != nil {
			line.Found, line.Remedy = explain(m, s)
		}
		printed = errors.Join(printed, printStep(out, line, asJSON))
	})
	if err != nil {
		return errors.Join(printed, fmt.Errorf("mqtt test: %s does not work at the step %w", redact.URL(m.Broker), err))
	}
	return printed
}

// explain says what a step's error means, and what to do.
func explain(m config.MQTT, s mqtt.Step) (what, remedy string) {
	switch s.Name {
	case mqtt.StepDNS, mqtt.StepTCP, mqtt.StepTLS, mqtt.StepLogin:
		return doctor.ExplainBroker(m, s.Err)
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
