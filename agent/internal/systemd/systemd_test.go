package systemd_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"xbmedge/agent/internal/systemd"
)

func unit(t *testing.T, devices bool) string {
	t.Helper()
	text, err := systemd.Unit{Exec: "/usr/bin/xbm-agent", Config: "/etc/xbm-agent/agent.yaml", Devices: devices}.File()
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestUnit(t *testing.T) {
	for devices, want := range map[bool][]string{
		true:  {"SupplementaryGroups=video", "DeviceAllow=char-video4linux rw"},
		false: {"PrivateDevices=yes"},
	} {
		text := unit(t, devices)
		for _, line := range append(want, "ExecStart=/usr/bin/xbm-agent run --config /etc/xbm-agent/agent.yaml", "WatchdogSec=30s",
			"LoadCredential=secret:/etc/xbm-agent/secrets", "User=xbm-agent", "NoNewPrivileges=yes") {
			if !strings.Contains(text, "\n"+line+"\n") {
				t.Errorf("devices %v: no line %q in\n%s", devices, line, text)
			}
		}
		for _, line := range want {
			if strings.Contains(unit(t, !devices), line) {
				t.Errorf("%q is in both units", line)
			}
		}
		if strings.Contains(text, "{{") || strings.Contains(text, "\n\n\n") {
			t.Errorf("devices %v: template showing through:\n%s", devices, text)
		}
	}
}

func TestUnitRefusesPaths(t *testing.T) {
	for _, path := range []string{"", "bin/xbm-agent", "/opt/my agent", "/opt/%n", "/opt/a\nExecStartPre=/bin/rm", `/opt/"x"`, "/home/pi/xbm-agent", "/tmp/xbm-agent"} {
		if _, err := (systemd.Unit{Exec: path, Config: "/etc/a.yaml"}).File(); err == nil {
			t.Errorf("program %q taken", path)
		}
		if _, err := (systemd.Unit{Exec: "/bin/a", Config: path}).File(); err == nil {
			t.Errorf("configuration %q taken", path)
		}
	}
}

// The least that is left open, by systemd's own count, where that is installed.
func TestExposure(t *testing.T) {
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("needs systemd-analyze")
	}
	for devices, most := range map[bool]float64{true: 1.5, false: 1.3} {
		path := filepath.Join(t.TempDir(), systemd.Name)
		if err := os.WriteFile(path, []byte(unit(t, devices)), 0o644); err != nil {
			t.Fatal(err)
		}
		out, err := exec.Command(analyze, "security", "--offline=true", "--no-pager", path).CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		found := regexp.MustCompile(`Overall exposure level for \S+: (\d+\.\d+)`).FindSubmatch(out)
		if found == nil {
			t.Fatalf("no figure in\n%s", out)
		}
		exposure, err := strconv.ParseFloat(string(found[1]), 64)
		t.Logf("cameras on the board %v: exposure %v", devices, exposure)
		if err != nil || exposure > most {
			t.Errorf("exposure %v, %v; want at most %v\n%s", exposure, err, most, out)
		}
	}
}

func TestInstallAndUninstall(t *testing.T) {
	var calls []string
	s := &systemd.Service{Dir: t.TempDir(), Systemctl: func(_ context.Context, args ...string) (string, error) {
		calls = append(calls, strings.Join(args, " "))
		return "", nil
	}}
	ctx := t.Context()
	if removed, err := s.Uninstall(ctx); removed || err != nil {
		t.Errorf("uninstall of nothing: %v, %v", removed, err)
	}
	if err := s.Install(ctx, []byte(unit(t, true)), true); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(s.Dir, systemd.Name)
	if data, err := os.ReadFile(path); err != nil || string(data) != unit(t, true) {
		t.Errorf("unit file: %v\n%s", err, data)
	}
	if removed, err := s.Uninstall(ctx); !removed || err != nil {
		t.Errorf("uninstall: %v, %v", removed, err)
	}
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the unit file is still there: %v", err)
	}
	want := []string{"daemon-reload", "enable xbm-agent.service", "restart xbm-agent.service", "disable --now xbm-agent.service", "daemon-reload"}
	if diff := cmp.Diff(want, calls); diff != "" {
		t.Errorf("systemctl (-want +got):\n%s", diff)
	}
}

func TestStatus(t *testing.T) {
	s := &systemd.Service{Systemctl: func(context.Context, ...string) (string, error) {
		return "ActiveState=activating\nSubState=auto-restart\nNRestarts=3\nStatusText=2 of 2 cameras; a=b\nResult=watchdog\nMainPID=0\n", nil
	}}
	got, err := s.Status(t.Context())
	want := systemd.Status{State: "activating", Detail: "auto-restart", Restarts: 3, Text: "2 of 2 cameras; a=b", Result: "watchdog"}
	if err != nil || got != want {
		t.Errorf("got %+v, %v", got, err)
	}
}
