package tflitefile

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"xbmedge/internal/assemble"
	"xbmedge/internal/nn"
)

// ReadOptions says how a network made elsewhere is read.
type ReadOptions = assemble.Options

// spareFloats is how many floats reading a network may allocate besides copies of its weights.
const spareFloats = 4 << 20

// ToNetwork reads a float model that computes a vector of an RGB picture [1, H, W, 3] as a network for x/127.5−1, with
// batch norms and activations worked into its layers. It is the inverse of FromNetwork, and takes what TensorFlow's
// converter makes of convolutional networks. Weights may be float16. A division by the vector's length at its end is
// left out: embeddings are normalised where they are used. What it cannot represent it refuses, naming the operator.
func ToNetwork(m *Model, opt ReadOptions) (*nn.Network, nn.Weights, error) {
	net, w, err := toNetwork(m, &opt)
	if err != nil {
		return nil, nil, fmt.Errorf("read tflite: %w", err)
	}
	return net, w, nil
}

func toNetwork(m *Model, opt *ReadOptions) (*nn.Network, nn.Weights, error) {
	if err := errors.Join(opt.Check(), m.Validate(), m.checkFloat()); err != nil {
		return nil, nil, err
	}
	in, shape, err := m.picture(opt)
	if err != nil {
		return nil, nil, err
	}
	out, err := m.embedding(opt.Output)
	if err != nil {
		return nil, nil, err
	}
	r := reader{model: m, values: map[int]assemble.Value{}, constants: map[int][]float32{}, b: assemble.New(shape, m.size()+spareFloats)}
	if r.values[in], err = r.b.Picture(opt); err != nil {
		return nil, nil, err
	}
	needed := m.needed(out)
	for i := range m.Operators {
		if !needed[i] {
			continue
		}
		if err := r.operator(&m.Operators[i]); err != nil {
			return nil, nil, err
		}
	}
	v, ok := r.values[out]
	if !ok {
		return nil, nil, fmt.Errorf("its output %q is nowhere computed from its input", m.Tensors[out].Name)
	}
	return r.b.Network(m.Description, v)
}

// size returns the bytes of the constants.
func (m *Model) size() int {
	n := 0
	for _, b := range m.Buffers {
		n += len(b)
	}
	return n
}

// checkFloat refuses models that are quantised already, whole or in their weights.
func (m *Model) checkFloat() error {
	for i := range m.Operators {
		o := &m.Operators[i]
		for _, t := range slices.Concat(o.Inputs, o.Outputs) {
			if t >= 0 && (m.Tensors[t].Type == Int8 || m.Tensors[t].Type == Uint8 || m.Tensors[t].Type == Int16) {
				return fmt.Errorf("the model is already quantised (%.100q is %v): give the float model it was made of", m.Tensors[t].Name, m.Tensors[t].Type)
			}
		}
	}
	return nil
}

func (m *Model) picture(opt *ReadOptions) (int, nn.Shape, error) {
	if len(m.Inputs) != 1 {
		return 0, nn.Shape{}, fmt.Errorf("it has %d inputs, an embedder has one picture", len(m.Inputs))
	}
	t := &m.Tensors[m.Inputs[0]]
	if t.Type != Float32 || len(t.Shape) != 4 {
		return 0, nn.Shape{}, fmt.Errorf("its input is %v %v instead of float32 [1, height, width, 3]", t.Type, t.Shape)
	}
	s := nn.Shape{H: t.Shape[1], W: t.Shape[2], C: t.Shape[3]}
	if opt.Size > 0 && (s.H != opt.Size || s.W != opt.Size) {
		return 0, s, fmt.Errorf("its input is fixed at %d×%d, not %d: leave the size out", s.H, s.W, opt.Size)
	}
	return m.Inputs[0], s, assemble.CheckInput(s)
}

// embedding returns the tensor of that name, or the model's only output.
func (m *Model) embedding(name string) (int, error) {
	if name != "" {
		if i := m.Find(name); i >= 0 {
			return i, nil
		}
		return 0, fmt.Errorf("it has no tensor %q; xbm-convert inspect lists them", name)
	}
	if len(m.Outputs) != 1 {
		return 0, fmt.Errorf("it has %d outputs: choose one of %s", len(m.Outputs), m.names(m.Outputs))
	}
	return m.Outputs[0], nil
}

func (m *Model) names(tensors []int) string {
	var names []string
	for _, t := range tensors[:min(len(tensors), 10)] {
		names = append(names, fmt.Sprintf("%.100q", m.Tensors[t].Name))
	}
	return strings.Join(names, ", ")
}

// reader turns a model's operators into a builder's.
type reader struct {
	model     *Model
	values    map[int]assemble.Value
	constants map[int][]float32 // those that were decoded
	b         *assemble.Builder
	op        *Operator
}

func (r *reader) name() string { return r.model.Tensors[r.op.Outputs[0]].Name }

// input returns input i of the operator, computed from the picture.
func (r *reader) input(i int) (assemble.Value, error) {
	t := -1
	if i < len(r.op.Inputs) {
		t = r.op.Inputs[i]
	}
	if v, ok := r.values[t]; ok {
		return v, nil
	}
	if t >= 0 {
		return assemble.Value{}, fmt.Errorf("its input %.100q is not computed from the picture", r.model.Tensors[t].Name)
	}
	return assemble.Value{}, errors.New("it lacks an input")
}

// constant returns input i, real numbers known from the file, and their shape; nil where there is no such input.
func (r *reader) constant(i int) ([]float32, []int, error) {
	if i >= len(r.op.Inputs) || r.op.Inputs[i] < 0 {
		return nil, nil, nil
	}
	at := r.op.Inputs[i]
	t := &r.model.Tensors[at]
	if c, ok := r.constants[at]; ok {
		return c, t.Shape, nil
	}
	data := r.model.Data(at)
	if len(data) == 0 {
		return nil, nil, fmt.Errorf("its input %.100q is not constant", t.Name)
	}
	var c []float32
	switch t.Type {
	case Float32:
		c = ToFloat32s(data)
	case Float16:
		c = nn.F16.Decode(data)
	default:
		return nil, nil, fmt.Errorf("its constant %.100q is %v", t.Name, t.Type)
	}
	if err := r.b.Spend(len(c)); err != nil {
		return nil, nil, err
	}
	r.constants[at] = c
	return c, t.Shape, nil
}

// isConstant reports whether input i is one.
func (r *reader) isConstant(i int) bool {
	t := r.op.Inputs[i]
	_, decoded := r.constants[t]
	return decoded || t >= 0 && len(r.model.Data(t)) > 0
}

// ints returns input i, integers known from the file.
func (r *reader) ints(i int) ([]int, error) {
	if i >= len(r.op.Inputs) || r.op.Inputs[i] < 0 {
		return nil, errors.New("it lacks an input")
	}
	t := &r.model.Tensors[r.op.Inputs[i]]
	data := r.model.Data(r.op.Inputs[i])
	if t.Type != Int32 || len(data) == 0 || len(data) > 4*8 {
		return nil, fmt.Errorf("its input %.100q is no short list of constant integers", t.Name)
	}
	return ToInts(data), nil
}

// needed reports for each operator whether tensor out depends on it.
func (m *Model) needed(out int) []bool {
	return assemble.Needed(len(m.Operators), out,
		func(i int) []int { return m.Operators[i].Outputs }, func(i int) []int { return m.Operators[i].Inputs })
}
