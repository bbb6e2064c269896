package outbox

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"os"
	"strings"
)

// What is damaged is set aside in files of its own, for whoever wants to know, up to these bounds.
const (
	damagedSuffix  = ".damaged"
	maxDamaged     = 64       // files
	maxDamagedSize = 64 << 10 // bytes of each
)

// recover reads the log that is there, and makes ready to go on with it.
func (l *Log) recover() error {
	names, err := l.disk.list()
	if err != nil {
		return fmt.Errorf("read the folder (it has to be the agent's own): %w", err)
	}
	var buf []byte
	var last *loaded
	clean, given := true, uint64(0) // numbers given out so far
	for _, name := range names {
		number, ok := segmentNumber(name)
		if strings.HasSuffix(name, damagedSuffix) {
			l.counts.setAside++
		}
		if !ok {
			continue
		}
		l.w.number = max(l.w.number, number)
		if buf, err = l.disk.read(name, buf); err != nil {
			l.log.Error("a part of the outbox cannot be read", "file", name, "error", err)
			l.counts.damaged++
			continue
		}
		s := load(number, buf, l.durable, nil)
		l.inspect(s, buf)
		l.durable = max(l.durable, s.segment.last())
		l.acked, given, clean = max(l.acked, s.acked), max(given, s.last), s.closed
		l.segments = append(l.segments, &s.segment)
		last = s
	}
	l.w.number++
	l.next = max(given+1, l.cfg.First)
	if last != nil && !clean {
		l.next = max(l.next, l.lost(last, given))
	}
	if l.next >= maxSeq {
		return fmt.Errorf("its numbers have come to their end; move the folder away to begin a new log")
	}
	l.floor, l.durable, l.w.acked = l.acked, max(l.durable, l.next-1), l.acked
	for _, s := range l.segments {
		l.waiting += s.count(l.acked, s.last())
	}
	if last != nil && last.headerOK && last.header.boot == l.boot && last.end+recordHeaderSize < l.cfg.segmentBytes() {
		l.goOn(last)
	}
	if err := l.disk.overwrite(ceilingName, encodeCeiling(0)); err != nil {
		l.log.Warn("the outbox cannot write: events wait in memory until it can", "dir", l.cfg.Dir, "error", err)
		l.fault = err
	}
	return nil
}

// lost returns the number to go on with after a log that was not ended. A killed process has lost none. With the power,
// events may have gone that a consumer has seen: their numbers are left out.
func (l *Log) lost(last *loaded, given uint64) uint64 {
	next := uint64(0)
	if !last.headerOK || last.header.boot != l.boot {
		next = given + 1 + ahead
	}
	if b, err := l.disk.read(ceilingName, nil); err == nil {
		next = max(next, decodeCeiling(b)+1)
	}
	return next
}

// goOn appends to a segment of this start of the machine, behind its last whole record.
func (l *Log) goOn(s *loaded) {
	file, err := l.disk.create(segmentName(s.number), false)
	if err != nil {
		return // the next event begins a new one, or fails and says so
	}
	if s.length > s.end {
		err = file.truncate(s.end)
	}
	if err == nil {
		err = file.sync()
	}
	if err != nil {
		_ = file.Close()
		return
	}
	l.w.file, l.w.salt = file, salt(s.number)
}

// inspect counts a segment's faults, and sets the bytes aside.
func (l *Log) inspect(s *loaded, data []byte) {
	if !s.headerOK && len(data) > 0 {
		l.counts.damaged++
		l.setAside(s.number, 0, data[:min(headerSize, len(data))])
	}
	for _, f := range s.damaged {
		l.counts.damaged++
		l.setAside(s.number, f.off, data[f.off:f.off+f.size])
	}
	if tail := data[s.end:]; len(tail) > 0 {
		l.counts.torn++
		if _, f := decode(tail, salt(s.number)); f != short && len(bytes.Trim(tail, "\x00")) > 0 {
			l.setAside(s.number, int(s.end), tail)
		}
	}
	if n := len(s.damaged); n > 0 || !s.headerOK {
		l.log.Error("a part of the outbox was damaged; the events in it are lost", "file", segmentName(s.number), "places", n)
	}
}

func (l *Log) setAside(number uint64, off int, b []byte) {
	if l.counts.setAside >= maxDamaged {
		return
	}
	name := fmt.Sprintf("%010d-%d%s", number, off, damagedSuffix)
	f, err := l.disk.create(name, true)
	if err != nil {
		return // it was set aside before, or the disk takes nothing: the log goes on
	}
	_, _ = f.Write(b[:min(len(b), maxDamagedSize)])
	_ = f.Close()
	l.counts.setAside++
}

// bootID makes a boot id of its text, which is a UUID on Linux.
func bootID(text string) (id [16]byte) {
	if text == "" {
		b, _ := os.ReadFile("/proc/sys/kernel/random/boot_id")
		text = string(b)
	}
	b, err := hex.DecodeString(strings.ReplaceAll(strings.TrimSpace(text), "-", ""))
	if err != nil || len(b) != len(id) {
		_, _ = rand.Read(id[:]) // no start is the same as the last: numbers may be left out that need not
		return id
	}
	copy(id[:], b)
	return id
}
