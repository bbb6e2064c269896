package npy

import (
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"strings"
)

// ReadMatrix reads an array of two dimensions as float32: data is [rows][columns]. Integers are taken as well. Values that
// float32 cannot hold come out as infinite.
func ReadMatrix(path string) (rows, columns int, data []float32, err error) {
	accept := func(h header) error {
		if len(h.shape) != 2 {
			return fmt.Errorf("its shape is %v; it must have two dimensions, a row each vector", h.shape)
		}
		rows, columns, data = h.shape[0], h.shape[1], make([]float32, h.count)
		return nil
	}
	err = read(path, accept, func(h header, at int, value []byte) error {
		data[at] = h.float(value)
		return nil
	})
	return rows, columns, data, err
}

// ReadLabels reads integers of any width: an array of one dimension, or of two of which one is 1.
func ReadLabels(path string) ([]int, error) {
	var labels []int
	accept := func(h header) error {
		if h.kind == 'f' {
			return fmt.Errorf("its values are of type float%d; labels must be integers: convert them with .astype(numpy.int64)", 8*h.size)
		}
		if len(h.shape) != 1 && (len(h.shape) != 2 || h.shape[0] != 1 && h.shape[1] != 1) {
			return fmt.Errorf("its shape is %v; labels must have one dimension, a label each vector", h.shape)
		}
		labels = make([]int, h.count)
		return nil
	}
	err := read(path, accept, func(h header, at int, value []byte) error {
		bits := h.bits(value)
		label := h.signed(bits)
		if h.kind == 'u' && bits > math.MaxInt64 || int64(int(label)) != label {
			return fmt.Errorf("label %d is larger than any this program can hold", bits)
		}
		labels[at] = int(label)
		return nil
	})
	return labels, err
}

// bits returns a value's bytes as a number.
func (h header) bits(value []byte) uint64 {
	switch h.size {
	case 1:
		return uint64(value[0])
	case 2:
		return uint64(h.order.Uint16(value))
	case 4:
		return uint64(h.order.Uint32(value))
	}
	return h.order.Uint64(value)
}

// signed returns an integer of the header's type from its bits.
func (h header) signed(bits uint64) int64 {
	if h.kind == 'u' {
		return int64(bits)
	}
	unused := 64 - 8*h.size
	return int64(bits<<unused) >> unused
}

func (h header) float(value []byte) float32 {
	bits := h.bits(value)
	switch {
	case h.kind == 'u':
		return float32(bits)
	case h.kind == 'i':
		return float32(h.signed(bits))
	case h.size == 2:
		return half(uint16(bits))
	case h.size == 4:
		return math.Float32frombits(uint32(bits))
	}
	return float32(math.Float64frombits(bits))
}

// half widens an IEEE 754 half: 1 bit sign, 5 bits exponent, 10 bits fraction.
func half(bits uint16) float32 {
	sign, exponent, fraction := uint32(bits>>15)<<31, uint32(bits>>10)&31, uint32(bits)&1023
	switch exponent {
	case 0: // zero and what is below the smallest normal number, in units of 2⁻²⁴
		return math.Float32frombits(math.Float32bits(float32(fraction)/(1<<24)) | sign)
	case 31: // infinite, or no number
		return math.Float32frombits(sign | 255<<23 | fraction<<13)
	}
	return math.Float32frombits(sign | (exponent-15+127)<<23 | fraction<<13)
}

// WriteMatrix writes data, [rows][columns], as little-endian float32 in row-major order.
func WriteMatrix(w io.Writer, columns int, data []float32) error {
	if columns <= 0 || len(data)%columns != 0 {
		return fmt.Errorf("write array: %d values do not make rows of %d", len(data), columns)
	}
	if err := writeHeader(w, "<f4", len(data)/columns, columns); err != nil {
		return err
	}
	for row := data; len(row) > 0; row = row[columns:] {
		if err := binary.Write(w, binary.LittleEndian, row[:columns]); err != nil {
			return fmt.Errorf("write array: %w", err)
		}
	}
	return nil
}

// WriteBytes writes an array of uint8 with that shape; its parts follow one another in row-major order.
func WriteBytes(w io.Writer, shape []int, parts ...[]byte) error {
	count, there := 1, 0
	for _, n := range shape {
		count *= n
	}
	for _, p := range parts {
		there += len(p)
	}
	if count != there {
		return fmt.Errorf("write array: %d bytes do not make shape %v", there, shape)
	}
	if err := writeHeader(w, "|u1", shape...); err != nil {
		return err
	}
	for _, p := range parts {
		if _, err := w.Write(p); err != nil {
			return fmt.Errorf("write array: %w", err)
		}
	}
	return nil
}

// writeHeader writes all that comes before the values of a type.
func writeHeader(w io.Writer, descr string, shape ...int) error {
	var sizes strings.Builder
	for _, n := range shape {
		fmt.Fprintf(&sizes, "%d, ", n)
	}
	text := fmt.Sprintf("{'descr': '%s', 'fortran_order': False, 'shape': (%s), }", descr, sizes.String())
	lead := len(magic) + 4
	text += strings.Repeat(" ", (64-(lead+len(text)+1)%64)%64) + "\n" // the values begin at a multiple of 64
	head := append([]byte(magic), 1, 0)
	head = binary.LittleEndian.AppendUint16(head, uint16(len(text)))
	if _, err := w.Write(append(head, text...)); err != nil {
		return fmt.Errorf("write array: %w", err)
	}
	return nil
}
