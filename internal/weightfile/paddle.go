package weightfile

import (
	"errors"
	"fmt"
	"strings"

	"github.com/nlpodyssey/gopickle/types"

	"xbmedge/internal/nn"
)

// paddle reads a .pdparams: a pickled dictionary of numpy arrays.
func paddle(raw []byte) (nn.Weights, error) {
	value, _, err := unpickle(raw, nil)
	if err != nil {
		return nil, err
	}
	return collect(value, len(raw))
}

// arrayClass stands for the class numpy.ndarray.
type arrayClass struct{}

// array is a numpy array.
type array struct {
	shape []int
	dtype *dtype
	raw   []byte
}

var (
	_ lazy                  = (*array)(nil)
	_ types.PyStateSettable = (*array)(nil)
	_ types.PyStateSettable = (*dtype)(nil)
)

// newArray is numpy's _reconstruct(ndarray, (0,), b'b'); the array's state follows.
func newArray(args []any) (any, error) {
	if len(args) == 0 || args[0] != (arrayClass{}) {
		return nil, errors.New("it holds an array of a class of its own")
	}
	return &array{}, nil
}

// PySetState takes (version, shape, dtype, is in column order, bytes).
func (a *array) PySetState(state any) error {
	t, ok := state.(*types.Tuple)
	if !ok || t.Len() != 5 {
		return errors.New("an array's state is damaged")
	}
	return a.set(t.Get(1), t.Get(2), t.Get(3) == true || t.Get(3) == 1, t.Get(4))
}

// arrayFromBuffer is numpy's _frombuffer(bytes, dtype, shape, order).
func arrayFromBuffer(args []any) (any, error) {
	if len(args) != 4 {
		return nil, errors.New("an array is damaged")
	}
	a := &array{}
	return a, a.set(args[2], args[1], args[3] != "C", args[0])
}

func (a *array) set(shape, kind any, columns bool, values any) error {
	var err error
	if a.shape, err = ints(shape); err != nil {
		return err
	}
	var isType, isBytes bool
	a.dtype, isType = kind.(*dtype)
	a.raw, isBytes = byteString(values)
	if !isType || !isBytes {
		return errors.New("an array lacks its type or its values")
	}
	if columns && len(a.shape) > 1 {
		return errors.New("an array is in column order; save it in row order (numpy.ascontiguousarray)")
	}
	return nil
}

func byteString(v any) ([]byte, bool) {
	switch b := v.(type) {
	case []byte:
		return b, true
	case *types.ByteArray:
		return []byte(*b), true
	case string: // of Python 2
		return []byte(b), true
	}
	return nil, false
}

func (a *array) tensor() (*nn.Tensor, error) {
	if a.dtype == nil {
		return nil, errors.New("an array lacks its state")
	}
	d := a.dtype.real()
	if d == "" {
		return nil, nil
	}
	if a.dtype.order == ">" {
		return nil, errors.New("its numbers are big-endian; save it on another machine")
	}
	n, err := elements(a.shape, len(a.raw)/d.Size())
	if err != nil {
		return nil, err
	}
	if n*d.Size() != len(a.raw) {
		return nil, fmt.Errorf("shape %v needs %d bytes, got %d", a.shape, n*d.Size(), len(a.raw))
	}
	return &nn.Tensor{Shape: a.shape, Data: d.Decode(a.raw)}, nil
}

// dtype is the type of a numpy array's elements.
type dtype struct{ code, order string }

// newDType is numpy.dtype('f4', align, copy); the byte order follows as its state.
func newDType(args []any) (any, error) {
	if len(args) > 0 {
		if code, ok := args[0].(string); ok {
			return &dtype{code: code}, nil
		}
	}
	return nil, errors.New("an array's type is damaged")
}

// PySetState takes (version, byte order, …).
func (d *dtype) PySetState(state any) error {
	t, ok := state.(*types.Tuple)
	if !ok || t.Len() < 2 {
		return errors.New("an array's type is damaged")
	}
	d.order, _ = t.Get(1).(string)
	return nil
}

// real returns the type of real numbers it is, or nothing.
func (d *dtype) real() nn.DType {
	switch strings.TrimLeft(d.code, "<=|") {
	case "f2":
		return nn.F16
	case "f4":
		return nn.F32
	case "f8":
		return nn.F64
	}
	return ""
}

// encodeLatin1 is _codecs.encode(text, 'latin1'), which is how protocol 2 writes bytes.
func encodeLatin1(args []any) (any, error) {
	if len(args) != 2 || args[1] != "latin1" && args[1] != "latin-1" {
		return nil, errors.New("it encodes text as something else than bytes")
	}
	text, ok := args[0].(string)
	if !ok {
		return nil, errors.New("it encodes what is no text")
	}
	out := make([]byte, 0, len(text))
	for _, r := range text {
		if r > 0xff {
			return nil, errors.New("it encodes what are no bytes")
		}
		out = append(out, byte(r))
	}
	return out, nil
}
