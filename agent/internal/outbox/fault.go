package outbox

import (
	"encoding/binary"
	"hash/crc32"
	"time"
)

// While the disk takes nothing, or the day's budget is spent, events are delivered from memory. A crash then would give
// their numbers out again, to other events. Against that a small file, made when the log is opened, is written over in
// place, which a full disk allows: it holds a number above all that may be delivered.
const ceilingName = "ceiling"

func encodeCeiling(n uint64) []byte {
	b := binary.LittleEndian.AppendUint64(nil, n)
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

// decodeCeiling returns 0 for anything that was not encoded.
func decodeCeiling(b []byte) uint64 {
	if len(b) != 12 || crc32.Checksum(b[:8], castagnoli) != binary.LittleEndian.Uint32(b[8:]) {
		return 0
	}
	return binary.LittleEndian.Uint64(b) % maxSeq
}

// guard moves the ceiling while events are delivered from memory.
func (w *writer) guard() {
	l := w.log
	l.mu.Lock()
	fromMemory := (l.fault != nil || l.resting) && len(l.queue) > 0
	low := l.next+ahead/2 > l.ceiling
	want := l.next + ahead
	l.mu.Unlock()
	if !fromMemory {
		return
	}
	if low {
		err := l.disk.overwrite(ceilingName, encodeCeiling(want))
		l.mu.Lock()
		if err == nil {
			l.ceiling = want
			l.spend(len(encodeCeiling(want)))
		} else if !l.unguarded {
			l.log.Warn("event numbers cannot be kept while the disk takes nothing: a crash now would give them out twice", "error", err)
		}
		l.unguarded = err != nil
		l.mu.Unlock()
	}
	l.tell()
}

// fail goes on in memory.
func (w *writer) fail(err error) {
	l := w.log
	w.tried = time.Now()
	if w.settle(true) != nil { // there is one fault to tell already
		w.lost = true
	}
	if w.lost && w.file != nil {
		w.abandon()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.written = l.safe // what was on its way
	if l.fault == nil {
		l.log.Warn("the outbox cannot write: events wait in memory until it can", "dir", l.cfg.Dir, "error", err)
	}
	l.fault = err
}

// abandon leaves a segment of which nobody knows whether what was written since the last sync is on the disk, and takes
// those events back.
func (w *writer) abandon() {
	l := w.log
	_ = w.file.Close() // nothing hangs on it any more
	w.file, w.lost, w.acked = nil, false, 0
	l.mu.Lock()
	l.written, l.safe = 0, 0
	n := len(l.segments) - 1
	s := l.segments[n]
	empty := len(s.runs) == 0
	if empty {
		l.segments = l.segments[:n]
	}
	l.mu.Unlock()
	if empty { // or there would be one more with each try
		w.remove(s.number)
	}
}

// probe writes something where nothing waits to be written: it shows whether the disk is back.
func (w *writer) probe() error {
	l := w.log
	l.mu.Lock()
	idle, acked := l.written == len(l.queue), l.acked
	l.mu.Unlock()
	if !idle || acked == 0 {
		return nil
	}
	return w.note(appendRecord(w.buf[:0], w.salt, kindAck, acked, "", nil))
}

// recovered says that the disk takes events again.
func (w *writer) recovered() {
	l := w.log
	l.mu.Lock()
	back := l.fault != nil
	l.fault = nil
	lower := l.ceiling > 0 && !l.resting && len(l.queue) == 0 && !w.dirty
	l.mu.Unlock()
	if back {
		l.log.Info("the outbox writes again", "dir", l.cfg.Dir)
	}
	if lower && l.disk.overwrite(ceilingName, encodeCeiling(0)) == nil {
		l.mu.Lock()
		l.ceiling, l.unguarded = 0, false
		l.mu.Unlock()
	}
}

// overBudget reports whether events should stay in memory. The caller holds the lock.
func (w *writer) overBudget(forced bool) bool {
	l := w.log
	l.spend(0)
	l.resting = l.cfg.DailyBytes > 0 && l.counts.today >= l.cfg.DailyBytes
	return l.resting && !forced && l.held < l.cfg.Memory/4*3
}

// spend counts bytes that were written. The caller holds the lock.
func (l *Log) spend(n int) {
	if day := time.Now().Unix() / (24 * 60 * 60); day != l.counts.day {
		l.counts.day, l.counts.today = day, 0
	}
	l.counts.today += int64(n)
	l.counts.bytes += uint64(n)
}
