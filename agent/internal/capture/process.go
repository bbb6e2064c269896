package capture

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"xbmedge/camera"
	"xbmedge/internal/redact"
)

// pipeSize is asked for the pipe, in bytes: the most that anybody may have. The default is a sixteenth.
const pipeSize = 1 << 20

// endTime is how long a process that was killed may take to end; one whose driver hangs does not.
const endTime = 2 * time.Second

// process is a capture process and the two pipes to it.
type process struct {
	cmd    *exec.Cmd
	stdin  *os.File // its end tells the process that nobody wants it any more
	frames *os.File
	said   *listener
	waited chan error
	log    *slog.Logger
}

// start starts a program and tells it what to capture. The camera's password goes through the pipe: arguments and the
// environment of a process can be read by others.
func start(program []string, cfg camera.Config, log *slog.Logger) (*process, error) {
	text, err := json.Marshal(cfg)
	if err != nil {
		return nil, fmt.Errorf("tell what to capture: %w", err)
	}
	theirStdin, stdin, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	frames, theirFrames, err := os.Pipe()
	if err != nil {
		return nil, errors.Join(err, theirStdin.Close(), stdin.Close())
	}
	said := &listener{log: log, secrets: redact.Secrets(cfg.Address)}
	cmd := exec.Command(program[0], program[1:]...) //nolint:gosec // our own program
	cmd.Env = environment(os.Environ())
	cmd.Stdin, cmd.Stdout, cmd.Stderr = theirStdin, said, said
	cmd.ExtraFiles = []*os.File{theirFrames} // framesFile there
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	cmd.WaitDelay = time.Second // for a process of its own that holds its output open
	err = cmd.Start()
	err = errors.Join(err, theirStdin.Close(), theirFrames.Close())
	if err != nil {
		return nil, errors.Join(fmt.Errorf("start the capture process: %w", err), stdin.Close(), frames.Close())
	}
	p := &process{cmd: cmd, stdin: stdin, frames: frames, said: said, waited: make(chan error, 1), log: log}
	go func() { p.waited <- cmd.Wait() }()
	_ = stdin.SetWriteDeadline(time.Now().Add(loadTime)) // for a text that a pipe does not hold, and a process that does not read
	_, _ = stdin.Write(append(text, '\n'))               // fails where the process has ended already: what it said last is more telling
	log.Debug("capture process started", "pid", cmd.Process.Pid, "program", program)
	return p, nil
}

// passed are the beginnings of the names of variables that a capture process gets. What is not among them may be secret.
var passed = []string{"PATH=", "HOME=", "LANG=", "LC_", "TZ=", "LD_LIBRARY_PATH=", "TMPDIR=", "OPENCV_", "GST_", "LIBCAMERA_", "XDG_"}

func environment(all []string) []string {
	return slices.DeleteFunc(slices.Clone(all), func(v string) bool {
		return !slices.ContainsFunc(passed, func(p string) bool { return strings.HasPrefix(v, p) })
	})
}

// ended is the error for a process whose pipe has come to its end before it said why.
func (p *process) ended() error {
	p.kill()
	select {
	case err := <-p.waited:
		p.waited <- err // for close
		if line := p.said.last(); line != "" {
			return fmt.Errorf("the capture process has ended (%s): %s", p.cmd.ProcessState, line)
		}
		return fmt.Errorf("the capture process has ended (%s)", p.cmd.ProcessState)
	case <-time.After(endTime):
		return errors.New("the capture process has closed its pipe")
	}
}

// kill ends the process and all of its own.
func (p *process) kill() {
	_ = unix.Kill(-p.cmd.Process.Pid, unix.SIGKILL) // fails where it has ended
}

// close ends the process, waits for it and gives the pipes back. One that cannot be killed is left behind: its driver
// hangs, and it ends when that does.
func (p *process) close(gently bool) error {
	err := errors.Join(p.stdin.Close(), p.frames.Close())
	if gently {
		select {
		case <-p.waited:
			return err
		case <-time.After(2 * goodbyeTime):
		}
	}
	p.kill()
	select {
	case <-p.waited:
	case <-time.After(endTime):
		p.log.Warn("a capture process cannot be ended, since its driver hangs; it is left behind", "pid", p.cmd.Process.Pid)
	}
	return err
}
