package capture

import (
	"bytes"
	"log/slog"
	"strings"
	"sync"

	"xbmedge/internal/redact"
)

// listener logs what a capture process and the libraries in it say, line by line, and remembers the last line.
type listener struct {
	log     *slog.Logger
	secrets []string

	mu   sync.Mutex
	part []byte // of a line
	line string
}

// maxLine bounds a line, in bytes.
const maxLine = 1000

// Write takes all of p.
func (l *listener) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for rest := p; len(rest) > 0; {
		head, tail, whole := bytes.Cut(rest, []byte("\n"))
		rest = tail
		l.part = append(l.part, head[:min(len(head), max(0, maxLine-len(l.part)))]...)
		if whole {
			l.flush()
		}
	}
	return len(p), nil
}

func (l *listener) flush() {
	text := strings.TrimSpace(strings.ToValidUTF8(string(l.part), "?"))
	l.part = l.part[:0]
	if text == "" {
		return
	}
	l.line = redact.Text(text, l.secrets...)
	l.log.Debug("from the capture process", "line", l.line)
}

// last returns the last line.
func (l *listener) last() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.part) > 0 {
		l.flush()
	}
	return l.line
}
