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

// tensor reads an initializer; it is nil where its numbers are integers.
func tensor(raw []byte) (name string, t *nn.Tensor, err error) {
	var shape []int
	var kind, location uint64
	var content, floats, doubles []byte
	addDim := func(v uint64) error {
		if v > math.MaxInt32 || len(shape) == 8 {
			return fmt.Errorf("a dimension of %d", v)
		}
		shape = append(shape, int(v))
		return nil
	}
	err = fields(raw, func(f field) error {
		switch f.number {
		case tensorDims:
			if f.bytes == nil {
				return addDim(f.value)
			}
			for packed := f.bytes; len(packed) > 0; {
				v, n := protowire.ConsumeVarint(packed)
				if n < 0 {
					return errDamaged
				}
				packed = packed[n:]
				if err := addDim(v); err != nil {
					return err
				}
			}
		case tensorType:
			kind = f.value
		case tensorLocation:
			location = f.value
		case tensorName:
			name = string(f.bytes)
		case tensorRaw:
			content = f.bytes
		case tensorDoubles:
			doubles = f.bytes
		case tensorFloats: // packed, or one by one
			if f.bytes == nil {
				floats = binary.LittleEndian.AppendUint32(floats, uint32(f.value))
			} else {
				floats = append(floats, f.bytes...)
			}
		}
		return nil
	})
	if err != nil {
		return name, nil, err
	}
	if location != 0 {
		return name, nil, errors.New("its values are in another file: save the model as one file")
	}
	dtype := map[uint64]nn.DType{typeFloat: nn.F32, typeHalf: nn.F16, typeBFloat: nn.BF16, typeDouble: nn.F64}[kind]
	if dtype == "" {
		return name, nil, nil
	}
	if content == nil && dtype == nn.F32 {
		content = floats
	}
	if content == nil && dtype == nn.F64 {
		content = doubles
	}
	n := 1
	for _, d := range shape {
		if d > 0 && n > len(raw)/d {
			return name, nil, fmt.Errorf("shape %v does not fit the file", shape)
		}
		n *= d
	}
	if n*dtype.Size() != len(content) {
		return name, nil, fmt.Errorf("shape %v needs %d bytes, got %d", shape, n*dtype.Size(), len(content))
	}
	return name, &nn.Tensor{Shape: shape, Data: dtype.Decode(content)}, nil
}
