package support

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"time"
)

// This returns a source that asks the machine the program runs on. The caller fills in the version and the findings.
func This(config string, set []string) Source {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return Source{
		Root: "/", Config: config, Set: set, Environ: os.Environ(), Host: host, Now: time.Now(), Command: command, Metrics: metrics,
	}
}

// patience is how long a program or the agent may take to answer.
const patience = 20 * time.Second

func command(ctx context.Context, name string, args ...string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.WaitDelay = time.Second
	var out tail
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	return out.bytes(), err
}

// tail keeps the last bytes written to it.
type tail struct{ kept []byte }

// maxTail is enough for a part, and for the secrets that begin before it.
const maxTail = 4 * maxPart

func (t *tail) Write(p []byte) (int, error) {
	t.kept = append(t.kept, p...)
	if over := len(t.kept) - 2*maxTail; over > 0 { // not at every write
		t.kept = append(t.kept[:0], t.kept[len(t.kept)-maxTail:]...)
	}
	return len(p), nil
}

func (t *tail) bytes() []byte { return t.kept[max(0, len(t.kept)-maxTail):] }

func metrics(ctx context.Context, address string) ([]byte, error) {
	network := "tcp"
	if path, ok := strings.CutPrefix(address, "unix:"); ok {
		network, address = "unix", path
	}
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, address)
	}}
	defer transport.CloseIdleConnections()
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://agent/metrics", nil)
	if err != nil {
		return nil, err
	}
	response, err := (&http.Client{Transport: transport}).Do(request)
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }() // only read
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the agent at %s answers %s", address, response.Status)
	}
	return io.ReadAll(io.LimitReader(response.Body, 2*maxPart))
}
