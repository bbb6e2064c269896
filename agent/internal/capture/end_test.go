package capture_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"xbmedge/agent/internal/capture"
	"xbmedge/camera"
)

// gone waits until there is no such process, or only its entry that nobody has asked for.
func gone(t *testing.T, pid int) {
	t.Helper()
	for began := time.Now(); time.Since(began) < 10*time.Second; time.Sleep(5 * time.Millisecond) {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil || bytes.Contains(stat, []byte(") Z ")) {
			return
		}
	}
	t.Errorf("process %d still runs", pid)
	_ = syscall.Kill(pid, syscall.SIGKILL)
}

// A process that cannot even look at its end is killed, and what it has started as well.
func TestAProcessThatDoesNothing(t *testing.T) {
	pidFile := filepath.Join(t.TempDir(), "pid")
	for _, tt := range []struct {
		name string
		wrap bool
	}{{"stopped", false}, {"with a process of its own", true}} {
		t.Run(tt.name, func(t *testing.T) {
			o := options(t, "size=64x48,fps=50")
			o.Stall, o.Camera.Timeout = 500*time.Millisecond, time.Second
			if tt.wrap {
				o.Program = []string{"/bin/sh", "-c", "sleep 3600 & echo $! >" + pidFile + "; exec " + strings.Join(o.Program, " ")}
			}
			src, err := capture.Open(t.Context(), o)
			if err != nil {
				t.Fatal(err)
			}
			var f camera.Frame
			if err := src.Read(t.Context(), &f); err != nil {
				t.Fatal(err)
			}
			pid := src.PID()
			if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
				t.Fatal(err)
			}
			for err == nil {
				err = src.Read(t.Context(), &f)
			}
			if !errors.Is(err, capture.ErrStalled) {
				t.Errorf("from a stopped process: %v", err)
			}
			if err := src.Close(); err != nil {
				t.Error(err)
			}
			gone(t, pid)
			if tt.wrap {
				text, err := os.ReadFile(pidFile)
				if err != nil {
					t.Fatal(err)
				}
				other, err := strconv.Atoi(strings.TrimSpace(string(text)))
				if err != nil {
					t.Fatal(err)
				}
				gone(t, other)
			}
		})
	}
}

// No capture process outlives its agent, not even one that is stopped, or that looks at nothing.
func TestTheAgentIsKilled(t *testing.T) {
	said := filepath.Join(t.TempDir(), "said")
	if err := os.WriteFile(said, capture.Beginning(), 0o600); err != nil {
		t.Fatal(err)
	}
	works := options(t, "").Program
	for _, tt := range []struct {
		name    string
		program []string
		stopped bool
	}{
		{"one that works", works, false},
		{"one that is stopped", works, true},
		{"one that looks at nothing", []string{"/bin/sh", "-c", "cat " + said + " >&3; exec sleep 3600"}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			agent := exec.Command(works[0], append([]string{agentArgument}, tt.program...)...)
			out, err := agent.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := agent.Start(); err != nil {
				t.Fatal(err)
			}
			line, err := bufio.NewReader(out).ReadString('\n')
			if err != nil {
				t.Fatal(err)
			}
			pid, err := strconv.Atoi(strings.TrimSpace(line))
			if err != nil {
				t.Fatal(err)
			}
			if tt.stopped {
				if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
					t.Fatal(err)
				}
			}
			if err := agent.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			_ = agent.Wait() // "killed"
			gone(t, pid)
		})
	}
}
