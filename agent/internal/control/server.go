package control

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"sync"
	"time"
)

const (
	// maxClients are served at once; who comes then waits.
	maxClients = 8
	// idleTime is how long a client may be silent between requests.
	idleTime = time.Minute
)

// Server answers requests on a socket.
type Server struct {
	listener *net.UnixListener
	handler  Handler
	log      *slog.Logger
	stop     context.CancelFunc
	clients  sync.WaitGroup

	mu   sync.Mutex
	open map[net.Conn]bool // nil once closed
}

// Listen serves h on a socket at path, which the owner and the group may use. A socket left behind by an agent that was
// killed is replaced; one that is answered is another agent's, and an error.
func Listen(path string, h Handler, log *slog.Logger) (*Server, error) {
	if err := replaceable(path); err != nil {
		return nil, fmt.Errorf("control socket: %w", err)
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("control socket: %w", err)
	}
	if err := os.Chmod(path, 0o660); err != nil { //nolint:gosec // the group is who may change the gallery
		return nil, errors.Join(fmt.Errorf("control socket: %w", err), l.Close())
	}
	ctx, stop := context.WithCancel(context.Background())
	s := &Server{listener: l, handler: h, log: log, stop: stop, open: map[net.Conn]bool{}}
	s.clients.Go(func() { s.accept(ctx) })
	return s, nil
}

func replaceable(path string) error {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if info.Mode()&os.ModeSocket == 0 {
		return fmt.Errorf("%s is there and is no socket; move it away", path)
	}
	if conn, err := net.Dial("unix", path); err == nil {
		return errors.Join(fmt.Errorf("another agent already serves %s", path), conn.Close())
	}
	return os.Remove(path)
}

// Close ends all connections, waits for what is being carried out and removes the socket.
func (s *Server) Close() error {
	s.stop()
	err := s.listener.Close() // removes the socket
	s.mu.Lock()
	for conn := range s.open {
		_ = conn.Close() // it was cut off anyway
	}
	s.open = nil
	s.mu.Unlock()
	s.clients.Wait()
	return err
}

func (s *Server) accept(ctx context.Context) {
	places := make(chan struct{}, maxClients)
	for {
		select {
		case places <- struct{}{}:
		case <-ctx.Done():
			return
		}
		conn, err := s.listener.AcceptUnix()
		if ctx.Err() != nil {
			if err == nil {
				_ = conn.Close() // nothing was said yet
			}
			return
		}
		if err != nil {
			s.log.Warn("control connection not accepted", "error", err)
			<-places
			select {
			case <-time.After(100 * time.Millisecond): // no descriptors left, say
			case <-ctx.Done():
			}
			continue
		}
		s.clients.Go(func() {
			defer func() { <-places }()
			s.serve(ctx, conn)
		})
	}
}

// serve answers one client until it goes.
func (s *Server) serve(ctx context.Context, conn *net.UnixConn) {
	s.mu.Lock()
	closed := s.open == nil
	if !closed {
		s.open[conn] = true
	}
	s.mu.Unlock()
	defer func() {
		_ = conn.Close() // the client has its answers, or is gone
		s.mu.Lock()
		delete(s.open, conn)
		s.mu.Unlock()
	}()
	if closed {
		return
	}
	out := json.NewEncoder(conn)
	who, err := allowed(conn)
	if err != nil {
		s.log.Warn("control connection refused", "error", err)
		_ = out.Encode(Reply{Error: err.Error()}) // it may have gone
		return
	}
	in := bufio.NewScanner(conn)
	in.Buffer(make([]byte, 0, 64<<10), MaxRequest+1)
	for {
		if err := conn.SetReadDeadline(time.Now().Add(idleTime)); err != nil {
			return
		}
		if !in.Scan() {
			if errors.Is(in.Err(), bufio.ErrTooLong) {
				_ = out.Encode(Reply{Error: fmt.Sprintf("request: larger than %d bytes", MaxRequest)}) // it may have gone
			}
			return
		}
		reply := Answer(ctx, s.handler, in.Bytes())
		s.log.Debug("control request", "user", who, "ok", reply.OK, "error", reply.Error)
		if err := errors.Join(conn.SetWriteDeadline(time.Now().Add(idleTime)), out.Encode(reply)); err != nil {
			return
		}
	}
}

// permitted reports whether a user may ask an agent of that user and group.
func permitted(user, group, ownUser, ownGroup int) bool {
	return user == 0 || user == ownUser || group == ownGroup
}
