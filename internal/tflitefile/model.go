// Package tflitefile writes and reads TensorFlow Lite models (.tflite flatbuffers, schema version 3) without the
// TensorFlow Lite library: one graph of float32 or int8 tensors and the operators the embedding networks are made of.
// FromNetwork lowers an nn.Network to a float model.
//
// The slot numbers follow the published schema (tensorflow/lite/schema/schema.fbs). Nothing here is shared between
// calls, so all functions are safe for concurrent use; a Model is not.
package tflitefile

import (
	"encoding/binary"
	"fmt"
	"math"
)

// Type is the element type of a tensor, numbered as in the file.
type Type int8

// The element types this package knows the size of.
const (
	Float32 Type = 0
	Float16 Type = 1
	Int32   Type = 2
	Uint8   Type = 3
	Int64   Type = 4
	Bool    Type = 6
	Int16   Type = 7
	Int8    Type = 9
)

// Size returns the bytes of one element, or 0 for a type this package does not know.
func (t Type) Size() int {
	switch t {
	case Uint8, Bool, Int8:
		return 1
	case Float16, Int16:
		return 2
	case Float32, Int32:
		return 4
	case Int64:
		return 8
	}
	return 0
}

func (t Type) String() string {
	switch t {
	case Float32:
		return "float32"
	case Float16:
		return "float16"
	case Int32:
		return "int32"
	case Uint8:
		return "uint8"
	case Int64:
		return "int64"
	case Bool:
		return "bool"
	case Int16:
		return "int16"
	case Int8:
		return "int8"
	}
	return fmt.Sprintf("type %d", int8(t))
}

// Quantization says which real values the integers of a tensor stand for: real = Scale × (integer − ZeroPoint).
// One scale holds for the whole tensor; several hold for the slices along dimension Axis.
type Quantization struct {
	Scale     []float32
	ZeroPoint []int64
	Axis      int
}

// Tensor is one value of the graph. Constants have bytes in Buffers[Buffer]; for all others that buffer is empty.
type Tensor struct {
	Name   string
	Type   Type
	Shape  []int // dimension 0 of a feature map is the batch
	Buffer int
	Quant  *Quantization // nil where there is none
}

// Len returns the number of elements.
func (t *Tensor) Len() int {
	n := 1
	for _, d := range t.Shape {
		n *= d
	}
	return n
}

// Operator is one step of the graph, in an order in which they can be run. An optional input that is absent is -1.
type Operator struct {
	Op      Op
	Custom  string // name of a custom operator, with Op Custom
	Version int    // 0 lets Encode choose the lowest version that knows the tensors' types
	Inputs  []int  // indices into Model.Tensors
	Outputs []int
	Options OpOptions
}

// Name returns the operator's name, such as CONV_2D, or the custom operator's own name.
func (o *Operator) Name() string {
	if o.Op == Custom {
		return o.Custom
	}
	return o.Op.String()
}

// Activation is the function fused into an operator, numbered as in the file.
type Activation int8

// The fused activations.
const (
	None  Activation = 0
	ReLU  Activation = 1
	ReLU6 Activation = 3
)

// OpOptions holds what the operators need besides their tensors; the fields that do not belong to one stay zero.
// Files written here are never dilated.
type OpOptions struct {
	Activation      Activation // CONV_2D, DEPTHWISE_CONV_2D, FULLY_CONNECTED, ADD, SUB, MUL, DIV, CONCATENATION, L2_NORMALIZATION, the pools
	Valid           bool       // CONV_2D, DEPTHWISE_CONV_2D, the pools: no padding in place of SAME
	StrideH         int        // CONV_2D, DEPTHWISE_CONV_2D, the pools
	StrideW         int
	FilterH         int // the pools
	FilterW         int
	DepthMultiplier int    // DEPTHWISE_CONV_2D
	KeepDims        bool   // MEAN, FULLY_CONNECTED
	NewShape        []int  // RESHAPE
	Dilated         bool   // CONV_2D, DEPTHWISE_CONV_2D: a dilation other than 1, in files that are read
	Axis            int    // CONCATENATION: the dimension that grows; negative ones count from the end
	Custom          []byte // CUSTOM: a FlexBuffers map, which Encode writes and Decode leaves out
}

// Model is one graph with its constants.
type Model struct {
	Description string
	Tensors     []Tensor
	Operators   []Operator
	Buffers     [][]byte // buffer 0 is empty by convention
	Inputs      []int    // indices into Tensors
	Outputs     []int
}

// AddBuffer appends constant bytes and returns their index.
func (m *Model) AddBuffer(data []byte) int {
	if len(m.Buffers) == 0 {
		m.Buffers = append(m.Buffers, nil)
	}
	m.Buffers = append(m.Buffers, data)
	return len(m.Buffers) - 1
}

// AddTensor appends a tensor and returns its index.
func (m *Model) AddTensor(t Tensor) int {
	m.Tensors = append(m.Tensors, t)
	return len(m.Tensors) - 1
}

// Find returns the index of the tensor of that name, or -1.
func (m *Model) Find(name string) int {
	for i := range m.Tensors {
		if m.Tensors[i].Name == name {
			return i
		}
	}
	return -1
}

// Data returns the constant bytes of tensor i, empty for a tensor that is computed.
func (m *Model) Data(i int) []byte {
	if len(m.Buffers) == 0 { // then all tensors are computed
		return nil
	}
	return m.Buffers[m.Tensors[i].Buffer]
}

// maxElements bounds the size of one tensor, so that sizes in bytes never overflow, on 32-bit boards neither.
const maxElements = min(1<<31, math.MaxInt/8)

// Validate returns an error naming the first thing that is inconsistent: an index out of range, a constant whose bytes
// do not fill its shape, quantisation that does not fit its tensor.
func (m *Model) Validate() error {
	for i := range m.Tensors {
		if err := m.validateTensor(&m.Tensors[i]); err != nil {
			return fmt.Errorf("tensor %d (%q): %w", i, m.Tensors[i].Name, err)
		}
	}
	for i := range m.Operators {
		o := &m.Operators[i]
		for _, t := range o.Inputs {
			if t < -1 || t >= len(m.Tensors) {
				return fmt.Errorf("operator %d (%s): input %d is no tensor", i, o.Name(), t)
			}
		}
		for _, t := range o.Outputs {
			if t < 0 || t >= len(m.Tensors) {
				return fmt.Errorf("operator %d (%s): output %d is no tensor", i, o.Name(), t)
			}
		}
	}
	for _, list := range [][]int{m.Inputs, m.Outputs} {
		for _, t := range list {
			if t < 0 || t >= len(m.Tensors) {
				return fmt.Errorf("the graph's input or output %d is no tensor", t)
			}
		}
	}
	return nil
}

func (m *Model) validateTensor(t *Tensor) error {
	if t.Buffer < 0 || t.Buffer >= max(len(m.Buffers), 1) {
		return fmt.Errorf("buffer %d does not exist", t.Buffer)
	}
	n := 1
	for _, d := range t.Shape {
		if d < 0 || (d > 0 && n > maxElements/d) {
			return fmt.Errorf("shape %v", t.Shape)
		}
		n *= d
	}
	if size := t.Type.Size(); size > 0 && t.Buffer < len(m.Buffers) {
		if have := len(m.Buffers[t.Buffer]); have != 0 && have != n*size {
			return fmt.Errorf("%v of shape %v needs %d bytes, has %d", t.Type, t.Shape, n*size, have)
		}
	}
	if t.Quant != nil {
		return t.Quant.validate(t)
	}
	return nil
}

func (q *Quantization) validate(t *Tensor) error {
	if len(q.ZeroPoint) != len(q.Scale) && len(q.ZeroPoint) != 0 {
		return fmt.Errorf("%d scales and %d zero points", len(q.Scale), len(q.ZeroPoint))
	}
	for _, s := range q.Scale {
		if !(s > 0) || math.IsInf(float64(s), 0) { // the negation also catches NaN
			return fmt.Errorf("scale %g", s)
		}
	}
	if len(q.Scale) > 1 && (q.Axis < 0 || q.Axis >= len(t.Shape) || t.Shape[q.Axis] != len(q.Scale)) {
		return fmt.Errorf("%d scales along dimension %d of shape %v", len(q.Scale), q.Axis, t.Shape)
	}
	return nil
}

// Float32s returns values as little-endian bytes.
func Float32s(values []float32) []byte {
	out := make([]byte, 0, 4*len(values))
	for _, v := range values {
		out = binary.LittleEndian.AppendUint32(out, math.Float32bits(v))
	}
	return out
}

// Int32s returns values as little-endian bytes.
func Int32s(values []int32) []byte {
	out := make([]byte, 0, 4*len(values))
	for _, v := range values {
		out = binary.LittleEndian.AppendUint32(out, uint32(v))
	}
	return out
}

// ToInts reads little-endian int32 values; bytes beyond a multiple of four are left out.
func ToInts(data []byte) []int {
	out := make([]int, len(data)/4)
	for i := range out {
		out[i] = int(int32(binary.LittleEndian.Uint32(data[4*i:])))
	}
	return out
}

// ToFloat32s reads little-endian float32 values; bytes beyond a multiple of four are left out.
func ToFloat32s(data []byte) []float32 {
	out := make([]float32, len(data)/4)
	for i := range out {
		out[i] = math.Float32frombits(binary.LittleEndian.Uint32(data[4*i:]))
	}
	return out
}
