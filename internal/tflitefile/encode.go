package tflitefile

import (
	"fmt"

	flatbuffers "github.com/google/flatbuffers/go"
)

// The constants of the file format.
const (
	schemaVersion  = 3
	fileIdentifier = "TFL3"
	alignment      = 16 // of constants, so that kernels may load them as vectors
	maxDeprecated  = 127
)

// The numbers of the option tables in the BuiltinOptions union.
const (
	conv2DOptions          = 1
	depthwiseConv2DOptions = 2
	pool2DOptions          = 5
	fullyConnectedOptions  = 8
	concatenationOptions   = 10
	addOptions             = 11
	l2NormOptions          = 12
	reshapeOptions         = 17
	mulOptions             = 21
	reducerOptions         = 27
	subOptions             = 28
	divOptions             = 29
)

// Encode returns the model as a .tflite file. The same model always gives the same bytes. It fails for a model that
// does not validate and for operators this package cannot write the options of.
func Encode(m *Model) ([]byte, error) {
	if err := m.Validate(); err != nil {
		return nil, fmt.Errorf("encode tflite: %w", err)
	}
	total := 4096
	for _, buf := range m.Buffers {
		total += len(buf) + 2*alignment
	}
	e := encoder{b: flatbuffers.NewBuilder(total), m: m}
	root, err := e.model()
	if err != nil {
		return nil, fmt.Errorf("encode tflite: %w", err)
	}
	e.b.FinishWithFileIdentifier(root, []byte(fileIdentifier))
	return e.b.FinishedBytes(), nil
}

// validPadding is the number of VALID; SAME is 0.
const validPadding = 1

// encoder writes tables leaf first, as flatbuffers must be.
type encoder struct {
	b *flatbuffers.Builder
	m *Model
}

// opcode is an entry of the file's operator table.
type opcode struct {
	op      Op
	custom  string
	version int
}

func (e *encoder) model() (flatbuffers.UOffsetT, error) {
	count := max(len(e.m.Buffers), 1)
	buffers := make([]flatbuffers.UOffsetT, count)
	for i := range buffers {
		var data []byte
		if i < len(e.m.Buffers) {
			data = e.m.Buffers[i]
		}
		buffers[i] = e.buffer(data)
	}
	tensors := make([]flatbuffers.UOffsetT, len(e.m.Tensors))
	for i := range e.m.Tensors {
		tensors[i] = e.tensor(&e.m.Tensors[i])
	}
	var codes []opcode
	index := map[opcode]int{}
	operators := make([]flatbuffers.UOffsetT, len(e.m.Operators))
	for i := range e.m.Operators {
		o := &e.m.Operators[i]
		code := opcode{o.Op, o.Custom, o.Version}
		if code.version == 0 {
			code.version = lowestVersion(o.Op, e.int8s(o), o.Options.KeepDims)
		}
		if _, ok := index[code]; !ok {
			index[code] = len(codes)
			codes = append(codes, code)
		}
		var err error
		if operators[i], err = e.operator(o, index[code]); err != nil {
			return 0, fmt.Errorf("operator %d: %w", i, err)
		}
	}
	opcodes := make([]flatbuffers.UOffsetT, len(codes))
	for i, c := range codes {
		opcodes[i] = e.opcode(c)
	}
	subgraph := e.subgraph(tensors, operators)
	subgraphs := e.b.CreateVectorOfTables([]flatbuffers.UOffsetT{subgraph})
	bufferVector := e.b.CreateVectorOfTables(buffers)
	opcodeVector := e.b.CreateVectorOfTables(opcodes)
	description := e.b.CreateString(e.m.Description)
	e.b.StartObject(8)
	e.b.PrependUint32Slot(0, schemaVersion, 0)
	e.b.PrependUOffsetTSlot(1, opcodeVector, 0)
	e.b.PrependUOffsetTSlot(2, subgraphs, 0)
	e.b.PrependUOffsetTSlot(3, description, 0)
	e.b.PrependUOffsetTSlot(4, bufferVector, 0)
	return e.b.EndObject(), nil
}

// int8s reports whether the operator works on int8 tensors.
func (e *encoder) int8s(o *Operator) bool {
	return len(o.Inputs) > 0 && o.Inputs[0] >= 0 && e.m.Tensors[o.Inputs[0]].Type == Int8
}

func (e *encoder) subgraph(tensors, operators []flatbuffers.UOffsetT) flatbuffers.UOffsetT {
	tensorVector := e.b.CreateVectorOfTables(tensors)
	operatorVector := e.b.CreateVectorOfTables(operators)
	inputs, outputs := e.ints(e.m.Inputs), e.ints(e.m.Outputs)
	name := e.b.CreateString("main")
	e.b.StartObject(5)
	e.b.PrependUOffsetTSlot(0, tensorVector, 0)
	e.b.PrependUOffsetTSlot(1, inputs, 0)
	e.b.PrependUOffsetTSlot(2, outputs, 0)
	e.b.PrependUOffsetTSlot(3, operatorVector, 0)
	e.b.PrependUOffsetTSlot(4, name, 0)
	return e.b.EndObject()
}

func (e *encoder) buffer(data []byte) flatbuffers.UOffsetT {
	var vector flatbuffers.UOffsetT
	if len(data) > 0 {
		e.b.Prep(alignment, len(data)) // the first byte, not the length before it, lands on the boundary
		vector = e.b.CreateByteVector(data)
	}
	e.b.StartObject(1)
	e.b.PrependUOffsetTSlot(0, vector, 0)
	return e.b.EndObject()
}

func (e *encoder) tensor(t *Tensor) flatbuffers.UOffsetT {
	name, shape := e.b.CreateString(t.Name), e.ints(t.Shape)
	var quant flatbuffers.UOffsetT
	if t.Quant != nil {
		quant = e.quantization(t.Quant)
	}
	e.b.StartObject(8)
	e.b.PrependUOffsetTSlot(0, shape, 0)
	e.b.PrependInt8Slot(1, int8(t.Type), 0)
	e.b.PrependUint32Slot(2, uint32(t.Buffer), 0)
	e.b.PrependUOffsetTSlot(3, name, 0)
	e.b.PrependUOffsetTSlot(4, quant, 0)
	return e.b.EndObject()
}

func (e *encoder) quantization(q *Quantization) flatbuffers.UOffsetT {
	e.b.StartVector(4, len(q.Scale), 4)
	for i := len(q.Scale) - 1; i >= 0; i-- {
		e.b.PrependFloat32(q.Scale[i])
	}
	scale := e.b.EndVector(len(q.Scale))
	e.b.StartVector(8, len(q.ZeroPoint), 8)
	for i := len(q.ZeroPoint) - 1; i >= 0; i-- {
		e.b.PrependInt64(q.ZeroPoint[i])
	}
	zero := e.b.EndVector(len(q.ZeroPoint))
	e.b.StartObject(7)
	e.b.PrependUOffsetTSlot(2, scale, 0)
	e.b.PrependUOffsetTSlot(3, zero, 0)
	e.b.PrependInt32Slot(6, int32(q.Axis), 0)
	return e.b.EndObject()
}

func (e *encoder) opcode(c opcode) flatbuffers.UOffsetT {
	var custom flatbuffers.UOffsetT
	if c.custom != "" {
		custom = e.b.CreateString(c.custom)
	}
	e.b.StartObject(4)
	// Readers take the larger of the two codes: the first is all that runtimes before 2.4 know.
	e.b.PrependInt8Slot(0, int8(min(c.op, maxDeprecated)), 0)
	e.b.PrependUOffsetTSlot(1, custom, 0)
	e.b.PrependInt32Slot(2, int32(c.version), 1)
	e.b.PrependInt32Slot(3, int32(c.op), 0)
	return e.b.EndObject()
}

func (e *encoder) operator(o *Operator, code int) (flatbuffers.UOffsetT, error) {
	kind, options, err := e.options(o)
	if err != nil {
		return 0, err
	}
	inputs, outputs := e.ints(o.Inputs), e.ints(o.Outputs)
	var custom flatbuffers.UOffsetT
	if len(o.Options.Custom) > 0 {
		custom = e.b.CreateByteVector(o.Options.Custom)
	}
	e.b.StartObject(6)
	e.b.PrependUint32Slot(0, uint32(code), 0)
	e.b.PrependUOffsetTSlot(1, inputs, 0)
	e.b.PrependUOffsetTSlot(2, outputs, 0)
	e.b.PrependUint8Slot(3, kind, 0)
	e.b.PrependUOffsetTSlot(4, options, 0)
	e.b.PrependUOffsetTSlot(5, custom, 0)
	return e.b.EndObject(), nil
}

func (e *encoder) options(o *Operator) (kind byte, table flatbuffers.UOffsetT, err error) {
	b, opt := e.b, &o.Options
	activation, padding := int8(opt.Activation), int8(0)
	if opt.Valid {
		padding = validPadding
	}
	switch o.Op {
	case Conv2D:
		b.StartObject(6)
		b.PrependInt8Slot(0, padding, 0)
		b.PrependInt32Slot(1, int32(opt.StrideW), 0)
		b.PrependInt32Slot(2, int32(opt.StrideH), 0)
		b.PrependInt8Slot(3, activation, 0)
		return conv2DOptions, b.EndObject(), nil
	case DepthwiseConv2D:
		b.StartObject(7)
		b.PrependInt8Slot(0, padding, 0)
		b.PrependInt32Slot(1, int32(opt.StrideW), 0)
		b.PrependInt32Slot(2, int32(opt.StrideH), 0)
		b.PrependInt32Slot(3, int32(opt.DepthMultiplier), 0)
		b.PrependInt8Slot(4, activation, 0)
		return depthwiseConv2DOptions, b.EndObject(), nil
	case MaxPool2D, AveragePool2D:
		b.StartObject(6)
		b.PrependInt8Slot(0, padding, 0)
		b.PrependInt32Slot(1, int32(opt.StrideW), 0)
		b.PrependInt32Slot(2, int32(opt.StrideH), 0)
		b.PrependInt32Slot(3, int32(opt.FilterW), 0)
		b.PrependInt32Slot(4, int32(opt.FilterH), 0)
		b.PrependInt8Slot(5, activation, 0)
		return pool2DOptions, b.EndObject(), nil
	case FullyConnected:
		b.StartObject(4)
		b.PrependInt8Slot(0, activation, 0)
		b.PrependBoolSlot(2, opt.KeepDims, false)
		return fullyConnectedOptions, b.EndObject(), nil
	case Add:
		b.StartObject(2)
		b.PrependInt8Slot(0, activation, 0)
		return addOptions, b.EndObject(), nil
	case Mul:
		b.StartObject(1)
		b.PrependInt8Slot(0, activation, 0)
		return mulOptions, b.EndObject(), nil
	case Concatenation:
		b.StartObject(2)
		b.PrependInt32Slot(0, int32(opt.Axis), 0)
		b.PrependInt8Slot(1, activation, 0)
		return concatenationOptions, b.EndObject(), nil
	case Pad, Maximum, Pow, HardSwish, Logistic, Quantize, Dequantize, Custom: // nothing to choose, or not here
		return 0, 0, nil
	case Mean:
		b.StartObject(1)
		b.PrependBoolSlot(0, opt.KeepDims, false)
		return reducerOptions, b.EndObject(), nil
	case Reshape:
		shape := e.ints(opt.NewShape)
		b.StartObject(1)
		b.PrependUOffsetTSlot(0, shape, 0)
		return reshapeOptions, b.EndObject(), nil
	}
	return 0, 0, fmt.Errorf("%s cannot be written", o.Name())
}

func (e *encoder) ints(values []int) flatbuffers.UOffsetT {
	e.b.StartVector(4, len(values), 4)
	for i := len(values) - 1; i >= 0; i-- {
		e.b.PrependInt32(int32(values[i]))
	}
	return e.b.EndVector(len(values))
}
