// Package outbox keeps events on the disk, in order, until a broker has confirmed them: through a broker that is away,
// a kill, a power cut and a full disk.
//
// It is a log in segments. An event is numbered, handed to the kernel at once (a killed process loses nothing that it
// told) and synced with others of the same tenth of a second. Confirmations are records of the same log. A write that
// was cut short is cut off before the log goes on; damage elsewhere costs the records it hit, and is set aside. While
// the disk takes nothing, events wait in memory, within bounds, and are written when it does again.
//
// Own, because the maintained logs and queues for Go (tidwall/wal, nsqio/go-diskqueue, autopaho's file queue) have no
// checksum a record, stop at a damaged one or sync each by itself, and none counts what a bound in bytes throws away.
package outbox

import (
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"
)

// Record is an event that waits.
type Record struct {
	Seq     uint64 // grows by one with each event of a folder
	Topic   string
	Payload []byte
}

// Log is an outbox. One goroutine of its own writes; the methods may be called from any goroutine, and only Sync, Peek
// and Close wait for the disk.
type Log struct {
	cfg  Config
	disk disk
	log  *slog.Logger
	boot [16]byte
	lock func() error // lets go of the folder

	wake  chan struct{}
	done  chan struct{} // closed when the writer has ended
	ready chan struct{}

	mu        sync.Mutex
	segments  []*segment // oldest first
	queue     []entry    // events that are not synced, oldest first
	held      int        // bytes of queue
	written   int        // of queue: given to the kernel, or on their way
	safe      int        // of queue: taken by the kernel
	next      uint64     // number of the next event
	acked     uint64     // confirmed up to here
	floor     uint64     // confirmed or dropped up to here
	durable   uint64     // events up to here are on the disk, or gone
	ceiling   uint64     // numbers up to here will not be given out again after a crash while the disk takes nothing
	unguarded bool       // … but not even that can be kept
	waiting   int
	counts    counts
	fault     error // why the disk takes nothing
	resting   bool  // the day's budget is spent
	syncs     []chan error
	closing   bool

	w writer
	r reader
}

// entry is an event in memory.
type entry struct {
	Record
	off int64     // in the segment that is written to, once written
	at  time.Time // when it came
}

// counts only grow, from Open on.
type counts struct {
	appended, confirmed, dropped, syncs, folderSyncs uint64
	bytes, payload, setAside                         uint64
	damaged, torn                                    int
	today                                            int64
	day                                              int64
}

// ErrInUse says that another process has the folder.
var ErrInUse = errors.New("another xbm-agent keeps its events there; give each its own state_dir")

// ErrTooLarge says that an event is larger than a segment.
var ErrTooLarge = errors.New("event is too large for the outbox")

// Open reads the log in a folder, or begins one, and starts to write it. A damaged log or a disk that takes nothing is
// no error: Stats tells. A folder that another process uses is (ErrInUse), and one that cannot be read.
func Open(cfg Config, log *slog.Logger) (*Log, error) {
	cfg = cfg.withDefaults()
	if cfg.MaxBytes < MinBytes || cfg.MaxBytes > MaxBytes {
		return nil, fmt.Errorf("open outbox: at most %d bytes; want %d to %d", cfg.MaxBytes, int64(MinBytes), int64(MaxBytes))
	}
	release, err := lock(cfg.Dir)
	if err != nil {
		return nil, fmt.Errorf("open outbox %q: %w", cfg.Dir, err)
	}
	l, err := open(cfg, folder(cfg.Dir), log)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open outbox %q: %w", cfg.Dir, err), release())
	}
	l.lock = release
	return l, nil
}

// open is Open on any disk, without the lock.
func open(cfg Config, d disk, log *slog.Logger) (*Log, error) {
	l := &Log{
		cfg: cfg, disk: d, log: log, boot: bootID(cfg.Boot), lock: func() error { return nil },
		wake: make(chan struct{}, 1), done: make(chan struct{}), ready: make(chan struct{}, 1),
	}
	l.r = reader{log: l}
	l.w = writer{log: l}
	if err := l.recover(); err != nil {
		return nil, err
	}
	go l.w.run()
	return l, nil
}

// Append numbers an event and takes it in. encode is given the number and returns the payload, which must not change
// afterwards; its error is returned, and the number not used. When Append returns without an error the event is in
// memory; a moment later it is with the kernel, and within the interval on the disk.
func (l *Log) Append(topic string, encode func(seq uint64) ([]byte, error)) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closing {
		return errors.New("append to outbox: it is closed")
	}
	payload, err := encode(l.next)
	if err != nil {
		return err
	}
	size := recordSize(topic, payload)
	if len(topic) > maxTopic || int64(size)+headerSize+2*recordHeaderSize > l.cfg.segmentBytes() {
		return fmt.Errorf("%w: %d bytes", ErrTooLarge, size)
	}
	for l.held+size > l.cfg.Memory && l.written < len(l.queue) {
		l.discard(l.written) // the writer has its hands on those before
	}
	l.queue = append(l.queue, entry{Record: Record{l.next, topic, payload}, at: time.Now()})
	l.held += size
	l.next++
	l.waiting++
	l.counts.appended++
	l.counts.payload += uint64(len(payload))
	l.poke()
	return nil
}

// discard drops an event of the queue for want of room.
func (l *Log) discard(i int) {
	e := l.queue[i]
	if e.Seq > l.floor {
		l.counts.dropped++
		l.waiting--
	}
	l.held -= recordSize(e.Topic, e.Payload)
	l.queue = append(l.queue[:i], l.queue[i+1:]...)
}

func (l *Log) poke() {
	select {
	case l.wake <- struct{}{}:
	default: // it is awake
	}
}

// Ready gets a value when events may have come that Peek returns.
func (l *Log) Ready() <-chan struct{} { return l.ready }

func (l *Log) tell() {
	select {
	case l.ready <- struct{}{}:
	default: // whoever listens has not come back for the last one
	}
}

// bytes returns the size of all segments. The caller holds the lock.
func (l *Log) bytes() int64 {
	n := int64(0)
	for _, s := range l.segments {
		n += s.size
	}
	return n
}

// Ack takes out the event of that number and all before it. One that is gone already is no error. After a crash within
// a tenth of a second they may come back: their numbers tell.
func (l *Log) Ack(seq uint64) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	seq = min(seq, l.next-1)
	if seq <= l.acked {
		return nil
	}
	n := 0
	for _, s := range l.segments {
		if s.last() > l.floor {
			n += s.count(l.floor, seq)
		}
	}
	for _, e := range l.queue {
		if e.Seq > seq {
			break
		}
		if e.Seq > l.floor {
			n++
		}
	}
	l.waiting -= n
	l.counts.confirmed += uint64(n)
	l.acked, l.floor = seq, max(l.floor, seq)
	l.poke()
	return nil
}

// Len returns how many events wait.
func (l *Log) Len() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.waiting
}

// Dropped returns how many events went for want of room since Open.
func (l *Log) Dropped() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.counts.dropped
}

// Sync returns when all events so far are on the disk, or with an error that says why they are not.
func (l *Log) Sync() error {
	reply := make(chan error, 1)
	l.mu.Lock()
	if l.closing {
		l.mu.Unlock()
		return errors.New("sync outbox: it is closed")
	}
	l.syncs = append(l.syncs, reply)
	l.mu.Unlock()
	l.poke()
	return <-reply
}

// Close writes what is left, and lets go of the folder. Its error says how many events could not be kept.
func (l *Log) Close() error {
	l.mu.Lock()
	again := l.closing
	l.closing = true
	l.mu.Unlock()
	if again {
		<-l.done
		return nil
	}
	l.poke()
	<-l.done
	l.mu.Lock()
	var err error
	if n := len(l.queue); n > 0 {
		err = fmt.Errorf("close outbox: %d events could not be kept: %w", n, l.fault)
	}
	l.mu.Unlock()
	return errors.Join(err, l.r.close(), l.lock())
}
