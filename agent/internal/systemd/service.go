package systemd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"xbmedge/internal/atomicfile"
)

// Name is the service's.
const Name = "xbm-agent.service"

// Service is the agent's service on this machine.
type Service struct {
	// Dir is the folder of unit files, /etc/systemd/system.
	Dir string
	// Systemctl runs systemctl and returns what it prints.
	Systemctl func(ctx context.Context, args ...string) (string, error)
}

// System returns the service of the systemd that runs this machine, or an error where it is run by something else.
func System() (*Service, error) {
	if info, err := os.Stat("/run/systemd/system"); err != nil || !info.IsDir() {
		return nil, errors.New("this system is not run by systemd: start `xbm-agent run` by what runs it")
	}
	return &Service{Dir: "/etc/systemd/system", Systemctl: systemctl}, nil
}

func systemctl(ctx context.Context, args ...string) (string, error) {
	out, err := exec.CommandContext(ctx, "systemctl", args...).CombinedOutput()
	text := strings.TrimSpace(string(out))
	if err != nil {
		return text, fmt.Errorf("systemctl %s: %w: %s", strings.Join(args, " "), err, text)
	}
	return text, nil
}

func (s *Service) path() string { return filepath.Join(s.Dir, Name) }

// Install writes the unit file and enables the service; start restarts it, too.
func (s *Service) Install(ctx context.Context, unit []byte, start bool) error {
	if err := atomicfile.WriteBytes(s.path(), 0o644, unit); err != nil {
		return fmt.Errorf("write the unit file: %w", explain(err))
	}
	steps := [][]string{{"daemon-reload"}, {"enable", Name}}
	if start {
		steps = append(steps, []string{"restart", Name})
	}
	for _, step := range steps {
		if _, err := s.Systemctl(ctx, step...); err != nil {
			return err
		}
	}
	return nil
}

// Uninstall stops and disables the service and removes the unit file that Install wrote. One that a package brought
// stays, and nothing of the configuration and the state is touched. removed is false when there was no unit file.
func (s *Service) Uninstall(ctx context.Context) (removed bool, err error) {
	if _, err := os.Stat(s.path()); errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	if _, err := s.Systemctl(ctx, "disable", "--now", Name); err != nil {
		return false, err
	}
	if err := os.Remove(s.path()); err != nil {
		return false, fmt.Errorf("remove the unit file: %w", explain(err))
	}
	_, err = s.Systemctl(ctx, "daemon-reload")
	return true, err
}

func explain(err error) error {
	if errors.Is(err, os.ErrPermission) {
		return fmt.Errorf("%w; run this as root", err)
	}
	return err
}

// Status is what systemd says of the service.
type Status struct {
	State    string `json:"state"`   // active, inactive, failed, …
	Detail   string `json:"detail"`  // running, dead, auto-restart, …
	Enabled  string `json:"enabled"` // enabled, disabled, …; "" where there is no unit
	Since    string `json:"since"`
	Text     string `json:"text"` // the agent's own line
	Restarts int    `json:"restarts"`
	Result   string `json:"result"` // of the last end: success, watchdog, exit-code, …
	ExitCode int    `json:"exit_code"`
	PID      int    `json:"pid"`
	Unit     string `json:"unit"` // file
}

// Status asks systemd.
func (s *Service) Status(ctx context.Context) (Status, error) {
	out, err := s.Systemctl(ctx, "show", Name, "--property",
		"ActiveState,SubState,UnitFileState,StateChangeTimestamp,StatusText,NRestarts,Result,ExecMainStatus,MainPID,FragmentPath")
	if err != nil {
		return Status{}, err
	}
	p := map[string]string{}
	for line := range strings.Lines(out) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		p[key] = value
	}
	number := func(key string) int {
		n, err := strconv.Atoi(p[key])
		if err != nil {
			return 0
		}
		return n
	}
	return Status{
		State: p["ActiveState"], Detail: p["SubState"], Enabled: p["UnitFileState"], Since: p["StateChangeTimestamp"],
		Text: p["StatusText"], Restarts: number("NRestarts"), Result: p["Result"], ExitCode: number("ExecMainStatus"),
		PID: number("MainPID"), Unit: p["FragmentPath"],
	}, nil
}
