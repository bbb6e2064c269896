package mqtt

import "sync"

// Record is an event in an outbox.
type Record struct {
	Seq     uint64 // the outbox's own number, from 1, growing by one
	Topic   string
	Payload []byte
}

// Outbox keeps events, in order, until they are confirmed. Its methods may be called from several goroutines.
type Outbox interface {
	// Append adds an event. A full outbox makes room by dropping its oldest, and counts that.
	Append(topic string, payload []byte) error
	// Peek returns at most n of the oldest events whose Seq is more than after. They stay in the outbox.
	Peek(after uint64, n int) []Record
	// Ack removes the event of that Seq and all before it; one that is gone already is no error.
	Ack(seq uint64) error
	Len() int
	Dropped() uint64 // since the start
}

// MemoryOutbox is a bounded Outbox that a restart empties.
type MemoryOutbox struct {
	mu      sync.Mutex
	ring    []Record
	head, n int
	next    uint64
	dropped uint64
}

var _ Outbox = (*MemoryOutbox)(nil)

// NewMemoryOutbox returns an outbox for at most limit events, at least one.
func NewMemoryOutbox(limit int) *MemoryOutbox {
	return &MemoryOutbox{ring: make([]Record, max(limit, 1)), next: 1}
}

// Append implements Outbox; its error is always nil.
func (o *MemoryOutbox) Append(topic string, payload []byte) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.n == len(o.ring) {
		o.pop()
		o.dropped++
	}
	o.ring[(o.head+o.n)%len(o.ring)] = Record{o.next, topic, payload}
	o.n++
	o.next++
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
