package outbox

import (
	"fmt"
	"time"
)

// writeAtOnce is how many bytes go to the kernel in one call.
const writeAtOnce = 256 << 10

// writer is the part of a Log that its own goroutine works with; nothing else touches these fields.
type writer struct {
	log     *Log
	file    writeFile // of the last segment; nil before the first, and after a fault
	number  uint64    // of the next segment
	salt    uint32
	buf     []byte
	acked   uint64    // confirmation that the log holds
	synced  time.Time // when the last sync ended
	saidAck time.Time // when the last confirmation was written
	tried   time.Time // when the disk was last tried in vain
	lost    bool      // file cannot be written any more
	dirty   bool      // written to since the last sync began

	// A sync can take long, and events go on meanwhile: it has a goroutine of its own, at most one at a time.
	syncing  chan error // nil: none
	syncedTo int64      // bytes of the last segment that are synced when it is done
	covers   int        // events of the queue, the oldest, of which the same is true
}

// run writes until the log is closed.
func (w *writer) run() {
	defer close(w.log.done)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		wait, over := w.turn()
		if over {
			return
		}
		timer.Reset(wait)
		select {
		case <-w.log.wake:
		case <-timer.C:
		}
	}
}

// turn does what is due, and returns when to come again at the latest.
func (w *writer) turn() (wait time.Duration, over bool) {
	l := w.log
	now := time.Now()
	l.mu.Lock()
	w.forget()
	syncs, closing, faulty := l.syncs, l.closing, l.fault != nil
	l.syncs = nil
	l.mu.Unlock()

	forced := closing || len(syncs) > 0
	if faulty && !forced && now.Sub(w.tried) < l.cfg.Retry {
		w.guard()
		return l.cfg.Retry - now.Sub(w.tried), false
	}
	err := w.work(now, faulty, forced, closing)
	if err != nil {
		w.fail(err)
	}
	w.guard()
	for _, reply := range syncs {
		reply <- err
	}
	if closing {
		if w.file != nil {
			_ = w.file.Close() // it is synced, or cannot be
		}
		return 0, true
	}
	if err != nil {
		return l.cfg.Retry, false
	}
	return w.pause(), false
}

// pause says when the next sync or confirmation is due.
func (w *writer) pause() time.Duration {
	l := w.log
	l.mu.Lock()
	defer l.mu.Unlock()
	wait := time.Hour
	if n := l.written - w.covers; n > 0 && w.syncing == nil { // the end of a sync wakes the writer
		wait = time.Until(w.synced.Add(l.cfg.Interval))
		if n < burst {
			wait = max(wait, time.Until(l.queue[w.covers].at.Add(l.cfg.Interval)))
		}
	}
	if l.acked > w.acked {
		wait = min(wait, time.Until(w.saidAck.Add(l.cfg.Interval)))
	}
	return max(wait, time.Millisecond)
}

// forget takes events out of the queue that were confirmed before they were written. The caller holds the lock.
func (w *writer) forget() {
	l := w.log
	n := l.written
	for n < len(l.queue) && l.queue[n].Seq <= l.acked {
		l.held -= recordSize(l.queue[n].Topic, l.queue[n].Payload)
		n++
	}
	if n > l.written {
		l.queue = append(l.queue[:l.written], l.queue[n:]...)
	}
}

// work writes, syncs and clears away.
func (w *writer) work(now time.Time, faulty, forced, closing bool) error {
	l := w.log
	if err := w.settle(false); err != nil {
		return err
	}
	if faulty {
		w.clear() // it may be this log that fills the disk
	}
	if faulty && w.file == nil { // also where nothing waits: it proves that the disk is back
		if err := w.begin(); err != nil {
			return err
		}
	} else if faulty {
		if err := w.probe(); err != nil {
			return err
		}
	}
	if err := w.write(forced); err != nil {
		return err
	}
	l.mu.Lock()
	fresh := l.written - w.covers
	due := w.syncing == nil && fresh > 0 && now.Sub(w.synced) >= l.cfg.Interval && (fresh >= burst || now.Sub(l.queue[w.covers].at) >= l.cfg.Interval)
	confirm := l.acked > w.acked && (due || forced || now.Sub(w.saidAck) >= l.cfg.Interval)
	ack, next := l.acked, l.next
	l.mu.Unlock()
	if confirm && w.file == nil { // nothing came since the start: the header of a new segment confirms
		if err := w.begin(); err != nil {
			return err
		}
	}
	if confirm && ack > w.acked {
		if err := w.note(appendRecord(w.buf[:0], w.salt, kindAck, ack, "", nil)); err != nil {
			return err
		}
		w.acked = ack
	}
	if confirm {
		w.saidAck = now
	}
	if closing && w.file != nil {
		if err := w.note(appendRecord(w.buf[:0], w.salt, kindClosed, next-1, "", nil)); err != nil {
			return err
		}
	}
	if forced || faulty {
		if err := w.commit(); err != nil {
			return err
		}
	} else if due {
		w.sync()
	}
	w.recovered()
	w.clear()
	return nil
}

// write gives the kernel the events that it has not had.
func (w *writer) write(forced bool) error {
	l := w.log
	for {
		l.mu.Lock()
		if l.written == len(l.queue) || w.overBudget(forced) {
			l.mu.Unlock()
			return nil
		}
		first := l.queue[l.written].Record
		l.mu.Unlock()
		if err := w.room(int64(recordSize(first.Topic, first.Payload))); err != nil {
			return err
		}
		if err := w.chunk(); err != nil {
			return err
		}
	}
}

// chunk writes as many of the events that the kernel has not had as fit the segment and one call.
func (w *writer) chunk() error {
	l := w.log
	l.mu.Lock()
	s := l.segments[len(l.segments)-1]
	b := w.buf[:0]
	n, limit := l.written, min(l.cfg.segmentBytes()-s.size-2*recordHeaderSize, l.cfg.MaxBytes-confirmations-l.bytes())
	for ; n < len(l.queue); n++ {
		e := &l.queue[n]
		if size := len(b) + recordSize(e.Topic, e.Payload); n > l.written && (size > writeAtOnce || int64(size) > limit) {
			break
		}
		e.off = s.size + int64(len(b))
		b = appendRecord(b, w.salt, kindEvent, e.Seq, e.Topic, e.Payload)
	}
	l.written = n // they are this goroutine's now
	l.mu.Unlock()
	if err := w.note(b); err != nil {
		return err
	}
	l.mu.Lock()
	l.safe = n
	l.mu.Unlock()
	l.tell()
	return nil
}

// note writes whole records to the last segment.
func (w *writer) note(b []byte) error {
	l := w.log
	w.buf = b[:0]
	if cap(w.buf) > 2*writeAtOnce {
		w.buf = nil
	}
	w.dirty = true
	l.mu.Lock()
	s := l.segments[len(l.segments)-1]
	l.mu.Unlock()
	if _, err := w.file.Write(b); err != nil {
		w.lost = w.file.truncate(s.size) != nil // a part of b may have been written
		return fmt.Errorf("write: %w", err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	s.size += int64(len(b))
	l.spend(len(b))
	return nil
}
