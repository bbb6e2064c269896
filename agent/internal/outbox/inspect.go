package outbox

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
)

// Summary is what a folder holds.
type Summary struct {
	Segments int
	Bytes    int64
	Events   int    // readable ones, confirmed or not
	Waiting  int    // of those, not confirmed
	First    uint64 // number of the oldest that waits, 0 for none
	Acked    uint64 // events up to here are confirmed
	Last     uint64 // the highest number that was given out
	Damaged  int    // places that are no records
	Torn     int    // segments that end within a record; the last one of an agent at work may, for a moment
	SetAside int    // files with damaged bytes
	Closed   bool   // the agent ended it properly, or has written nothing since it started
	Boot     string // id of the machine's start that the last segment is of; "" where it is damaged
}

// Inspect reads a folder, also of an agent at work, and changes nothing. It calls yield, if not nil, for each event that
// waits, or with all for each that is there, oldest first; an error of yield ends it and is returned.
func Inspect(dir string, all bool, yield func(Record) error) (Summary, error) {
	d := folder(dir)
	if _, err := os.Stat(dir); err != nil {
		return Summary{}, fmt.Errorf("read outbox: %w", err)
	}
	var s Summary
	segments, err := inspect(d, &s, 0, nil)
	if err != nil {
		return Summary{}, err
	}
	for _, seg := range segments {
		s.Waiting += seg.count(s.Acked, seg.last())
		for _, r := range seg.runs {
			s.Events += int(r.last - r.first + 1)
			if s.First == 0 && r.last > s.Acked {
				s.First = max(r.first, s.Acked+1)
			}
		}
	}
	if yield == nil {
		return s, nil
	}
	after := s.Acked
	if all {
		after = 0
	}
	_, err = inspect(d, &Summary{}, after, yield)
	return s, err
}

// inspect reads all segments, and yields the events above after.
func inspect(d folder, s *Summary, after uint64, yield func(Record) error) ([]*segment, error) {
	names, err := d.list()
	if err != nil {
		return nil, fmt.Errorf("read outbox: %w", err)
	}
	var out []*segment
	var buf []byte
	seen := uint64(0)
	for _, name := range names {
		if strings.HasSuffix(name, damagedSuffix) {
			s.SetAside++
		}
		number, ok := segmentNumber(name)
		if !ok {
			continue
		}
		buf, err = d.read(name, buf)
		if errors.Is(err, fs.ErrNotExist) { // the agent is done with it
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("read outbox: %w", err)
		}
		var stopped error
		l := load(number, buf, seen, func(f finding) {
			if yield != nil && f.seq > after && stopped == nil {
				stopped = yield(Record{f.seq, string(f.topic), append([]byte(nil), f.payload...)})
			}
		})
		if stopped != nil {
			return nil, stopped
		}
		seen = max(seen, l.segment.last())
		s.Segments++
		s.Bytes += l.length
		s.Damaged += len(l.damaged)
		if l.length > l.end {
			s.Torn++
		}
		s.Boot = ""
		if l.headerOK {
			s.Boot = hex.EncodeToString(l.header.boot[:])
		} else if l.length > 0 {
			s.Damaged++
		}
		s.Acked, s.Last, s.Closed = max(s.Acked, l.acked), max(s.Last, l.last), l.closed
		out = append(out, &l.segment)
	}
	return out, nil
}
