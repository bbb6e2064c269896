package control

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"syscall"
)

// DefaultPath returns where an agent's socket is: in the folder that the service manager makes for the program, which
// only the service itself is told the name of.
func DefaultPath() string {
	if dir := os.Getenv("RUNTIME_DIRECTORY"); dir != "" {
		return filepath.Join(dir, "control.sock")
	}
	return "/run/xbm-agent/control.sock"
}

// ErrNoAgent is returned where no agent answers at a socket.
var ErrNoAgent = errors.New("no agent runs there")

// Client asks an agent. It is for one goroutine.
type Client struct {
	conn net.Conn
	in   *bufio.Scanner
}

// Dial connects to an agent. The error wraps ErrNoAgent where there is none: no socket, or one that was left behind.
func Dial(ctx context.Context, path string) (*Client, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "unix", path)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.ENOTDIR) {
		return nil, fmt.Errorf("%s: %w", path, ErrNoAgent)
	}
	if err != nil {
		return nil, fmt.Errorf("talk to the agent that runs: %w", err)
	}
	in := bufio.NewScanner(conn)
	in.Buffer(make([]byte, 0, 64<<10), MaxRequest+1)
	return &Client{conn, in}, nil
}

// Do asks for an operation and fills result, unless it is nil, with what it gave. When ctx ends the connection is cut.
func (c *Client) Do(ctx context.Context, r *Request, result any) error {
	stop := context.AfterFunc(ctx, func() { _ = c.conn.Close() }) // the reading ends with an error
	defer stop()
	line, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("ask the agent: %w", err)
	}
	if len(line) > MaxRequest {
		return fmt.Errorf("ask the agent: a request of %d bytes; at most %d are taken", len(line), MaxRequest)
	}
	if _, err := c.conn.Write(append(line, '\n')); err != nil {
		return fmt.Errorf("ask the agent: %w", errors.Join(ctx.Err(), err))
	}
	if !c.in.Scan() {
		return fmt.Errorf("ask the agent: it ended the connection: %w", errors.Join(ctx.Err(), c.in.Err()))
	}
	var reply Reply
	if err := json.Unmarshal(c.in.Bytes(), &reply); err != nil {
		return fmt.Errorf("the agent's reply: %w", err)
	}
	if !reply.OK {
		return errors.New(reply.Error)
	}
	if result == nil {
		return nil
	}
	if err := json.Unmarshal(reply.Result, result); err != nil {
		return fmt.Errorf("the agent's reply: %w", err)
	}
	return nil
}

// Close ends the connection.
func (c *Client) Close() error { return c.conn.Close() }
