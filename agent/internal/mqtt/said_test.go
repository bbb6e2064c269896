package mqtt_test

import (
	"bytes"
	"log/slog"
	"strings"
	"sync"
	"testing"
)

// said keeps what is logged, all of it.
type said struct {
	mu  sync.Mutex
	buf bytes.Buffer
	at  int // what wait has passed
}

func newSaid() *said { return &said{} }

func (s *said) log() *slog.Logger {
	return slog.New(slog.NewTextHandler(s, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

func (s *said) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.buf.Write(p)
}

func (s *said) text() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.buf.String()
}

// wait waits for a line, after those waited for before, that holds both texts.
func (s *said) wait(t *testing.T, one, other string) {
	t.Helper()
	await(t, one, func() bool {
		for _, line := range strings.SplitAfter(s.text()[s.at:], "\n") {
			s.at += len(line)
			if strings.Contains(line, one) && strings.Contains(line, other) {
				return true
			}
			if !strings.HasSuffix(line, "\n") {
				s.at -= len(line) // it is being written
			}
		}
		return false
	})
}
