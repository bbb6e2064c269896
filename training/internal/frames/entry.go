package frames

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"

	"xbmedge/internal/vision"
)

// An entry: header, then the pixels as a vision.Frame holds them. Numbers are little endian.
const (
	magic      = "xbmframe"
	version    = 1 // of the format, and of how photos are decoded and reduced: a change there needs a new number
	headerSize = len(magic) + 4*4 + 2*sha256.Size + 4
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// errDamaged is wrapped by the error for an entry that is not what was written.
var errDamaged = errors.New("cache entry is damaged")

// key names an entry.
type key [sha256.Size]byte

// keyOf returns the key of a photo file, reduced so that its shorter side has that many pixels.
func keyOf(path string, shorterSide int) (key, error) {
	info, err := os.Stat(path)
	if err != nil {
		return key{}, fmt.Errorf("open picture: %w", err)
	}
	if path, err = filepath.Abs(path); err != nil {
		return key{}, fmt.Errorf("open picture: %w", err)
	}
	text := fmt.Sprintf("%d\x00%s\x00%d\x00%d\x00%d", version, path, info.Size(), info.ModTime().UnixNano(), shorterSide)
	return sha256.Sum256([]byte(text)), nil
}

// header is what an entry says of its frame.
type header struct {
	width, height int
	pixels        uint32            // CRC-32C, checked whenever they are read
	digest        [sha256.Size]byte // of the pixels: equal photos have equal ones
}

// bytes returns the number of bytes of the frame's pixels.
func (h *header) bytes() int { return 3 * h.width * h.height }

func describe(f vision.Frame) header {
	return header{f.Width, f.Height, crc32.Checksum(f.Pix, castagnoli), sha256.Sum256(f.Pix)}
}

func (h *header) encode(k key) []byte {
	b := append(make([]byte, 0, headerSize), magic...)
	for _, v := range []uint32{version, uint32(h.width), uint32(h.height), h.pixels} {
		b = binary.LittleEndian.AppendUint32(b, v)
	}
	b = append(append(b, h.digest[:]...), k[:]...)
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

// decodeHeader reads the header of an entry of that many bytes.
func decodeHeader(b []byte, k key, size int64) (header, error) {
	number := func(i int) uint32 { return binary.LittleEndian.Uint32(b[len(magic)+4*i:]) }
	end := headerSize - 4
	if crc32.Checksum(b[:end], castagnoli) != binary.LittleEndian.Uint32(b[end:]) ||
		string(b[:len(magic)]) != magic || number(0) != version || !bytes.Equal(b[end-sha256.Size:end], k[:]) {
		return header{}, errDamaged
	}
	h := header{width: int(number(1)), height: int(number(2)), pixels: number(3)}
	copy(h.digest[:], b[len(magic)+16:])
	if h.width <= 0 || h.height <= 0 || h.width > vision.MaxPixels/h.height || size != int64(headerSize+h.bytes()) {
		return header{}, errDamaged
	}
	return h, nil
}
