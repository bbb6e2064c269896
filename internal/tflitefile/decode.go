package tflitefile

import (
	"errors"
	"fmt"

	flatbuffers "github.com/google/flatbuffers/go"
)

// ErrNotTFLite is wrapped by Decode's errors for bytes that are no TensorFlow Lite model at all.
var ErrNotTFLite = errors.New("not a TensorFlow Lite model")

// Decode reads the first graph of a .tflite file. Buffers are slices of data, which must not be changed afterwards.
// Operators this package cannot write are read with their name and tensors, and without their options.
//
// The bytes may be hostile: whatever they are, the result is a model that validates or an error, and the memory taken
// is bounded by a small multiple of len(data).
func Decode(data []byte) (m *Model, err error) {
	if len(data) < 8 || string(data[4:8]) != fileIdentifier {
		return nil, ErrNotTFLite
	}
	defer func() {
		// The flatbuffers reader checks no bounds of its own: an offset that leads out of the file makes Go's slices
		// panic inside it. This is the edge where that becomes an error.
		if r := recover(); r != nil {
			m, err = nil, fmt.Errorf("%w: damaged or cut short", ErrNotTFLite)
			if reason, ours := r.(string); ours {
				err = fmt.Errorf("%w: %s", err, reason)
			}
		}
	}()
	d := decoder{budget: len(data)}
	m = d.model(data)
	if err := m.Validate(); err != nil {
		return nil, fmt.Errorf("%w: damaged: %w", ErrNotTFLite, err)
	}
	return m, nil
}

// decoder reads tables by slot number. Its budget, in elements, stops files whose vectors share their elements in
// order to be far larger in memory than on disk.
type decoder struct{ budget int }

func (d *decoder) spend(n int) {
	if n < 0 || n > d.budget {
		panic("more elements than bytes")
	}
	d.budget -= n
}

// field returns the position of a table's field, or 0 where the table leaves it out.
func field(t *flatbuffers.Table, slot int) flatbuffers.UOffsetT {
	o := t.Offset(flatbuffers.VOffsetT(4 + 2*slot))
	if o == 0 {
		return 0
	}
	return t.Pos + flatbuffers.UOffsetT(o)
}

func vtable(slot int) flatbuffers.VOffsetT { return flatbuffers.VOffsetT(4 + 2*slot) }

// vector returns the start and length of a vector whose elements have the given size in bytes.
func (d *decoder) vector(t *flatbuffers.Table, slot, size int) (start flatbuffers.UOffsetT, n int) {
	if field(t, slot) == 0 {
		return 0, 0
	}
	o := flatbuffers.UOffsetT(t.Offset(vtable(slot)))
	start, n = t.Vector(o), t.VectorLen(o)
	if n < 0 || uint64(start)+uint64(n)*uint64(size) > uint64(len(t.Bytes)) {
		panic("a list runs out of the file")
	}
	return start, n
}

func (d *decoder) tables(t *flatbuffers.Table, slot int) []flatbuffers.Table {
	start, n := d.vector(t, slot, flatbuffers.SizeUOffsetT)
	d.spend(n)
	out := make([]flatbuffers.Table, n)
	for i := range out {
		at := start + flatbuffers.UOffsetT(i*flatbuffers.SizeUOffsetT)
		out[i] = flatbuffers.Table{Bytes: t.Bytes, Pos: t.Indirect(at)}
	}
	return out
}

func (d *decoder) ints(t *flatbuffers.Table, slot int) []int {
	start, n := d.vector(t, slot, flatbuffers.SizeInt32)
	d.spend(n)
	if n == 0 {
		return nil
	}
	out := make([]int, n)
	for i := range out {
		out[i] = int(t.GetInt32(start + flatbuffers.UOffsetT(i*flatbuffers.SizeInt32)))
	}
	return out
}

func (d *decoder) text(t *flatbuffers.Table, slot int) string {
	if field(t, slot) == 0 {
		return ""
	}
	_, n := d.vector(t, slot, 1)
	d.spend(n)
	return t.String(field(t, slot))
}

func (d *decoder) model(data []byte) *Model {
	root := flatbuffers.Table{Bytes: data, Pos: flatbuffers.GetUOffsetT(data)}
	subgraphs := d.tables(&root, 2)
	if len(subgraphs) == 0 {
		panic("no graph")
	}
	m := &Model{Description: d.text(&root, 3)}
	for _, b := range d.tables(&root, 4) {
		m.Buffers = append(m.Buffers, d.buffer(&b))
	}
	graph := &subgraphs[0]
	for _, t := range d.tables(graph, 0) {
		m.Tensors = append(m.Tensors, d.tensor(&t))
	}
	m.Inputs, m.Outputs = d.ints(graph, 1), d.ints(graph, 2)
	var codes []opcode
	for _, c := range d.tables(&root, 1) {
		codes = append(codes, opcode{
			op:      Op(max(int32(c.GetInt8Slot(vtable(0), 0)), c.GetInt32Slot(vtable(3), 0))),
			custom:  d.text(&c, 1),
			version: int(c.GetInt32Slot(vtable(2), 1)),
		})
	}
	for _, o := range d.tables(graph, 3) {
		m.Operators = append(m.Operators, d.operator(&o, codes))
	}
	return m
}

func (d *decoder) buffer(t *flatbuffers.Table) []byte {
	start, n := d.vector(t, 0, 1)
	if n == 0 {
		return nil
	}
	return t.Bytes[start : int(start)+n : int(start)+n]
}

func (d *decoder) tensor(t *flatbuffers.Table) Tensor {
	out := Tensor{
		Name:   d.text(t, 3),
		Type:   Type(t.GetInt8Slot(vtable(1), 0)),
		Shape:  d.ints(t, 0),
		Buffer: int(t.GetUint32Slot(vtable(2), 0)),
	}
	at := field(t, 4)
	if at == 0 {
		return out
	}
	q := flatbuffers.Table{Bytes: t.Bytes, Pos: t.Indirect(at)}
	start, n := d.vector(&q, 2, flatbuffers.SizeFloat32)
	if n == 0 { // converters write an empty table, or only minimum and maximum, for tensors that are not quantised
		return out
	}
	d.spend(n)
	out.Quant = &Quantization{Scale: make([]float32, n), Axis: int(q.GetInt32Slot(vtable(6), 0))}
	for i := range n {
		out.Quant.Scale[i] = q.GetFloat32(start + flatbuffers.UOffsetT(i*flatbuffers.SizeFloat32))
	}
	start, n = d.vector(&q, 3, flatbuffers.SizeInt64)
	d.spend(n)
	for i := range n {
		zero := q.GetInt64(start + flatbuffers.UOffsetT(i*flatbuffers.SizeInt64))
		out.Quant.ZeroPoint = append(out.Quant.ZeroPoint, zero)
	}
	return out
}

func (d *decoder) operator(t *flatbuffers.Table, codes []opcode) Operator {
	code := codes[t.GetUint32Slot(vtable(0), 0)]
	o := Operator{
		Op: code.op, Custom: code.custom, Version: code.version,
		Inputs: d.ints(t, 1), Outputs: d.ints(t, 2),
	}
	at := field(t, 4)
	if at == 0 {
		return o
	}
	opt := flatbuffers.Table{Bytes: t.Bytes, Pos: t.Indirect(at)}
	kind := t.GetByteSlot(vtable(3), 0)
	activation := func(slot int) { o.Options.Activation = Activation(opt.GetInt8Slot(vtable(slot), 0)) }
	strides := func() {
		o.Options.Valid = opt.GetInt8Slot(vtable(0), 0) == validPadding
		o.Options.StrideW = int(opt.GetInt32Slot(vtable(1), 0))
		o.Options.StrideH = int(opt.GetInt32Slot(vtable(2), 0))
	}
	dilated := func(slot int) {
		o.Options.Dilated = opt.GetInt32Slot(vtable(slot), 1) != 1 || opt.GetInt32Slot(vtable(slot+1), 1) != 1
	}
	switch {
	case o.Op == Conv2D && kind == conv2DOptions:
		strides()
		activation(3)
		dilated(4)
	case o.Op == DepthwiseConv2D && kind == depthwiseConv2DOptions:
		strides()
		o.Options.DepthMultiplier = int(opt.GetInt32Slot(vtable(3), 0))
		activation(4)
		dilated(5)
	case (o.Op == MaxPool2D || o.Op == AveragePool2D) && kind == pool2DOptions:
		strides()
		o.Options.FilterW = int(opt.GetInt32Slot(vtable(3), 0))
		o.Options.FilterH = int(opt.GetInt32Slot(vtable(4), 0))
		activation(5)
	case o.Op == Mul && kind == mulOptions, o.Op == Sub && kind == subOptions, o.Op == Div && kind == divOptions,
		o.Op == L2Normalization && kind == l2NormOptions:
		activation(0)
	case o.Op == FullyConnected && kind == fullyConnectedOptions:
		activation(0)
		o.Options.KeepDims = opt.GetBoolSlot(vtable(2), false)
	case o.Op == Concatenation && kind == concatenationOptions:
		o.Options.Axis = int(opt.GetInt32Slot(vtable(0), 0))
		activation(1)
	case o.Op == Add && kind == addOptions:
		activation(0)
	case o.Op == Mean && kind == reducerOptions:
		o.Options.KeepDims = opt.GetBoolSlot(vtable(0), false)
	case o.Op == Reshape && kind == reshapeOptions:
		o.Options.NewShape = d.ints(&opt, 0)
	}
	return o
}
