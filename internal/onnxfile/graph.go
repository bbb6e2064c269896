package onnxfile

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"google.golang.org/protobuf/encoding/protowire"

	"xbmedge/internal/nn"
)

// graph is what a file holds of a model.
type graph struct {
	name      string
	nodes     []operator
	constants map[string]*constant
	inputs    []info
	outputs   []string
}

// operator is a node of the graph.
type operator struct {
	name, kind, domain string
	inputs, outputs    []string
	attributes         map[string]attribute
}

// attribute is a setting of an operator: of all these, the one it has.
type attribute struct {
	number float64
	int    int
	text   string
	ints   []int
	floats []float32
	tensor *constant
}

// info declares an input: its dimensions are 0 where they are open.
type info struct {
	name string
	elem uint64
	dims []int
}

// constant is a tensor known when the file is read: of real numbers, or of integers.
type constant struct {
	nn.Tensor
	ints    []int
	integer bool
}

// number returns the only value of a constant.
func (c *constant) number() (float64, bool) {
	switch {
	case c == nil:
	case c.integer && len(c.ints) == 1:
		return float64(c.ints[0]), true
	case !c.integer && len(c.Data) == 1:
		return float64(c.Data[0]), true
	}
	return 0, false
}

// maxInts bounds a list of integers that is computed with: they are shapes, axes and paddings.
const maxInts = 64

func readConstant(raw []byte) (string, *constant, error) {
	s, err := parseTensor(raw)
	if err != nil {
		return s.name, nil, err
	}
	t, err := s.real()
	if err != nil {
		return s.name, nil, err
	}
	if t != nil {
		return s.name, &constant{Tensor: *t}, nil
	}
	ints, err := s.integers()
	return s.name, &constant{Tensor: nn.Tensor{Shape: s.shape}, ints: ints, integer: true}, err
}

// integers returns the values of a tensor of integers, and none of one that is longer than any shape or of another type.
func (s *stored) integers() ([]int, error) {
	n, err := s.elements()
	if err != nil || n > maxInts {
		return nil, err
	}
	var out []int
	switch {
	case !s.contained:
		err = varints(s.ints, func(v uint64) error { out = append(out, int(int64(v))); return nil })
	case s.kind == typeInt64 && len(s.content) == 8*n:
		for i := range n {
			out = append(out, int(int64(binary.LittleEndian.Uint64(s.content[8*i:]))))
		}
	case s.kind == typeInt32 && len(s.content) == 4*n:
		for i := range n {
			out = append(out, int(int32(binary.LittleEndian.Uint32(s.content[4*i:]))))
		}
	case s.kind == typeBool && len(s.content) == n:
		for _, v := range s.content {
			out = append(out, int(v))
		}
	}
	if err == nil && len(out) != n {
		out = nil
	}
	return out, err
}

// parse reads a model's graph.
func parse(raw []byte) (*graph, error) {
	var g *graph
	err := fields(raw, func(m field) error {
		if m.number != modelGraph {
			return nil
		}
		if g != nil {
			return errDamaged
		}
		g = &graph{constants: map[string]*constant{}}
		return fields(m.bytes, g.add)
	})
	if err != nil {
		return nil, err
	}
	if g == nil || len(g.nodes) == 0 {
		return nil, errDamaged
	}
	return g, nil
}

func (g *graph) add(f field) error {
	switch f.number {
	case graphName:
		g.name = string(f.bytes)
	case graphNode:
		o, err := parseOperator(f.bytes)
		if err != nil {
			return err
		}
		g.nodes = append(g.nodes, o)
	case graphInitializer:
		name, c, err := readConstant(f.bytes)
		if err != nil {
			return fmt.Errorf("tensor %.100q: %w", name, err)
		}
		g.constants[name] = c
	case graphInput:
		in, err := parseInfo(f.bytes)
		if err != nil {
			return err
		}
		g.inputs = append(g.inputs, in)
	case graphOutput:
		out, err := parseInfo(f.bytes)
		if err != nil {
			return err
		}
		g.outputs = append(g.outputs, out.name)
	}
	return nil
}

func parseOperator(raw []byte) (operator, error) {
	o := operator{attributes: map[string]attribute{}}
	err := fields(raw, func(f field) error {
		switch f.number {
		case nodeInput:
			o.inputs = append(o.inputs, string(f.bytes))
		case nodeOutput:
			o.outputs = append(o.outputs, string(f.bytes))
		case nodeName:
			o.name = string(f.bytes)
		case nodeType:
			o.kind = string(f.bytes)
		case nodeDomain:
			o.domain = string(f.bytes)
		case nodeAttribute:
			name, a, err := parseAttribute(f.bytes)
			if err != nil {
				return err
			}
			o.attributes[name] = a
		}
		return nil
	})
	return o, err
}

func parseAttribute(raw []byte) (string, attribute, error) {
	var name string
	var a attribute
	err := fields(raw, func(f field) error {
		switch f.number {
		case attributeName:
			name = string(f.bytes)
		case attributeFloat:
			a.number = float64(math.Float32frombits(uint32(f.value)))
		case attributeInt:
			a.int = int(int64(f.value))
		case attributeText:
			a.text = string(f.bytes)
		case attributeTensor:
			var err error
			_, a.tensor, err = readConstant(f.bytes)
			return err
		case attributeInts:
			add := func(v uint64) error { a.ints = append(a.ints, int(int64(v))); return nil }
			if f.bytes != nil {
				return varints(f.bytes, add)
			}
			return add(f.value)
		case attributeFloats:
			if f.bytes != nil {
				a.floats = append(a.floats, nn.F32.Decode(f.bytes)...)
			} else {
				a.floats = append(a.floats, math.Float32frombits(uint32(f.value)))
			}
		}
		return nil
	})
	return name, a, err
}

func parseInfo(raw []byte) (info, error) {
	var in info
	err := fields(raw, func(f field) error {
		switch f.number {
		case infoName:
			in.name = string(f.bytes)
		case infoType:
			return within(f.bytes, typeTensor, func(tensor []byte) error {
				return fields(tensor, func(f field) error {
					switch f.number {
					case tensorElem:
						in.elem = f.value
					case tensorShape:
						return within(f.bytes, shapeDim, in.dim)
					}
					return nil
				})
			})
		}
		return nil
	})
	return in, err
}

func (in *info) dim(raw []byte) error {
	if len(in.dims) == 8 {
		return errors.New("an input of more than eight dimensions")
	}
	size := 0
	err := fields(raw, func(f field) error {
		if f.number == dimValue && f.value <= math.MaxInt32 {
			size = int(f.value)
		}
		return nil
	})
	in.dims = append(in.dims, size)
	return err
}

// within calls use with every field of that number.
func within(raw []byte, number protowire.Number, use func([]byte) error) error {
	return fields(raw, func(f field) error {
		if f.number != number {
			return nil
		}
		return use(f.bytes)
	})
}
