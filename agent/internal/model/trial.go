package model

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"

	"xbmedge/internal/bundle"
	"xbmedge/internal/bundle/parity"
)

// ChildCommand is the hidden command of xbm-agent that calls Child.
const ChildCommand = "certify"

// TrialLimit is the time that golden images may take. It is less than the service manager waits for a start.
const TrialLimit = 60 * time.Second

// Trial runs golden images in a child process: a model that crashes or hangs ends that process, not this one.
type Trial struct {
	Program string        // to call with ChildCommand; empty: this program
	Limit   time.Duration // for all of it; 0 stands for TrialLimit
	Steps   float64       // see parity.Options
}

// maxMessages bounds what is kept of a child's messages, in bytes.
const maxMessages = 64 << 10

// Run returns the certificate of the bundle. A model that ends or hangs the child has failed.
func (t *Trial) Run(ctx context.Context, b *bundle.Bundle) (*parity.Certificate, error) {
	program, limit := t.Program, t.Limit
	if program == "" {
		var err error
		if program, err = os.Executable(); err != nil {
			return nil, fmt.Errorf("where is this program? %w", err)
		}
	}
	if limit == 0 {
		limit = TrialLimit
	}
	var input bytes.Buffer
	if err := b.Encode(&input); err != nil {
		return nil, err
	}
	limited, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	var out, messages output
	cmd := exec.CommandContext(limited, program, ChildCommand, fmt.Sprint("--steps=", t.Steps)) //nolint:gosec // this program itself
	cmd.Stdin, cmd.Stdout, cmd.Stderr = &input, &out, &messages
	cmd.WaitDelay = time.Second
	err := cmd.Run()
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	m := b.Manifest()
	failed := &parity.Certificate{
		Verdict: parity.Fail, Bundle: m.Name, Version: m.Version, ModelSHA256: b.ModelSHA256(), SpaceID: m.SpaceID, Images: len(b.Golden()),
	}
	var ended *exec.ExitError
	switch {
	case errors.Is(limited.Err(), context.DeadlineExceeded):
		failed.Reason = fmt.Sprintf("it was not done after %v", limit)
		return failed, nil
	case errors.As(err, &ended): // crashed: Go's runtime catches C's signals and ends with a code
		first, _, _ := strings.Cut(strings.TrimSpace(messages.text.String()), "\n")
		failed.Reason = fmt.Sprintf("it ended the process that tried it (%v: %.200s)", err, first)
		return failed, nil
	case err != nil:
		return nil, fmt.Errorf("the process that tries it: %w", err)
	}
	var c parity.Certificate
	if err := json.Unmarshal(out.text.Bytes(), &c); err != nil {
		return nil, fmt.Errorf("the process that tries it said %q: %w", out.text.String(), err)
	}
	return &c, nil
}

// output keeps the beginning of what is written.
type output struct{ text bytes.Buffer }

func (o *output) Write(p []byte) (int, error) {
	if room := maxMessages - o.text.Len(); room > 0 {
		_, _ = o.text.Write(p[:min(len(p), room)]) // memory: cannot fail
	}
	return len(p), nil
}

// Child is what the child process does: it reads a bundle and writes its certificate as JSON.
func Child(ctx context.Context, stdin io.Reader, stdout io.Writer, steps float64) error {
	raw, err := io.ReadAll(io.LimitReader(stdin, bundle.MaxBytes+1))
	if err != nil {
		return fmt.Errorf("read bundle: %w", err)
	}
	b, err := bundle.Read(raw)
	if err != nil {
		return err
	}
	c, err := parity.Certify(ctx, b, parity.Options{Steps: steps})
	if err != nil {
		return err
	}
	return json.NewEncoder(stdout).Encode(c)
}
