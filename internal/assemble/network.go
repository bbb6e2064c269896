package assemble

import (
	"errors"
	"fmt"
	"strings"
	"unicode"

	"xbmedge/internal/nn"
)

// Network returns the network that computes out, a vector, and its weights. The Builder is used up.
func (b *Builder) Network(name string, out Value) (*nn.Network, nn.Weights, error) {
	last := out.node
	for last != nn.Input && b.nodes[last].Kind == unit {
		last = b.nodes[last].Inputs[0]
	}
	if last == nn.Input {
		return nil, nil, errors.New("the graph computes nothing")
	}
	for _, rule := range []func(*pass, int) error{forms, fold, activations, padding} {
		var err error
		if last, err = b.rewrite(last, rule); err != nil {
			return nil, nil, err
		}
		if last == nn.Input {
			return nil, nil, errors.New("the graph computes nothing")
		}
	}
	if s := b.nodes[last].shape; s.H != 1 || s.W != 1 {
		return nil, nil, fmt.Errorf("it ends in a map of %v, not in a vector: choose an output that is one", s)
	}
	e := emitter{
		Builder: b, net: &nn.Network{Name: clean(name), Input: b.input}, weights: nn.Weights{},
		at: make([]int, len(b.nodes)), taken: map[string]int{"input": 1, "output": 1},
	}
	uses := b.uses(last)
	for i := range b.nodes[:last+1] {
		if uses[i] == 0 {
			continue
		}
		if err := e.node(i); err != nil {
			return nil, nil, fmt.Errorf("%s: %w", b.nodes[i].origin, err)
		}
	}
	if err := e.net.Check(e.weights); err != nil {
		return nil, nil, err
	}
	return e.net, e.weights, nil
}

// emitter writes nodes as layers.
type emitter struct {
	*Builder
	net     *nn.Network
	weights nn.Weights
	at      []int // the layer of every node
	taken   map[string]int
}

func (e *emitter) node(i int) error {
	n := &e.nodes[i]
	l := n.Layer
	l.Inputs = make([]int, len(n.Inputs))
	for k, j := range n.Inputs {
		l.Inputs[k] = nn.Input
		if j != nn.Input {
			l.Inputs[k] = e.at[j]
		}
	}
	weight, bias := n.weight, n.bias
	switch n.Kind {
	case floor, power:
		return errors.New("only a generalised mean, with the least value 1e-6, may have powers and lower bounds")
	case unit:
		return errors.New("a vector is divided by its length before the end of the network: choose the vector as the output")
	case affine:
		l.Kind, l.Kernel, l.Stride = nn.Depthwise, 1, 1
	case activate:
		l.Kind, l.Kernel, l.Stride = nn.Depthwise, 1, 1
		var err error
		if weight, bias, err = e.constant(n.shape.C, 1); err != nil {
			return err
		}
	case nn.Conv, nn.Depthwise, nn.MaxPool, nn.AvgPool:
		if err := e.window(n, &l); err != nil {
			return err
		}
	}
	e.at[i] = e.layer(l, weight, bias)
	if n.Kind == activate && n.gain != 1 {
		weight, bias, err := e.constant(n.shape.C, float32(n.gain))
		if err != nil {
			return err
		}
		scaled := nn.Layer{Name: n.Name, Kind: nn.Depthwise, Inputs: []int{e.at[i]}, Channels: n.shape.C, Kernel: 1, Stride: 1, Activation: nn.Linear}
		e.at[i] = e.layer(scaled, weight, bias)
	}
	return nil
}

// constant returns the weights and biases of a multiplication of all channels with v.
func (b *Builder) constant(channels int, v float32) (weight, bias []float32, err error) {
	values, err := b.floats(2 * channels)
	if err != nil {
		return nil, nil, err
	}
	for c := range channels {
		values[c] = v
	}
	return values[:channels], values[channels:], nil
}

// layer appends a layer and its weights under a name of its own.
func (e *emitter) layer(l nn.Layer, weight, bias []float32) int {
	l.Name = e.name(l.Name)
	in := l.Channels
	if j := l.Inputs[0]; l.Kind == nn.Conv || l.Kind == nn.Dense {
		in = e.net.Input.C
		if j != nn.Input {
			in = e.net.Layers[j].Channels
		}
	}
	switch {
	case l.Kind == nn.GeM:
		e.weights[l.Name+nn.GeMPower] = &nn.Tensor{Shape: []int{1}, Data: weight}
	case l.Weighted():
		e.weights[l.Name+".weight"] = &nn.Tensor{Shape: l.WeightShape(in), Data: weight}
		e.weights[l.Name+".bias"] = &nn.Tensor{Shape: []int{l.Channels}, Data: bias}
	}
	e.net.Layers = append(e.net.Layers, l)
	return len(e.net.Layers) - 1
}

// window finds the padding mode of a layer, and puts a layer of zeros before it where there is none for it.
func (e *emitter) window(n *node, l *nn.Layer) error {
	from := e.input
	if j := n.Inputs[0]; j != nn.Input {
		from = e.nodes[j].shape
	}
	a := nn.Margins{Top: n.top, Left: n.left}
	a.Bottom = max((n.shape.H-1)*n.Stride+n.Kernel-from.H-n.top, 0)
	a.Right = max((n.shape.W-1)*n.Stride+n.Kernel-from.W-n.left, 0)
	full := n.shape.H == (from.H+n.Stride-1)/n.Stride && n.shape.W == (from.W+n.Stride-1)/n.Stride
	same := SameWindow(n.Kernel, n.Stride, from)
	switch {
	case n.ones: // below
	case full && a == nn.Margins{Top: same.Top, Bottom: same.Bottom, Left: same.Left, Right: same.Right}:
		return nil
	case a == nn.Margins{} && from.H >= n.Kernel && from.W >= n.Kernel:
		l.Padding = nn.Valid
		return nil
	case n.Kind == nn.AvgPool:
		return fmt.Errorf("its mean leaves out padding of %+v, which cannot be represented", a)
	case n.Kind == nn.MaxPool && !e.neverNegative(n.Inputs[0]):
		return fmt.Errorf("it is padded by %+v, which is only supported after a ReLU", a)
	case full && n.Kernel%2 == 1 && a.Top == n.Kernel/2 && a.Left == n.Kernel/2:
		l.Padding = nn.Symmetric
		return nil
	}
	pad := nn.Layer{Name: n.Name + ".pad", Kind: nn.Pad, Inputs: l.Inputs, Channels: from.C, Activation: nn.Linear, Around: a}
	l.Padding, l.Inputs = nn.Valid, []int{e.layer(pad, nil, nil)}
	return nil
}

// name returns a layer name of its own for that of a value. A slash would name a value inside a layer.
func (e *emitter) name(value string) string {
	base := clean(value)
	for {
		e.taken[base]++
		if e.taken[base] == 1 {
			return base
		}
		next := fmt.Sprintf("%s_%d", base, e.taken[base])
		if e.taken[next] == 0 {
			e.taken[next] = 1
			return next
		}
	}
}

// clean leaves printable characters of a name, and dots for slashes.
func clean(name string) string {
	name = strings.Map(func(r rune) rune {
		switch {
		case r == '/' || r == '\\':
			return '.'
		case !unicode.IsGraphic(r) || unicode.IsSpace(r) || r == unicode.ReplacementChar:
			return '_'
		}
		return r
	}, name)
	if name = strings.Trim(name, "."); name == "" {
		return "layer"
	}
	if r := []rune(name); len(r) > 100 {
		name = string(r[len(r)-100:])
	}
	return name
}
