package mqtt

import (
	"sync"

	"xbmedge/agent/internal/outbox"
)

// Record is an event in an outbox.
type Record = outbox.Record

var _ Outbox = (*outbox.Log)(nil)

// Outbox keeps events, in order, until they are confirmed. Its methods may be called from several goroutines.
type Outbox interface {
	// Append numbers an event and adds it, with the payload that encode returns for the number, which grows by one. A
	// full outbox makes room by dropping its oldest, and counts that.
	Append(topic string, encode func(seq uint64) ([]byte, error)) error
	// Peek returns at most n of the oldest events whose Seq is more than after. They stay in the outbox.
	Peek(after uint64, n int) []Record
	// Ack removes the event of that Seq and all before it; one that is gone already is no error.
	Ack(seq uint64) error
	// Ready gets a value when there may be more for Peek than before.
	Ready() <-chan struct{}
	Len() int
	Dropped() uint64 // since the start
}

// MemoryOutbox is a bounded Outbox that a restart empties.
type MemoryOutbox struct {
	ready   chan struct{}
	mu      sync.Mutex
	ring    []Record
	head, n int
	next    uint64
	dropped uint64
}

var _ Outbox = (*MemoryOutbox)(nil)

// NewMemoryOutbox returns an outbox for at most limit events, at least one, of which the first has a given number.
func NewMemoryOutbox(limit int, first uint64) *MemoryOutbox {
	return &MemoryOutbox{ready: make(chan struct{}, 1), ring: make([]Record, max(limit, 1)), next: first}
}

// Ready implements Outbox.
func (o *MemoryOutbox) Ready() <-chan struct{} { return o.ready }

// Append implements Outbox; its error is that of encode.
func (o *MemoryOutbox) Append(topic string, encode func(seq uint64) ([]byte, error)) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	payload, err := encode(o.next)
	if err != nil {
		return err
	}
	if o.n == len(o.ring) {
		o.pop()
		o.dropped++
	}
	o.ring[(o.head+o.n)%len(o.ring)] = Record{Seq: o.next, Topic: topic, Payload: payload}
	o.n++
	o.next++
	select {
	case o.ready <- struct{}{}:
	default: // whoever listens has not come back for the last one
	}
	return nil
}

func (o *MemoryOutbox) pop() {
	o.ring[o.head] = Record{}
	o.head = (o.head + 1) % len(o.ring)
	o.n--
}

// Peek implements Outbox.
func (o *MemoryOutbox) Peek(after uint64, n int) []Record {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.n == 0 {
		return nil
	}
	start := 0
	if first := o.ring[o.head].Seq; after >= first {
		start = int(after - first + 1)
	}
	var out []Record
	for i := start; i < o.n && len(out) < n; i++ {
		out = append(out, o.ring[(o.head+i)%len(o.ring)])
	}
	return out
}

// Ack implements Outbox; its error is always nil.
func (o *MemoryOutbox) Ack(seq uint64) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	for o.n > 0 && o.ring[o.head].Seq <= seq {
		o.pop()
	}
	return nil
}

// Len implements Outbox.
func (o *MemoryOutbox) Len() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.n
}

// Dropped implements Outbox.
func (o *MemoryOutbox) Dropped() uint64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.dropped
}
