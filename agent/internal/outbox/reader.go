package outbox

import (
	"errors"
	"io"
	"os"
	"slices"
	"sync"
)

// readAtOnce is how many bytes are read from the disk in one call.
const readAtOnce = 64 << 10

// reader reads events back from the disk. It remembers where it was: to read on costs nothing for what came before.
type reader struct {
	log *Log

	mu     sync.Mutex
	number uint64 // of the segment that file is of, 0 for none
	file   readFile
	after  uint64 // the last event read …
	off    int64  // … and where the next one begins
	buf    []byte // what was read at bufOff
	bufOff int64
}

// place says where in the log an event has to be looked for.
type place struct {
	number   uint64
	off, end int64
	last     uint64 // event of the segment
}

// Peek returns at most n of the oldest events whose number is above after, and that a crash cannot take back. They stay
// in the log. One that turns out damaged now is left out, and counted.
func (l *Log) Peek(after uint64, n int) []Record {
	l.r.mu.Lock()
	defer l.r.mu.Unlock()
	var out []Record
	for {
		var at place
		var onDisk bool
		out, at, onDisk = l.fromMemory(out, after, n)
		if !onDisk || len(out) >= n {
			return out
		}
		before := len(out)
		out = l.r.read(out, at, max(after, l.ackedTo()), n)
		if len(out) > before {
			after = out[len(out)-1].Seq
		} else {
			after = at.last // nothing more can be read there
		}
	}
}

func (l *Log) ackedTo() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.floor
}

// fromMemory adds events of the queue, or, where older ones are on the disk, says where.
func (l *Log) fromMemory(out []Record, after uint64, n int) (_ []Record, at place, onDisk bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	after = max(after, l.floor)
	for _, s := range l.segments {
		if s.last() > after {
			return out, place{s.number, s.seek(after), s.synced, s.last()}, true
		}
	}
	anyway := l.fault != nil || l.resting
	for i := range l.queue {
		e := &l.queue[i]
		if e.Seq <= after {
			continue
		}
		kept := i < l.safe && e.Seq <= l.durable+ahead
		if len(out) >= n || !kept && (!anyway || e.Seq > l.ceiling && !l.unguarded) {
			break
		}
		out = append(out, e.Record)
	}
	return out, place{}, false
}

// read adds events of one segment.
func (r *reader) read(out []Record, at place, after uint64, n int) []Record {
	off := at.off
	if r.number == at.number && r.after == after && r.off >= off {
		off = r.off
	}
	if r.number != at.number {
		_ = r.close() // it was only read
		file, err := r.log.disk.open(segmentName(at.number))
		if err != nil {
			if !errors.Is(err, os.ErrNotExist) { // the writer drops segments when there are too many
				r.damage(at.number, off, err)
			}
			return out
		}
		r.number, r.file = at.number, file
	}
	salt := salt(at.number)
	for off < at.end && len(out) < n {
		rec, f, err := r.record(off, at.end, salt)
		if err != nil {
			r.damage(at.number, off, err)
			break
		}
		if f != whole {
			r.damage(at.number, off, nil)
			if off, err = r.skip(off, at.end, salt, rec, f); err != nil {
				break
			}
			continue
		}
		off += int64(rec.size)
		if rec.kind != kindEvent || rec.seq <= after {
			continue
		}
		after = rec.seq
		out = append(out, Record{rec.seq, string(rec.topic), append([]byte(nil), rec.payload...)})
	}
	r.after, r.off = after, off
	return out
}

// record reads the record at off, whose segment ends at end. It is good until the next call.
func (r *reader) record(off, end int64, salt uint32) (record, fault, error) {
	need := int64(recordHeaderSize)
	for {
		if off < r.bufOff || off+need > r.bufOff+int64(len(r.buf)) {
			if err := r.fill(off, min(max(need, readAtOnce), end-off)); err != nil {
				return record{}, whole, err
			}
		}
		have := r.buf[off-r.bufOff:]
		rec, f := decode(have, salt)
		if f != short || off+int64(len(have)) >= end {
			return rec, f, nil
		}
		need = max(int64(rec.size), recordHeaderSize)
		if off+need > end {
			return rec, badHeader, nil
		}
	}
}

func (r *reader) fill(off, n int64) error {
	if int64(cap(r.buf)) < n || cap(r.buf) > 4*readAtOnce && n <= readAtOnce {
		r.buf = make([]byte, n)
	}
	r.buf, r.bufOff = r.buf[:n], off
	_, err := r.file.ReadAt(r.buf, off)
	if err != nil {
		r.buf = r.buf[:0]
		if errors.Is(err, io.EOF) {
			return io.ErrUnexpectedEOF
		}
	}
	return err
}

// skip returns where the record after a damaged one begins.
func (r *reader) skip(off, end int64, salt uint32, rec record, f fault) (int64, error) {
	if f == badBody {
		return off + int64(rec.size), nil
	}
	if err := r.fill(off, end-off); err != nil {
		return end, err
	}
	return off + int64(resync(r.buf, 1, salt)), nil
}

// damage notes that a part of a segment that was good cannot be read any more.
func (r *reader) damage(number uint64, off int64, err error) {
	l := r.log
	l.mu.Lock()
	i := slices.IndexFunc(l.segments, func(s *segment) bool { return s.number == number })
	known := i < 0 || l.segments[i].known(off)
	if !known {
		l.counts.damaged++
	}
	l.mu.Unlock()
	if !known {
		l.log.Error("a part of the outbox is damaged; going on behind it", "file", segmentName(number), "offset", off, "error", err)
	}
}

func (r *reader) close() error {
	if r.file == nil {
		return nil
	}
	err := r.file.Close()
	r.number, r.file, r.buf = 0, nil, nil
	return err
}
