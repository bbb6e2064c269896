package capture

import (
	"encoding/binary"
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// A capture process writes messages into the pipe that it is given as file 3: a header, and what belongs to it.
type kind uint32

const (
	hello     kind = iota + 1 // the process has started
	opened                    // the source is open
	frame                     // a picture: 3·width·height bytes follow
	alive                     // the source has given a frame that is not passed on, since it came too early
	fault                     // the source is lost: a text follows. The last message
	end                       // the clip is at its end. The last message
	elsewhere                 // only the program with OpenCV can read this source: a text follows. The last message
)

// magic begins each header. It changes with the format, so that an agent and a capture process that an upgrade has put
// in its place understand that they do not understand each other.
const magic uint32 = 'X' | 'C'<<8 | 'P'<<16 | '1'<<24

// headerSize in bytes; all numbers are little endian.
const headerSize = 48

// maxText bounds the text of a fault, in bytes.
const maxText = 4 << 10

// header is what comes before a picture or a text.
type header struct {
	kind          kind
	width, height uint32 // of a frame
	length        uint32 // of what follows, in bytes
	seq           uint64 // of a frame
	captured      int64  // when, by CLOCK_MONOTONIC, which all processes share, in nanoseconds
	dropped       uint64 // frames of the source, so far, that a newer one has replaced
}

func (h header) put(b *[headerSize]byte) {
	e := binary.LittleEndian
	e.PutUint32(b[0:], magic)
	e.PutUint32(b[4:], uint32(h.kind))
	e.PutUint32(b[8:], h.width)
	e.PutUint32(b[12:], h.height)
	e.PutUint32(b[16:], h.length)
	e.PutUint64(b[24:], h.seq)
	e.PutUint64(b[32:], uint64(h.captured))
	e.PutUint64(b[40:], h.dropped)
}

func parseHeader(b *[headerSize]byte) (header, error) {
	e := binary.LittleEndian
	if e.Uint32(b[0:]) != magic {
		return header{}, fmt.Errorf("the capture process is of another version: restart the agent")
	}
	return header{
		kind: kind(e.Uint32(b[4:])), width: e.Uint32(b[8:]), height: e.Uint32(b[12:]), length: e.Uint32(b[16:]),
		seq: e.Uint64(b[24:]), captured: int64(e.Uint64(b[32:])), dropped: e.Uint64(b[40:]),
	}, nil
}

// monotonic reads CLOCK_MONOTONIC, in nanoseconds.
func monotonic() int64 {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &t); err != nil {
		return 0 // every Linux has it
	}
	return t.Nano()
}

// sendTime is the time of this process as one for all processes; receiveTime is the way back.
func sendTime(t time.Time) int64 { return monotonic() - int64(time.Since(t)) }

func receiveTime(ns int64) time.Time { return time.Now().Add(time.Duration(ns - monotonic())) }
