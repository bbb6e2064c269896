package mqtt

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"xbmedge/internal/atomicfile"
)

// reserveAhead is how many numbers a Sequence takes from its file at once.
const reserveAhead = 1000

type sequenceFile struct {
	Version int    `json:"version"`
	Next    uint64 `json:"next"`
}

// Sequence gives out numbers that grow by one, across restarts: the file always holds a number that was never given
// out. After a clean end the next start goes on without a gap. After a crash there is a gap of less than 1000, which
// tells a consumer the truth: events may have been lost with the process. Its methods may be called from several
// goroutines.
type Sequence struct {
	path string
	log  *slog.Logger

	mu       sync.Mutex
	next     uint64
	reserved uint64 // numbers from here on are not in the file yet
	failed   bool
}

// OpenSequence reads the file, or starts at 1 when there is none. A damaged file is replaced and the numbers go on from
// the time of day in milliseconds, which is more than any count so far. A folder that cannot be written is said in the
// log: numbers then grow only as long as the program runs.
func OpenSequence(path string, log *slog.Logger) (*Sequence, error) {
	s := &Sequence{path: path, log: log, next: 1}
	data, err := os.ReadFile(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
	case err != nil:
		return nil, fmt.Errorf("read event numbers: %w", err)
	default:
		var f sequenceFile
		if err := json.Unmarshal(data, &f); err != nil || f.Version != 1 || f.Next < 1 || f.Next >= 1<<53 {
			s.next = uint64(time.Now().UnixMilli())
			log.Warn("event numbers are damaged; going on from the time of day", "file", path, "next", s.next)
		} else {
			s.next = f.Next
		}
	}
	s.reserve()
	return s, nil
}

// Next returns the next number.
func (s *Sequence) Next() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.next >= s.reserved {
		s.reserve()
	}
	n := s.next
	s.next++
	return n
}

func (s *Sequence) reserve() {
	s.reserved = s.next + reserveAhead
	if err := s.save(s.reserved); err != nil && !s.failed {
		s.failed = true
		s.log.Error("event numbers cannot be kept across restarts", "error", err)
	}
}

func (s *Sequence) save(next uint64) error {
	data, err := json.Marshal(sequenceFile{1, next})
	if err != nil {
		return fmt.Errorf("keep event numbers: %w", err)
	}
	if err := atomicfile.WriteBytes(s.path, 0o600, data); err != nil {
		return fmt.Errorf("keep event numbers: %w", err)
	}
	return nil
}

// Close gives back the numbers that were reserved but not given out. Next must not be called after it. Where numbers
// could not be kept before, the log has said so, and Close does not say it again.
func (s *Sequence) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.save(s.next); err != nil && !s.failed {
		return err
	}
	return nil
}
