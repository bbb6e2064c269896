package onnxfile

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"google.golang.org/protobuf/encoding/protowire"

	"xbmedge/internal/nn"
)

var errDamaged = errors.New("it is no ONNX model, or damaged, or cut short")

// field is one field of a message: a number, or bytes.
type field struct {
	number protowire.Number
	value  uint64
	bytes  []byte // a slice of the file
}

// fields calls use with every field of a message.
func fields(raw []byte, use func(field) error) error {
	for len(raw) > 0 {
		number, kind, n := protowire.ConsumeTag(raw)
		if n < 0 {
			return errDamaged
		}
		raw = raw[n:]
		f := field{number: number}
		switch kind {
		case protowire.VarintType:
			f.value, n = protowire.ConsumeVarint(raw)
		case protowire.BytesType:
			f.bytes, n = protowire.ConsumeBytes(raw)
		case protowire.Fixed32Type:
			var v uint32
			v, n = protowire.ConsumeFixed32(raw)
			f.value = uint64(v)
		default:
			n = protowire.ConsumeFieldValue(number, kind, raw)
		}
		if n < 0 {
			return errDamaged
		}
		raw = raw[n:]
		if err := use(f); err != nil {
			return err
		}
	}
	return nil
}

// Initializers returns the constant tensors of real numbers of an ONNX model's graph, by name, as float32. Tensors in
// files beside the model are refused. The bytes may be hostile; the tensors take at most twice as many.
func Initializers(raw []byte) (nn.Weights, error) {
	w := nn.Weights{}
	graphs := 0
	err := fields(raw, func(m field) error {
		if m.number != modelGraph {
			return nil
		}
		graphs++
		return fields(m.bytes, func(g field) error {
			if g.number != graphInitializer {
				return nil
			}
			name, t, err := tensor(g.bytes)
			if err != nil {
				return fmt.Errorf("tensor %.100q: %w", name, err)
			}
			if t != nil {
				w[name] = t
			}
			return nil
		})
	})
	if err != nil {
		return nil, err
	}
	if graphs != 1 {
		return nil, errDamaged
	}
	return w, nil
}

// stored is a tensor as the file holds it: slices of the file.
type stored struct {
	name                           string
	shape                          []int
	kind, location                 uint64
	content, floats, doubles, ints []byte
	contained                      bool // content is there, if only empty
	size                           int  // of the message, in bytes
}

func parseTensor(raw []byte) (stored, error) {
	s := stored{size: len(raw)}
	addDim := func(v uint64) error {
		if v > math.MaxInt32 || len(s.shape) == 8 {
			return fmt.Errorf("a dimension of %d", v)
		}
		s.shape = append(s.shape, int(v))
		return nil
	}
	err := fields(raw, func(f field) error {
		switch f.number {
		case tensorDims:
			if f.bytes == nil {
				return addDim(f.value)
			}
			return varints(f.bytes, addDim)
		case tensorType:
			s.kind = f.value
		case tensorLocation:
			s.location = f.value
		case tensorName:
			s.name = string(f.bytes)
		case tensorRaw:
			s.content, s.contained = f.bytes, true
		case tensorDoubles:
			s.doubles = f.bytes
		case tensorInt32s, tensorInt64s: // packed, or one by one
			if f.bytes == nil {
				s.ints = protowire.AppendVarint(s.ints, f.value)
			} else {
				s.ints = append(s.ints, f.bytes...)
			}
		case tensorFloats:
			if f.bytes == nil {
				s.floats = binary.LittleEndian.AppendUint32(s.floats, uint32(f.value))
			} else {
				s.floats = append(s.floats, f.bytes...)
			}
		}
		return nil
	})
	if err == nil && s.location != 0 {
		err = errors.New("its values are in another file: save the model as one file")
	}
	return s, err
}

// varints calls use with every number of a packed field.
func varints(packed []byte, use func(uint64) error) error {
	for len(packed) > 0 {
		v, n := protowire.ConsumeVarint(packed)
		if n < 0 {
			return errDamaged
		}
		packed = packed[n:]
		if err := use(v); err != nil {
			return err
		}
	}
	return nil
}

// elements is the number of values, of which the file has at least one byte each.
func (s *stored) elements() (int, error) {
	n := 1
	for _, d := range s.shape {
		if d > 0 && n > s.size/d {
			return 0, fmt.Errorf("shape %v does not fit the file", s.shape)
		}
		n *= d
	}
	return n, nil
}

// real returns the values of a tensor of real numbers, and nil for any other.
func (s *stored) real() (*nn.Tensor, error) {
	dtype := map[uint64]nn.DType{typeFloat: nn.F32, typeHalf: nn.F16, typeBFloat: nn.BF16, typeDouble: nn.F64}[s.kind]
	if dtype == "" {
		return nil, nil
	}
	content := s.content
	switch {
	case s.contained:
	case dtype == nn.F32:
		content = s.floats
	case dtype == nn.F64:
		content = s.doubles
	}
	n, err := s.elements()
	if err != nil {
		return nil, err
	}
	if n*dtype.Size() != len(content) {
		return nil, fmt.Errorf("shape %v needs %d bytes, got %d", s.shape, n*dtype.Size(), len(content))
	}
	return &nn.Tensor{Shape: s.shape, Data: dtype.Decode(content)}, nil
}

// tensor reads an initializer; it is nil where its numbers are integers.
func tensor(raw []byte) (name string, t *nn.Tensor, err error) {
	s, err := parseTensor(raw)
	if err != nil {
		return s.name, nil, err
	}
	t, err = s.real()
	return s.name, t, err
}
