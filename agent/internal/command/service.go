package command

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"

	"xbmedge/agent/internal/config"
	"xbmedge/agent/internal/systemd"
	"xbmedge/camera"
	"xbmedge/internal/cli"
)

func serviceGroup() cli.Command {
	return cli.Command{
		Name: "service", Summary: "run the agent as a systemd service",
		Commands: []cli.Command{serviceInstall(), serviceUninstall(), serviceStatus(), serviceUnit()},
	}
}

// unitFlags is what a unit file is made of.
type unitFlags struct {
	exec, config, devices string
}

func (o *unitFlags) add(f *cli.Flags) {
	f.StringVar(&o.exec, "exec", "", "absolute path of the program's `FILE`; this one when not given")
	f.StringVar(&o.config, "config", installedConfig, "absolute path of the configuration `FILE`")
	f.StringVar(&o.devices, "devices", "auto", "cameras on this board are used, `yes|no|auto`; auto asks the configuration")
	f.OneOf("devices", "yes", "no", "auto")
}

// unit returns the unit file.
func (o *unitFlags) unit() ([]byte, error) {
	u := systemd.Unit{Exec: o.exec, Config: o.config, Devices: o.devices == "yes"}
	if u.Exec == "" {
		path, err := os.Executable()
		if err != nil {
			return nil, fmt.Errorf("where is this program? %w; use --exec", err)
		}
		u.Exec = path
	}
	if o.devices == "auto" {
		var err error
		if u.Devices, err = usesDevices(o.config); err != nil {
			return nil, err
		}
	}
	return u.File()
}

// usesDevices reports whether a configuration has a camera on the board. One that is not there yet may get one.
func usesDevices(path string) (bool, error) {
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
		return true, nil
	}
	cfg, err := config.Load(path)
	if err != nil {
		return false, fmt.Errorf("%w\nuse --devices yes or no to leave the configuration for later", err)
	}
	for _, c := range cfg.Cameras {
		if c.Enabled && camera.Kind(c.Kind).Local() {
			return true, nil
		}
	}
	return false, nil
}

func serviceUnit() cli.Command {
	return cli.Command{
		Name: "unit", Summary: "print the service's unit file",
		Long: `The service may do only what the agent needs: it runs as the user xbm-agent,
writes nothing but its state folder, and sees no devices but cameras, and not
even those where all cameras are network cameras.`,
		Setup: func(f *cli.Flags) cli.Func {
			var o unitFlags
			o.add(f)
			return func(_ context.Context, _ []string, stdout, _ io.Writer) error {
				text, err := o.unit()
				if err != nil {
					return err
				}
				_, err = stdout.Write(text)
				return err
			}
		},
	}
}

func serviceInstall() cli.Command {
	return cli.Command{
		Name: "install", Summary: "install, enable and start the service",
		Long: `Writes /etc/systemd/system/xbm-agent.service, makes the user xbm-agent where
there is none, enables the service, and starts it where the configuration, the
model and the gallery are good (xbm-agent check-config). Run it again after the cameras
in the configuration have changed from network cameras to ones on the board.`,
		Examples: `sudo xbm-agent service install
sudo xbm-agent service install --no-start`,
		Setup: func(f *cli.Flags) cli.Func {
			var o unitFlags
			o.add(f)
			noStart := f.Bool("no-start", false, "do not start the service now")
			return func(ctx context.Context, _ []string, stdout, _ io.Writer) error {
				service, err := systemd.System()
				if err != nil {
					return err
				}
				text, err := o.unit()
				if err != nil {
					return err
				}
				if err := prepare(ctx, o.config); err != nil {
					return err
				}
				ready := canStart(ctx, o.config)
				if err := service.Install(ctx, text, !*noStart && ready == nil); err != nil {
					return err
				}
				said := "installed; see `xbm-agent service status` and `journalctl -u xbm-agent -f`"
				if ready != nil {
					said = fmt.Sprintf("installed, and not started yet: %v\nwhen that is done: systemctl restart xbm-agent", ready)
				}
				_, err = fmt.Fprintln(stdout, said)
				return err
			}
		},
	}
}

// canStart returns why the agent cannot start with a configuration.
func canStart(ctx context.Context, path string) error {
	cfg, err := config.Load(path)
	if err != nil {
		return err
	}
	with, err := open(ctx, cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	return with.model.Close()
}

// prepare makes what the unit file names: the user and the folder of secrets.
func prepare(ctx context.Context, configFile string) error {
	if os.Geteuid() != 0 {
		return errors.New("installing a service needs root: sudo xbm-agent service install")
	}
	if _, err := user.Lookup(systemd.User); err != nil {
		//nolint:gosec // all constants
		out, err := exec.CommandContext(ctx, "useradd", "--system", "--user-group", "--home-dir", "/var/lib/xbm-agent", "--no-create-home",
			"--shell", "/usr/sbin/nologin", systemd.User).CombinedOutput()
		if err != nil {
			return fmt.Errorf("make the user %s: %w: %s", systemd.User, err, out)
		}
	}
	if err := os.MkdirAll(filepath.Join(filepath.Dir(configFile), "secrets"), 0o700); err != nil {
		return fmt.Errorf("make the folder of secrets: %w", err)
	}
	return nil
}

func serviceUninstall() cli.Command {
	return cli.Command{
		Name: "uninstall", Summary: "stop, disable and remove the service",
		Long: "What `xbm-agent service install` wrote is removed. Configuration, gallery and state stay.",
		Setup: func(*cli.Flags) cli.Func {
			return func(ctx context.Context, _ []string, stdout, _ io.Writer) error {
				service, err := systemd.System()
				if err != nil {
					return err
				}
				removed, err := service.Uninstall(ctx)
				if err != nil {
					return err
				}
				text := "removed; the configuration in /etc/xbm-agent and the state in /var/lib/xbm-agent are left"
				switch left, err := service.Status(ctx); {
				case !removed:
					text = "there is no service that `xbm-agent service install` has installed"
				case err == nil && left.Unit != "":
					text += "\nthe package's own service is switched off; on again: systemctl enable --now xbm-agent"
				}
				_, err = fmt.Fprintln(stdout, text)
				return err
			}
		},
	}
}

// errNotRunning is how status tells it to scripts, as systemctl does.
type errNotRunning struct{ state string }

func (e errNotRunning) Error() string {
	return fmt.Sprintf("the service is %s; see `journalctl -u xbm-agent -n 50` and `xbm-agent doctor`", e.state)
}

// ExitCode is that of `systemctl status` for a service that does not run.
func (errNotRunning) ExitCode() int { return 3 }

func serviceStatus() cli.Command {
	return cli.Command{
		Name: "status", Summary: "tell how the service is",
		Long: "The exit code is 0 while the service runs and 3 while it does not.",
		Setup: func(f *cli.Flags) cli.Func {
			asJSON := f.Bool("json", false, "print JSON")
			return func(ctx context.Context, _ []string, stdout, _ io.Writer) error {
				service, err := systemd.System()
				if err != nil {
					return err
				}
				s, err := service.Status(ctx)
				if err != nil {
					return err
				}
				if *asJSON {
					err = json.NewEncoder(stdout).Encode(s)
				} else {
					_, err = fmt.Fprintf(stdout, "%s (%s) since %s, %s\n%s\nrestarts %d, last end: %s, exit code %d\n",
						s.State, s.Detail, s.Since, s.Enabled, s.Text, s.Restarts, s.Result, s.ExitCode)
				}
				if s.State != "active" {
					err = errors.Join(err, errNotRunning{s.State})
				}
				return err
			}
		},
	}
}
