// Package onnxfile writes networks as ONNX models and reads the weights out of ONNX models, without a runtime: the few
// messages of the format that this takes are written and read field by field. The field numbers follow the published
// schema (onnx.proto3).
//
// Functions keep no state and are safe for concurrent use.
package onnxfile

import (
	"encoding/binary"
	"math"

	"google.golang.org/protobuf/encoding/protowire"
)

// FirstByte begins every ONNX file: the tag of the version of its representation.
const FirstByte = 0x08

// What is written: operator set 14 is the first with HardSwish, and version 7 of the representation goes with it.
const (
	opset     = 14
	irVersion = 7
)

// The fields of the messages that are written or read.
const (
	modelIRVersion, modelProducer, modelDoc, modelGraph, modelOpset, modelMetadata protowire.Number = 1, 2, 6, 7, 8, 14

	opsetVersion protowire.Number = 2

	graphNode, graphName, graphInitializer, graphInput, graphOutput protowire.Number = 1, 2, 5, 11, 12

	nodeInput, nodeOutput, nodeName, nodeType, nodeAttribute, nodeDomain protowire.Number = 1, 2, 3, 4, 5, 7

	attributeName, attributeFloat, attributeInt, attributeText, attributeTensor protowire.Number = 1, 2, 3, 4, 5

	attributeFloats, attributeInts, attributeType protowire.Number = 7, 8, 20

	tensorDims, tensorType, tensorFloats, tensorInt32s, tensorInt64s protowire.Number = 1, 2, 4, 5, 7

	tensorName, tensorRaw, tensorDoubles, tensorLocation protowire.Number = 8, 9, 10, 14

	infoName, infoType, typeTensor, tensorElem, tensorShape, shapeDim, dimValue, dimParam protowire.Number = 1, 2, 1, 1, 2, 1, 1, 2

	entryKey, entryValue protowire.Number = 1, 2
)

// The types of attributes and of numbers.
const (
	attributeIsFloat, attributeIsInt, attributeIsInts = 1, 2, 7

	typeFloat, typeInt32, typeInt64, typeBool, typeHalf, typeDouble, typeBFloat = 1, 6, 7, 9, 10, 11, 16
)

// message is a message in the making.
type message []byte

func (m message) text(field protowire.Number, s string) message {
	return protowire.AppendString(protowire.AppendTag(m, field, protowire.BytesType), s)
}

func (m message) message(field protowire.Number, inner message) message {
	return protowire.AppendBytes(protowire.AppendTag(m, field, protowire.BytesType), inner)
}

func (m message) int(field protowire.Number, v int) message {
	return protowire.AppendVarint(protowire.AppendTag(m, field, protowire.VarintType), uint64(v))
}

func (m message) float(field protowire.Number, v float32) message {
	return protowire.AppendFixed32(protowire.AppendTag(m, field, protowire.Fixed32Type), math.Float32bits(v))
}

// initializer is a constant float32 tensor; without a shape it is a scalar.
func initializer(name string, shape []int, data []float32) message {
	var m message
	for _, d := range shape {
		m = m.int(tensorDims, d)
	}
	raw := make(message, 0, 4*len(data))
	for _, v := range data {
		raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(v))
	}
	return m.int(tensorType, typeFloat).text(tensorName, name).message(tensorRaw, raw)
}

// integers is a constant int64 vector.
func integers(name string, values []int) message {
	var raw message
	for _, v := range values {
		raw = binary.LittleEndian.AppendUint64(raw, uint64(v))
	}
	return message{}.int(tensorDims, len(values)).int(tensorType, typeInt64).text(tensorName, name).message(tensorRaw, raw)
}

// attributes of a node, by name.
func ints(name string, values ...int) message {
	m := message{}.text(attributeName, name)
	for _, v := range values {
		m = m.int(attributeInts, v)
	}
	return m.int(attributeType, attributeIsInts)
}

func integer(name string, v int) message {
	return message{}.text(attributeName, name).int(attributeInt, v).int(attributeType, attributeIsInt)
}

func float(name string, v float32) message {
	return message{}.text(attributeName, name).float(attributeFloat, v).int(attributeType, attributeIsFloat)
}
