package mqtt

import (
	"sync/atomic"
	"time"
)

// settling holds events that the broker has confirmed, and that stay in the outbox for a while. Mosquitto, as others,
// confirms a message first and writes it to its disk a moment later: a crash in between loses it. While the connection
// stands, the broker has not crashed; when it breaks, what was confirmed in the last moments is told again. It belongs to
// the goroutine of Run, but for len.
type settling struct {
	outbox  Outbox
	after   time.Duration
	waiting []settled // oldest first
	n       atomic.Int64
}

type settled struct {
	seq uint64
	at  time.Time // of its confirmation
}

// confirmed takes an event.
func (s *settling) confirmed(seq uint64) {
	s.waiting = append(s.waiting, settled{seq, time.Now()})
	s.n.Add(1)
}

// over takes those out of the outbox that have waited long enough, or all.
func (s *settling) over(all bool) error {
	n := 0
	for n < len(s.waiting) && (all || time.Since(s.waiting[n].at) >= s.after) {
		n++
	}
	if n == 0 {
		return nil
	}
	last := s.waiting[n-1].seq
	s.waiting = append(s.waiting[:0], s.waiting[n:]...)
	s.n.Add(int64(-n))
	return s.outbox.Ack(last)
}

// lost forgets all: they are in the outbox, for the next connection.
func (s *settling) lost() {
	s.waiting = s.waiting[:0]
	s.n.Store(0)
}

// len returns how many wait.
func (s *settling) len() int { return int(s.n.Load()) }
