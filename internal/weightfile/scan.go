package weightfile

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
)

// argument says what follows an opcode of a pickle.
type argument int

const (
	refused argument = iota
	none
	bytes1
	bytes2
	bytes4
	bytes8
	counted1 // a length of one byte, and so many bytes
	counted4
	counted8
	frame // a length of eight bytes of what follows, which is opcodes again
	lines // two lines of text
)

// opcodes lists what pickles of tensors are made of, in protocols 2 to 5. Text-based opcodes, extensions, instances of
// old classes and buffers out of band are not among them.
func opcodes() [256]argument {
	var t [256]argument
	for kind, list := range map[argument]string{
		none:     "(.0" + "12NRabdlestu})]Q" + "\x81\x85\x86\x87\x88\x89\x8f\x90\x91\x92\x93\x94",
		bytes1:   "Khq\x80",
		bytes2:   "M",
		bytes4:   "Jjr",
		bytes8:   "G",
		counted1: "CU\x8a\x8c",
		counted4: "BTX",
		counted8: "\x8d\x8e\x96",
		frame:    "\x95",
		lines:    "c",
	} {
		for _, op := range []byte(list) {
			t[op] = kind
		}
	}
	return t
}

// scan returns the length of the pickle that raw begins with. It looks at no value: it makes sure that every opcode is
// one of those above, and that no length leads out of the file, so that who reads the pickle may believe them.
func scan(raw []byte) (int, error) {
	table := opcodes()
	at := 0
	for at < len(raw) {
		op := raw[at]
		at++
		left := uint64(len(raw) - at)
		need, head := uint64(0), uint64(0)
		switch table[op] {
		case refused:
			return 0, fmt.Errorf("its pickle has opcode %#02x at byte %d, which no file of tensors has", op, at-1)
		case bytes1:
			need = 1
		case bytes2:
			need = 2
		case bytes4:
			need = 4
		case bytes8:
			need = 8
		case counted1:
			head = 1
		case counted4:
			head = 4
		case counted8, frame:
			head = 8
		case lines:
			for range 2 {
				end := bytes.IndexByte(raw[at:], '\n')
				if end < 0 {
					return 0, errCut
				}
				at += end + 1
			}
			continue
		}
		if head > left {
			return 0, errCut
		}
		if head > 0 {
			need = length(raw[at : at+int(head)])
			at, left = at+int(head), left-head
		}
		if need > left || need > math.MaxInt32 {
			return 0, errCut
		}
		if table[op] != frame {
			at += int(need)
		}
		if op == '.' {
			return at, nil
		}
	}
	return 0, errCut
}

var errCut = fmt.Errorf("its pickle ends before its end: it is cut short")

func length(b []byte) uint64 {
	var full [8]byte
	copy(full[:], b)
	return binary.LittleEndian.Uint64(full[:])
}
