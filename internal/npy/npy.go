// Package npy reads and writes arrays in NumPy's .npy format (NEP 1, versions 1.0 to 3.0): embeddings as float32 and
// labels as integers, whatever number type and byte order the file has. Values lie in row-major order in memory; a
// file in Fortran order is turned round while it is read.
package npy

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"regexp"
	"strconv"
	"strings"
)

// header is what a file says about its array.
type header struct {
	kind    byte // f, i or u
	size    int  // of a value, in bytes
	order   binary.ByteOrder
	fortran bool
	shape   []int
	count   int // of values
}

const magic = "\x93NUMPY"

// maxHeader bounds what a broken file can make us read: a header of numbers takes some 100 bytes.
const maxHeader = 64 << 10

var (
	descrKey   = regexp.MustCompile(`['"]descr['"]\s*:\s*['"]([^'"]*)['"]`)
	fortranKey = regexp.MustCompile(`['"]fortran_order['"]\s*:\s*(True|False)`)
	shapeKey   = regexp.MustCompile(`['"]shape['"]\s*:\s*\(([^)]*)\)`)
)

// readHeader reads up to the first value.
func readHeader(r io.Reader) (header, int64, error) {
	var lead [8]byte
	if _, err := io.ReadFull(r, lead[:]); err != nil || string(lead[:6]) != magic {
		return header{}, 0, errors.New("no .npy file; write it with numpy.save")
	}
	length, width := 0, 2
	switch lead[6] {
	case 1:
	case 2, 3:
		width = 4
	default:
		return header{}, 0, fmt.Errorf("format version %d.%d, known are 1.0 to 3.0", lead[6], lead[7])
	}
	size := make([]byte, 4)
	if _, err := io.ReadFull(r, size[:width]); err != nil {
		return header{}, 0, errors.New("it ends within its header")
	}
	length = int(binary.LittleEndian.Uint32(size))
	if length > maxHeader {
		return header{}, 0, fmt.Errorf("its header claims %d bytes, more than any array of numbers needs", length)
	}
	text := make([]byte, length)
	if _, err := io.ReadFull(r, text); err != nil {
		return header{}, 0, errors.New("it ends within its header")
	}
	h, err := parse(string(text))
	return h, int64(len(lead) + width + length), err
}

// parse reads the header's text, a Python dictionary.
func parse(text string) (header, error) {
	descr, fortran, shape := descrKey.FindStringSubmatch(text), fortranKey.FindStringSubmatch(text), shapeKey.FindStringSubmatch(text)
	if descr == nil || fortran == nil || shape == nil {
		return header{}, fmt.Errorf("its header is no plain array's: %s", strings.TrimSpace(text))
	}
	h := header{order: binary.LittleEndian, fortran: fortran[1] == "True", count: 1}
	name := strings.TrimLeft(descr[1], "<|=")
	if strings.HasPrefix(name, ">") {
		h.order, name = binary.BigEndian, name[1:]
	}
	switch name {
	case "f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8":
		h.kind, h.size = name[0], int(name[1]-'0')
	default:
		return header{}, fmt.Errorf("its values are of type %q; known are float16, float32, float64 and the integers", descr[1])
	}
	for field := range strings.SplitSeq(shape[1], ",") {
		field = strings.TrimSpace(field)
		if field == "" { // after the comma of (5,)
			continue
		}
		n, err := strconv.Atoi(strings.TrimSuffix(field, "L")) // as Python 2 wrote it
		if err != nil || n < 0 || n > 0 && h.count > math.MaxInt/16/n {
			return header{}, fmt.Errorf("its shape (%s) is none", shape[1])
		}
		h.shape = append(h.shape, n)
		h.count *= n
	}
	return h, nil
}

// read calls use with each value's position in row-major order and its bytes.
func read(path string, accept func(header) error, use func(h header, at int, value []byte) error) error {
	file, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("read array: %w", err)
	}
	defer file.Close() //nolint:errcheck // only read
	info, err := file.Stat()
	if err != nil {
		return fmt.Errorf("read array: %w", err)
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("read array: %s is no file; name a .npy file", path)
	}
	h, start, err := readHeader(file)
	if err == nil && info.Size()-start != int64(h.count)*int64(h.size) {
		err = fmt.Errorf("its shape %v takes %d bytes, it has %d: it was cut off or is damaged", h.shape, h.count*h.size, info.Size()-start)
	}
	if err == nil {
		err = accept(h)
	}
	if err == nil {
		err = h.values(file, use)
	}
	if err != nil {
		return fmt.Errorf("read array %s: %w", path, err)
	}
	return nil
}

// values reads in pieces, so that a file is not in memory twice.
func (h header) values(r io.Reader, use func(h header, at int, value []byte) error) error {
	piece := make([]byte, 64<<10) // a multiple of every size
	for i := 0; i < h.count; {
		part := piece[:min(len(piece), (h.count-i)*h.size)]
		if _, err := io.ReadFull(r, part); err != nil {
			return err
		}
		for ; len(part) > 0; part = part[h.size:] {
			at := i
			if h.fortran && len(h.shape) == 2 {
				at = i%h.shape[0]*h.shape[1] + i/h.shape[0]
			}
			if err := use(h, at, part[:h.size]); err != nil {
				return err
			}
			i++
		}
	}
	return nil
}
