package command

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"

	"xbmedge/agent/internal/doctor"
	"xbmedge/internal/cli"
)

// installedConfig is where the service has its configuration.
const installedConfig = "/etc/xbm-agent/agent.yaml"

// diagnosis is what `doctor --json` prints.
type diagnosis struct {
	Faults   int              `json:"faults"`
	Warnings int              `json:"warnings"`
	Findings []doctor.Finding `json:"findings"`
}

func doctorCommand() cli.Command {
	return cli.Command{
		Name: "doctor", Summary: "look for what keeps the agent from working, and say what to do",
		Long: `Looks at the configuration, the program, the model and the gallery, at cameras,
broker, files' permissions, disk, clock, heat, power and the service, and prints a
line for each: what was found, and of a warning or a fault, what to do about it.
It changes nothing and prints no passwords. Without --config it takes
` + installedConfig + ` where that is there.

As root (sudo) it also sees whether the service's user may use what it needs.
The exit code is 1 when there is a fault.`,
		Examples: `sudo xbm-agent doctor
xbm-agent doctor --config agent.yaml --set mqtt.broker=tcp://broker:1883`,
		Setup: func(f *cli.Flags) cli.Func {
			source := sourceFlags(f)
			asJSON := f.Bool("json", false, "print JSON")
			return func(ctx context.Context, _ []string, stdout, _ io.Writer) error {
				path, set := source()
				return diagnose(ctx, path, set, *asJSON, stdout)
			}
		},
	}
}

// sourceFlags adds the flags that say what configuration to look at. The function returns them, once they are parsed.
func sourceFlags(f *cli.Flags) func() (path string, set []string) {
	path := f.String("config", "", "configuration `FILE` (default "+installedConfig+" where that is there)")
	var set cli.Settings
	f.Var(&set, "set", "`KEY=VALUE`, over the file and the environment; may be repeated")
	return func() (string, []string) {
		if _, err := os.Stat(installedConfig); *path == "" && err == nil {
			return installedConfig, set
		}
		return *path, set
	}
}

func diagnose(ctx context.Context, path string, set []string, asJSON bool, stdout io.Writer) error {
	findings := doctor.Run(ctx, doctor.This(ctx), path, set...)
	faults, warnings := doctor.Count(findings)
	var err error
	if asJSON {
		err = json.NewEncoder(stdout).Encode(diagnosis{faults, warnings, findings})
	} else {
		err = doctor.WriteText(stdout, findings)
	}
	if err == nil && faults > 0 {
		return fmt.Errorf("doctor: %s, %s", count(faults, "fault"), count(warnings, "warning"))
	}
	return err
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
