package outbox

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// markEvery is how many bytes of a segment lie between two marks: reading a record takes no more than that before it.
const markEvery = 64 << 10

// segment is what is known of a file of the log. Its events are in runs: consecutive numbers, one run where none is
// missing.
type segment struct {
	number uint64
	size   int64 // of whole records that were handed to the kernel, and the header
	synced int64 // of that, on the disk
	runs   []run // of events on the disk
	marks  []mark
	bad    []stretch // known to be damaged
}

// stretch is a part of a segment's bytes.
type stretch struct{ off, end int64 }

type run struct{ first, last uint64 }

// mark says where an event begins.
type mark struct {
	seq uint64
	off int64
}

func segmentName(number uint64) string { return fmt.Sprintf("%010d.log", number) }

// segmentNumber is the reverse of segmentName.
func segmentNumber(name string) (uint64, bool) {
	digits, ok := strings.CutSuffix(name, ".log")
	n, err := strconv.ParseUint(digits, 10, 63)
	return n, ok && err == nil && n > 0 && segmentName(n) == name
}

// last returns the highest number of an event in s, 0 for none.
func (s *segment) last() uint64 {
	if len(s.runs) == 0 {
		return 0
	}
	return s.runs[len(s.runs)-1].last
}

// add notes an event that lies at off. Numbers have to grow.
func (s *segment) add(seq uint64, off int64) {
	if n := len(s.runs); n > 0 && s.runs[n-1].last+1 == seq {
		s.runs[n-1].last = seq
	} else {
		s.runs = append(s.runs, run{seq, seq})
	}
	if n := len(s.marks); n == 0 || off-s.marks[n-1].off >= markEvery {
		s.marks = append(s.marks, mark{seq, off})
	}
}

// count returns how many events have numbers above after, up to last.
func (s *segment) count(after, last uint64) int {
	n := 0
	for _, r := range s.runs {
		if first, end := max(r.first, after+1), min(r.last, last); first <= end {
			n += int(end - first + 1)
		}
	}
	return n
}

// seek returns an offset at or before the first event with a number above after.
func (s *segment) seek(after uint64) int64 {
	i, found := slices.BinarySearchFunc(s.marks, after+1, func(m mark, seq uint64) int {
		switch {
		case m.seq < seq:
			return -1
		case m.seq > seq:
			return 1
		}
		return 0
	})
	switch {
	case found:
		return s.marks[i].off
	case i > 0:
		return s.marks[i-1].off
	}
	return headerSize
}

// known reports whether the byte at off was found damaged before, and notes that it was.
func (s *segment) known(off int64) bool {
	for _, b := range s.bad {
		if b.off <= off && off < b.end {
			return true
		}
	}
	s.bad = append(s.bad, stretch{off, off + 1})
	return false
}

// finding is something that a scan of a segment's bytes comes across: a record, or damage.
type finding struct {
	record
	off     int
	damaged bool // bytes from off, size of them, that are no whole record
}

// scan calls yield for each record and each damaged stretch of a segment's bytes after the header, in order, and returns
// where the last whole record ends. What comes after that is the tail: no damage, as far as one can tell, but a write
// that was cut short. Of a record in the tail whose header is whole and whose body is there but damaged, reserved is the
// number.
func scan(data []byte, salt uint32, yield func(finding)) (end int, reserved uint64) {
	off := min(headerSize, len(data))
	end = off
	bad := -1 // where a damaged stretch begins
	for off < len(data) {
		r, f := decode(data[off:], salt)
		if f == whole {
			if bad >= 0 {
				yield(finding{record: record{size: off - bad}, off: bad, damaged: true})
				bad = -1
			}
			yield(finding{record: r, off: off})
			off += r.size
			end, reserved = off, 0
			continue
		}
		if f == short { // nothing can follow
			break
		}
		if bad < 0 {
			bad = off
		}
		if f == badBody {
			reserved = max(reserved, r.seq)
			off += r.size
			continue
		}
		off = resync(data, off+1, salt)
	}
	return end, reserved
}

// loaded is what reading a whole segment tells.
type loaded struct {
	segment
	header   header
	headerOK bool
	end      int64  // of the last whole record
	length   int64  // of the file
	acked    uint64 // the highest confirmation in it
	last     uint64 // the highest number in it that was given out
	closed   bool   // its last record says that the log was ended properly
	damaged  []finding
}

// load scans a segment's bytes. Events whose numbers do not grow beyond after are copies of ones that were seen, and
// passed over; yield, if not nil, is called for the others.
func load(number uint64, data []byte, after uint64, yield func(finding)) *loaded {
	s := &loaded{segment: segment{number: number}, length: int64(len(data))}
	s.header, s.headerOK = decodeHeader(data, number)
	if s.headerOK {
		s.acked = s.header.acked
		s.last = max(s.acked, s.header.next-min(s.header.next, 1))
	}
	seen := after
	end, reserved := scan(data, salt(number), func(f finding) {
		s.closed = false
		switch {
		case f.damaged:
			s.damaged = append(s.damaged, f)
			s.bad = append(s.bad, stretch{int64(f.off), int64(f.off + f.size)})
		case f.kind == kindEvent:
			s.last = max(s.last, f.seq)
			if f.seq <= seen {
				return
			}
			seen = f.seq
			s.add(f.seq, int64(f.off))
			if yield != nil {
				yield(f)
			}
		case f.kind == kindAck:
			s.acked, s.last = max(s.acked, f.seq), max(s.last, f.seq)
		default:
			s.closed, s.last = true, max(s.last, f.seq)
		}
	})
	s.last = max(s.last, reserved)
	s.end = int64(end)
	s.size, s.synced = s.end, s.end
	return s
}
