package mqtt

import (
	"cmp"
	"slices"
	"sync/atomic"
	"time"
)

// maxSettling bounds what a settling holds, in bytes of payloads; the oldest go first.
const maxSettling = 1 << 20

// settling remembers events that the broker has confirmed, and that are out of the outbox, for a while. Mosquitto, as
// others, confirms a message first and writes it to its disk a moment later: a crash in between loses it. While the
// connection stands, the broker has not crashed; when it breaks, what was confirmed in the last moments is told again. It
// belongs to the goroutine of Run, but for left.
type settling struct {
	after     time.Duration
	confirmed []settled // on this connection, oldest first
	bytes     int       // of confirmed
	again     []Record  // to be told again, in order
	n         atomic.Int64
}

type settled struct {
	Record
	at time.Time // of its confirmation
}

// keep takes an event that was confirmed.
func (s *settling) keep(r Record) {
	s.confirmed = append(s.confirmed, settled{r, time.Now()})
	if s.bytes += len(r.Payload); s.bytes > maxSettling {
		s.forget()
	}
}

// forget lets go of what was confirmed long enough ago, and of what there is no room for.
func (s *settling) forget() {
	n := 0
	for ; n < len(s.confirmed) && (s.bytes > maxSettling || time.Since(s.confirmed[n].at) >= s.after); n++ {
		s.bytes -= len(s.confirmed[n].Payload)
	}
	clear(s.confirmed[:n])
	s.confirmed = s.confirmed[n:]
}

// lost says that the connection broke.
func (s *settling) lost() {
	s.forget()
	for _, c := range s.confirmed {
		s.again = append(s.again, c.Record)
	}
	slices.SortFunc(s.again, func(a, b Record) int { return cmp.Compare(a.Seq, b.Seq) }) // the rest of the last time is newer
	s.confirmed, s.bytes = s.confirmed[:0], 0
	s.n.Store(int64(len(s.again)))
}

// done says that the connection ended as it should: the broker has what it confirmed.
func (s *settling) done() { s.confirmed, s.bytes = s.confirmed[:0], 0 }

// confirmedAgain takes one that was told again. They are confirmed in their order.
func (s *settling) confirmedAgain(r Record) {
	s.again = s.again[1:]
	s.n.Store(int64(len(s.again)))
	s.keep(r)
}

// left returns how many are to be told again.
func (s *settling) left() int { return int(s.n.Load()) }
