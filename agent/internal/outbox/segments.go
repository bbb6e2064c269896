package outbox

import (
	"errors"
	"fmt"
	"time"
)

// room makes sure that size bytes fit into the last segment and into the whole.
func (w *writer) room(size int64) error {
	l := w.log
	l.mu.Lock()
	fits := w.file != nil && l.segments[len(l.segments)-1].size+size+2*recordHeaderSize <= l.cfg.segmentBytes()
	l.mu.Unlock()
	if !fits {
		if err := w.begin(); err != nil {
			return err
		}
	}
	for {
		l.mu.Lock()
		if l.bytes()+size <= l.cfg.MaxBytes-confirmations || len(l.segments) < 2 {
			l.mu.Unlock()
			return nil
		}
		s := l.segments[0]
		n := s.count(l.floor, s.last())
		l.waiting -= n
		l.counts.dropped += uint64(n)
		l.floor = max(l.floor, s.last())
		l.segments = l.segments[1:]
		l.mu.Unlock()
		w.remove(s.number)
	}
}

// begin starts a new segment.
func (w *writer) begin() error {
	l := w.log
	if err := w.commit(); err != nil {
		return err
	}
	w.synced = time.Now()
	l.mu.Lock()
	h := header{number: w.number, next: l.next, acked: l.acked, boot: l.boot}
	if len(l.queue) > 0 {
		h.next = l.queue[0].Seq
	}
	l.mu.Unlock()
	w.number++
	file, err := l.disk.create(segmentName(h.number), true)
	if err != nil {
		return fmt.Errorf("begin a segment: %w", err)
	}
	b := h.encode()
	_, err = file.Write(b)
	if err == nil {
		err = file.sync()
	}
	if err == nil {
		err = l.disk.sync()
	}
	if err != nil {
		_ = file.Close()
		return errors.Join(fmt.Errorf("begin a segment: %w", err), l.disk.remove(segmentName(h.number)))
	}
	if w.file != nil {
		_ = w.file.Close() // it is synced
	}
	w.file, w.salt, w.acked, w.dirty = file, salt(h.number), h.acked, false
	l.mu.Lock()
	defer l.mu.Unlock()
	l.segments = append(l.segments, &segment{number: h.number, size: headerSize, synced: headerSize})
	l.counts.syncs++
	l.counts.folderSyncs++
	l.spend(len(b))
	return nil
}

// clear removes segments of which nothing waits any more, except the last.
func (w *writer) clear() {
	l := w.log
	for {
		l.mu.Lock()
		if len(l.segments) < 2 || l.segments[0].last() > l.floor {
			l.mu.Unlock()
			return
		}
		s := l.segments[0]
		l.segments = l.segments[1:]
		l.mu.Unlock()
		w.remove(s.number)
	}
}

// remove takes a segment off the disk. One that cannot be removed is cleared away after the next start.
func (w *writer) remove(number uint64) {
	l := w.log
	err := l.disk.remove(segmentName(number))
	if err == nil {
		err = l.disk.sync()
	}
	if err != nil {
		l.log.Warn("a part of the outbox that is done with cannot be removed", "file", segmentName(number), "error", err)
	}
	l.mu.Lock()
	l.counts.folderSyncs++
	l.mu.Unlock()
}
