package outbox

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
)

// A segment is a file of one header and any number of records, all integers little-endian:
//
//	header  magic [8]byte, version u32, segment number u64, next sequence number u64, confirmed up to u64,
//	        boot id [16]byte, CRC u32
//	record  magic [4]byte, length of the body u32, sequence number u64, kind u8, 0 u8, length of the topic u16,
//	        CRC of the body u32, CRC of the 24 bytes before it u32, then the body: topic and payload
//
// CRCs are CRC32C, begun with a salt that follows from the segment's number: a record that lies inside another's payload,
// or is left on the disk from an older file, does not pass for one of this segment.
const (
	headerSize       = 56
	recordHeaderSize = 28
	formatVersion    = 1
	maxTopic         = 1<<16 - 1 // MQTT's own limit
	maxSeq           = 1 << 53   // a JSON number holds no more exactly
)

var (
	castagnoli   = crc32.MakeTable(crc32.Castagnoli)
	segmentMagic = [8]byte{'x', 'b', 'm', 'o', 'u', 't', 0xf5, '\n'}
	recordMagic  = [4]byte{0xf5, 'x', 'R', 0xfe} // bytes that no UTF-8 text has
)

// kind says what a record is.
type kind uint8

const (
	kindEvent  kind = 1 // to be delivered
	kindAck    kind = 2 // all events up to its number are confirmed
	kindClosed kind = 3 // the log was ended properly; its number is the last that was given out
)

// header is what a segment begins with.
type header struct {
	number uint64 // of the segment, as in its file's name
	next   uint64 // sequence number that comes next
	acked  uint64 // events up to here were confirmed when the segment was begun
	boot   [16]byte
}

func salt(number uint64) uint32 {
	var b [8]byte
	binary.LittleEndian.PutUint64(b[:], number)
	return crc32.Update(0, castagnoli, append([]byte("xbm outbox "), b[:]...))
}

func (h *header) encode() []byte {
	b := make([]byte, 0, headerSize)
	b = append(b, segmentMagic[:]...)
	b = binary.LittleEndian.AppendUint32(b, formatVersion)
	b = binary.LittleEndian.AppendUint64(b, h.number)
	b = binary.LittleEndian.AppendUint64(b, h.next)
	b = binary.LittleEndian.AppendUint64(b, h.acked)
	b = append(b, h.boot[:]...)
	return binary.LittleEndian.AppendUint32(b, crc32.Update(salt(h.number), castagnoli, b))
}

// decodeHeader reads the header of the segment of that number. ok is false where it is damaged or of another version.
func decodeHeader(b []byte, number uint64) (h header, ok bool) {
	if len(b) < headerSize || !bytes.Equal(b[:8], segmentMagic[:]) ||
		crc32.Update(salt(number), castagnoli, b[:headerSize-4]) != binary.LittleEndian.Uint32(b[headerSize-4:]) ||
		binary.LittleEndian.Uint32(b[8:]) != formatVersion {
		return header{}, false
	}
	h = header{
		number: binary.LittleEndian.Uint64(b[12:]), next: binary.LittleEndian.Uint64(b[20:]),
		acked: binary.LittleEndian.Uint64(b[28:]),
	}
	copy(h.boot[:], b[36:])
	return h, h.number == number && h.next <= maxSeq && h.acked < maxSeq
}

// appendRecord adds a record to b.
func appendRecord(b []byte, salt uint32, k kind, seq uint64, topic string, payload []byte) []byte {
	start := len(b)
	b = append(b, recordMagic[:]...)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(topic)+len(payload)))
	b = binary.LittleEndian.AppendUint64(b, seq)
	b = append(b, byte(k), 0)
	b = binary.LittleEndian.AppendUint16(b, uint16(len(topic)))
	crc := crc32.Update(salt, castagnoli, []byte(topic))
	b = binary.LittleEndian.AppendUint32(b, crc32.Update(crc, castagnoli, payload))
	b = binary.LittleEndian.AppendUint32(b, crc32.Update(salt, castagnoli, b[start:]))
	b = append(b, topic...)
	return append(b, payload...)
}

// recordSize is what an event takes in a segment.
func recordSize(topic string, payload []byte) int {
	return recordHeaderSize + len(topic) + len(payload)
}

// record is a record as it lies in a segment; topic and payload are parts of the bytes it was decoded from.
type record struct {
	kind           kind
	seq            uint64
	topic, payload []byte
	size           int // of the whole
}

// fault is what keeps bytes from being a record.
type fault uint8

const (
	whole     fault = iota
	short           // the bytes end before the record does
	badHeader       // no record begins here
	badBody         // one does, and its body is not what it was: its seq and size hold
)

// decode reads the record that begins b.
func decode(b []byte, salt uint32) (record, fault) {
	if n := min(len(b), len(recordMagic)); !bytes.Equal(b[:n], recordMagic[:n]) {
		return record{}, badHeader
	}
	if len(b) < recordHeaderSize {
		return record{}, short
	}
	if crc32.Update(salt, castagnoli, b[:24]) != binary.LittleEndian.Uint32(b[24:]) {
		return record{}, badHeader
	}
	length, topic := int(binary.LittleEndian.Uint32(b[4:])), int(binary.LittleEndian.Uint16(b[18:]))
	r := record{kind: kind(b[16]), seq: binary.LittleEndian.Uint64(b[8:]), size: recordHeaderSize + length}
	if r.kind < kindEvent || r.kind > kindClosed || r.seq == 0 && r.kind == kindEvent || r.seq >= maxSeq || topic > length {
		return record{}, badHeader
	}
	if len(b) < r.size {
		return r, short
	}
	body := b[recordHeaderSize:r.size]
	if crc32.Update(salt, castagnoli, body) != binary.LittleEndian.Uint32(b[20:]) {
		return r, badBody
	}
	r.topic, r.payload = body[:topic], body[topic:]
	return r, whole
}

// resync returns where in b, at from or later, the next whole record begins, or len(b).
func resync(b []byte, from int, salt uint32) int {
	for from < len(b) {
		i := bytes.Index(b[from:], recordMagic[:])
		if i < 0 {
			break
		}
		from += i
		if _, f := decode(b[from:], salt); f == whole || f == badBody {
			return from
		}
		from++
	}
	return len(b)
}
