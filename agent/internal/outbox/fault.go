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

// fail goes on in memory. What was written since the last sync is taken back: after an error nobody knows whether it is
// on the disk.
func (w *writer) fail(err error) {
	l := w.log
	w.tried = time.Now()
	_ = w.settle(true) // there is one fault to tell already
	l.mu.Lock()
	defer l.mu.Unlock()
	if w.file != nil {
		_ = w.file.truncate(l.segments[len(l.segments)-1].size) // a piece of a record is in nobody's way, but not nice
		_ = w.file.Close()
		w.file = nil
	}
	l.written, l.safe = 0, 0
	if l.fault == nil {
		l.log.Warn("the outbox cannot write: events wait in memory until it can", "dir", l.cfg.Dir, "error", err)
	}
	l.fault = err
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
