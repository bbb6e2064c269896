package onnxfile

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

// Network reads the graph of an ONNX model that computes a vector of an RGB picture, float [1 or N, 3, H, W] or
// [1 or N, H, W, 3], as a network without batch norms for pixel/127.5−1. A division by the vector's length at its end is
// left out: embeddings are normalised where they are used.
//
// It takes convolutions with one group or one per channel and square kernels, batch norms, dense layers, sums, products,
// pools, concatenations, zero padding, generalised means, ReLU, ReLU6, leaky and parametric ReLU, sigmoid, SiLU, hard sigmoid and hard swish, as
// operators or written out, of operator sets 7 and later. What it cannot represent it refuses, naming the operator. The
// bytes may be hostile; the memory taken is bounded by a small multiple of their number.
func Network(raw []byte, opt ReadOptions) (*nn.Network, nn.Weights, error) {
	net, w, err := readNetwork(raw, &opt)
	if err != nil {
		return nil, nil, fmt.Errorf("read ONNX: %w", err)
	}
	return net, w, nil
}

func readNetwork(raw []byte, opt *ReadOptions) (*nn.Network, nn.Weights, error) {
	if err := opt.Check(); err != nil {
		return nil, nil, err
	}
	g, err := parse(raw)
	if err != nil {
		return nil, nil, err
	}
	return g.network(opt, len(raw)+spareFloats)
}

// network builds the network, with at most budget floats that are not in the file.
func (g *graph) network(opt *ReadOptions, budget int) (*nn.Network, nn.Weights, error) {
	in, x, err := g.picture(opt)
	if err != nil {
		return nil, nil, err
	}
	out, err := g.output(opt.Output)
	if err != nil {
		return nil, nil, err
	}
	r := reader{graph: g, values: map[string]operand{}, summed: g.summed(), b: assemble.New(x.value.Shape, budget), batch: max(in.dims[0], 1)}
	if x.value, err = r.b.Picture(opt); err != nil {
		return nil, nil, err
	}
	r.values[in.name] = x
	for name, c := range g.constants {
		r.values[name] = operand{constant: c}
	}
	for i, needed := range g.needed(out) {
		if !needed {
			continue
		}
		if err := r.operator(&g.nodes[i]); err != nil {
			return nil, nil, err
		}
	}
	v, err := r.input(out)
	if err != nil {
		return nil, nil, fmt.Errorf("output %q: %w", out, err)
	}
	return r.b.Network(g.name, v.value)
}

// picture returns the graph's only input that is no constant, and how it is laid out.
func (g *graph) picture(opt *ReadOptions) (info, operand, error) {
	inputs := slices.DeleteFunc(slices.Clone(g.inputs), func(i info) bool { return g.constants[i.name] != nil })
	if len(inputs) != 1 {
		return info{}, operand{}, fmt.Errorf("it has %d inputs, an embedder has one picture", len(inputs))
	}
	in := inputs[0]
	if in.elem != typeFloat && in.elem != typeHalf {
		return in, operand{}, fmt.Errorf("its input %q has no real numbers (type %d): export the float model", in.name, in.elem)
	}
	if len(in.dims) != 4 {
		return in, operand{}, fmt.Errorf("its input %q has %d dimensions instead of [N, 3, H, W]", in.name, len(in.dims))
	}
	x := operand{layout: planes}
	d := in.dims
	if d[1] != 3 && d[3] == 3 {
		x.layout, d = pixels, []int{d[0], d[3], d[1], d[2]}
	}
	h, w := d[2], d[3]
	switch {
	case opt.Size == 0 && (h == 0 || w == 0):
		return in, x, errors.New("its input's height and width are open: give the size (--size)")
	case opt.Size > 0 && (h > 0 && h != opt.Size || w > 0 && w != opt.Size):
		return in, x, fmt.Errorf("its input is fixed at %d×%d, not %d: leave the size out, or export it with that one", h, w, opt.Size)
	case opt.Size > 0:
		h, w = opt.Size, opt.Size
	}
	x.value.Shape = nn.Shape{H: h, W: w, C: max(d[1], 3)} // an open number of channels is three
	x.dims = x.layout.dims(x.value.Shape)
	return in, x, assemble.CheckInput(x.value.Shape)
}

// output returns the name of the value that is the embedding: one of the graph's, or of those inside it.
func (g *graph) output(name string) (string, error) {
	if name == "" {
		if len(g.outputs) != 1 {
			return "", fmt.Errorf("it has %d outputs: choose one of %s", len(g.outputs), list(g.outputs))
		}
		return g.outputs[0], nil
	}
	for i := range g.nodes {
		o := &g.nodes[i]
		if slices.Contains(o.outputs, name) {
			return name, nil
		}
		if o.name == name && len(o.outputs) > 0 {
			return o.outputs[0], nil
		}
	}
	return "", fmt.Errorf("it has no value %q; its outputs are %s, and inside it the last are %s", name, list(g.outputs), list(g.last(5)))
}

// last returns the names of the values of the last nodes.
func (g *graph) last(n int) []string {
	var names []string
	for _, o := range g.nodes[max(len(g.nodes)-n, 0):] {
		names = append(names, o.outputs...)
	}
	return names
}

func list(names []string) string {
	quoted := make([]string, min(len(names), 10))
	for i := range quoted {
		quoted[i] = fmt.Sprintf("%.100q", names[i])
	}
	return strings.Join(quoted, ", ")
}

// needed reports for each node whether the value out depends on it.
func (g *graph) needed(out string) []bool {
	return assemble.Needed(len(g.nodes), out,
		func(i int) []string { return g.nodes[i].outputs }, func(i int) []string { return g.nodes[i].inputs })
}
