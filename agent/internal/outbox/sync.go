package outbox

import (
	"fmt"
	"time"
)

// commit makes what was written last, and waits for it.
func (w *writer) commit() error {
	if err := w.settle(true); err != nil {
		return err
	}
	w.sync()
	return w.settle(true)
}

// sync begins to make last what was written. None may be at work.
func (w *writer) sync() {
	l := w.log
	if w.file == nil || !w.dirty {
		return
	}
	l.mu.Lock()
	w.covers, w.syncedTo = l.written, l.segments[len(l.segments)-1].size
	l.mu.Unlock()
	w.dirty = false
	done, file := make(chan error, 1), w.file
	w.syncing = done
	go func() { // settle waits for it, before the file is closed
		done <- file.sync()
		l.poke()
	}()
}

// settle takes the outcome of a sync that is at work, if it is there or if it is worth waiting for.
func (w *writer) settle(wait bool) error {
	l := w.log
	if w.syncing == nil {
		return nil
	}
	var err error
	if wait {
		err = <-w.syncing
	} else {
		select {
		case err = <-w.syncing:
		default:
			return nil
		}
	}
	covers := w.covers
	w.syncing, w.covers, w.synced = nil, 0, time.Now() // a disk that is slow gets its rest
	if err != nil {
		w.lost = true
		return fmt.Errorf("sync: %w", err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.segments[len(l.segments)-1]
	for i := range l.queue[:covers] {
		e := &l.queue[i]
		s.add(e.Seq, e.off)
		l.held -= recordSize(e.Topic, e.Payload)
		l.durable = e.Seq
	}
	s.synced = w.syncedTo
	l.counts.syncs++
	n := copy(l.queue, l.queue[covers:])
	clear(l.queue[n:])
	l.queue, l.written, l.safe = l.queue[:n], l.written-covers, l.safe-covers
	if n == 0 && cap(l.queue) > 4096 {
		l.queue = nil
	}
	l.tell() // events that were too far ahead of the disk
	return nil
}
