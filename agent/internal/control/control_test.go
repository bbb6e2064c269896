package control

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type handlerFunc func(ctx context.Context, r *Request) (any, error)

func (f handlerFunc) Handle(ctx context.Context, r *Request) (any, error) { return f(ctx, r) }

func echo(_ context.Context, r *Request) (any, error) {
	if r.Op == "fail" {
		return nil, errors.New("it cannot be done")
	}
	return map[string]string{"op": r.Op, "id": r.ID}, nil
}

func serve(t *testing.T, h handlerFunc) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "control.sock")
	s, err := Listen(path, h, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("the socket is still there: %v", err)
		}
	})
	return path
}

func TestAsk(t *testing.T) {
	path := serve(t, echo)
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o660 {
		t.Errorf("socket %v, %v; want mode 0660", info.Mode(), err)
	}
	c, err := Dial(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	var got map[string]string
	if err := c.Do(t.Context(), &Request{Op: "rename", ID: "cup"}, &got); err != nil || got["op"] != "rename" || got["id"] != "cup" {
		t.Errorf("%v, %v", got, err)
	}
	if err := c.Do(t.Context(), &Request{Op: "fail"}, nil); err == nil || err.Error() != "it cannot be done" {
		t.Errorf("%v", err)
	}
	big := &Request{Op: "enroll", Pictures: []Picture{{Data: make([]byte, MaxRequest)}}}
	if err := c.Do(t.Context(), big, nil); err == nil || !strings.Contains(err.Error(), "at most") {
		t.Errorf("too large: %v", err)
	}
}

func TestRefusedLines(t *testing.T) {
	for line, want := range map[string]string{
		`{"op":"rename","idd":"cup"}`: `unknown field "idd"`,
		`{"req":"7"}`:                 `"op" is missing`,
		`{"op":"a"} {"op":"b"}`:       "more than one object",
		`rename cup`:                  "invalid character",
		`[]`:                          "cannot unmarshal",
		``:                            "EOF",
		`{"op":"` + strings.Repeat("x", MaxRequest) + `"}`: "larger than",
	} {
		reply := Answer(t.Context(), handlerFunc(echo), []byte(line))
		if reply.OK || !strings.Contains(reply.Error, want) {
			t.Errorf("%.40s: %+v, want %q", line, reply, want)
		}
	}
	if reply := Answer(t.Context(), handlerFunc(echo), []byte(`{"req":"7","op":"fail"}`)); reply.Req != "7" || reply.OK {
		t.Errorf("%+v", reply)
	}
}

// A client that sends a line without end is told and dropped, and others are served.
func TestTooLongALineOnTheSocket(t *testing.T) {
	path := serve(t, echo)
	conn, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		_, _ = conn.Write(bytes.Repeat([]byte("x"), MaxRequest+1<<20)) // it is cut off before the end
	}()
	var reply Reply
	if err := json.NewDecoder(conn).Decode(&reply); err != nil || !strings.Contains(reply.Error, "larger than") {
		t.Errorf("%+v, %v", reply, err)
	}
	if _, err := conn.Read(make([]byte, 1)); err == nil {
		t.Error("the connection is still open")
	}
	<-sent
	c, err := Dial(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(c.Do(t.Context(), &Request{Op: "list"}, nil), c.Close()); err != nil {
		t.Error(err)
	}
}

func TestListenRefuses(t *testing.T) {
	path := serve(t, echo)
	log := slog.New(slog.DiscardHandler)
	if _, err := Listen(path, handlerFunc(echo), log); err == nil || !strings.Contains(err.Error(), "another agent") {
		t.Errorf("taken: %v", err)
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Listen(file, handlerFunc(echo), log); err == nil || !strings.Contains(err.Error(), "no socket") {
		t.Errorf("a file: %v", err)
	}
	left := filepath.Join(t.TempDir(), "left.sock")
	old, err := net.ListenUnix("unix", &net.UnixAddr{Name: left, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	old.SetUnlinkOnClose(false)
	if err := old.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := Dial(t.Context(), left); !errors.Is(err, ErrNoAgent) {
		t.Errorf("a socket that was left behind: %v", err)
	}
	s, err := Listen(left, handlerFunc(echo), log)
	if err != nil {
		t.Fatalf("a socket that was left behind: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if _, err := Dial(t.Context(), left); !errors.Is(err, ErrNoAgent) {
		t.Errorf("none: %v", err)
	}
}

// What is being carried out hears that the agent ends, and the client that the connection does.
func TestCloseEndsWhatIsAtWork(t *testing.T) {
	path := filepath.Join(t.TempDir(), "control.sock")
	began := make(chan struct{})
	s, err := Listen(path, handlerFunc(func(ctx context.Context, _ *Request) (any, error) {
		close(began)
		<-ctx.Done()
		return nil, ctx.Err()
	}), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	c, err := Dial(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	failed := make(chan error, 1)
	go func() { failed <- c.Do(context.Background(), &Request{Op: "wait"}, nil) }()
	<-began
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if err := <-failed; err == nil || errors.Is(err, io.EOF) {
		t.Errorf("%v", err)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
}

func TestPermitted(t *testing.T) {
	for _, tt := range []struct {
		user, group int
		want        bool
	}{{0, 0, true}, {100, 7, true}, {200, 50, true}, {200, 7, false}, {65534, 65534, false}} {
		if got := permitted(tt.user, tt.group, 100, 50); got != tt.want {
			t.Errorf("user %d, group %d: %v", tt.user, tt.group, got)
		}
	}
}
