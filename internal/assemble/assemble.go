// Package assemble makes nn networks of graphs made elsewhere, whose operators are smaller than nn's layers: a Builder
// takes them one by one, and Network fuses them. Batch norms and other constant factors go into the convolution before
// them, activations into their layer, written-out forms of hard-swish and of generalised means become the layers they
// stand for, and padding becomes a mode of its layer where there is one for it.
//
// The numbers in a graph may be hostile. A Builder allocates no more floats than the budget it is given, and refuses
// maps and channels far beyond any embedder's.
package assemble

import (
	"cmp"
	"errors"
	"fmt"
	"math"

	"xbmedge/internal/nn"
)

// The bounds of a map and of a graph: what is larger is a mistake or malice.
const (
	maxSide     = 8192
	maxChannels = 1 << 16
	maxValues   = 1 << 28
	maxNodes    = 1 << 14
)

// Value is an intermediate value of the graph under construction; the zero Value belongs to no Builder.
type Value struct {
	node  int // or nn.Input
	Shape nn.Shape
}

// Builder gathers the operators of one graph. It is not safe for concurrent use.
type Builder struct {
	Origin string // what the next operators are called in errors; empty: as their values
	input  nn.Shape
	nodes  []node
	budget int // of floats that may still be allocated
}

// The kinds of nodes that are no layers yet.
const (
	affine   nn.Kind = "affine"   // weight·x+bias of each channel
	activate nn.Kind = "activate" // gain·activation(x)
	floor    nn.Kind = "floor"    // max(x, number)
	power    nn.Kind = "power"    // x^number
	unit     nn.Kind = "unit"     // x divided by its length
)

// node is an operator. What it is called is also the name of its value.
type node struct {
	nn.Layer     // Padding is only known at the end
	origin       string
	shape        nn.Shape
	weight, bias []float32 // of a weighted layer or an affine
	number       float64
	gain         float64
	top, left    int  // padding of a window; what it needs at the other ends follows from the shapes
	ones         bool // an average that counts its padding
}

// New returns a builder of a network for pictures of that shape. It allocates at most budget floats for weights that it
// has to change.
func New(input nn.Shape, budget int) *Builder { return &Builder{input: input, budget: budget} }

// Input is the picture.
func (b *Builder) Input() Value { return Value{nn.Input, b.input} }

// Spend takes n floats off the budget, or refuses.
func (b *Builder) Spend(n int) error {
	if n < 0 || n > b.budget {
		return errors.New("the graph needs far more memory than its file has bytes: it is damaged")
	}
	b.budget -= n
	return nil
}

// floats allocates within the budget.
func (b *Builder) floats(n int) ([]float32, error) {
	if err := b.Spend(n); err != nil {
		return nil, err
	}
	return make([]float32, n), nil
}

func (b *Builder) add(n node, inputs ...Value) (Value, error) {
	s := n.shape
	if s.H <= 0 || s.W <= 0 || s.C <= 0 || s.H > maxSide || s.W > maxSide || s.C > maxChannels || s.H*s.W > maxValues/s.C {
		return Value{}, fmt.Errorf("it gives a map of %v", s)
	}
	if len(b.nodes) >= maxNodes {
		return Value{}, fmt.Errorf("it is one of more than %d: no embedder has so many", maxNodes)
	}
	for _, in := range inputs {
		n.Inputs = append(n.Inputs, in.node)
	}
	n.origin, n.Channels, n.gain = cmp.Or(b.Origin, n.Name), s.C, 1
	if n.Activation == "" {
		n.Activation = nn.Linear
	}
	b.nodes = append(b.nodes, n)
	return Value{len(b.nodes) - 1, s}, nil
}

// Affine is scale·x+shift of each channel. Either may be nil, and have one value for all channels.
func (b *Builder) Affine(name string, x Value, scale, shift []float32) (Value, error) {
	spread := func(values []float32, otherwise float32) ([]float32, error) {
		if len(values) > 1 && len(values) != x.Shape.C {
			return nil, fmt.Errorf("%d constants for %d channels", len(values), x.Shape.C)
		}
		if len(values) == 1 {
			otherwise = values[0]
		}
		if len(values) == x.Shape.C {
			return values, nil
		}
		out, err := b.floats(x.Shape.C)
		for c := range out {
			out[c] = otherwise
		}
		return out, err
	}
	weight, err := spread(scale, 1)
	if err != nil {
		return Value{}, err
	}
	bias, err := spread(shift, 0)
	if err != nil {
		return Value{}, err
	}
	return b.add(node{Layer: nn.Layer{Name: name, Kind: affine}, shape: x.Shape, weight: weight, bias: bias}, x)
}

// Activate applies a function to every value.
func (b *Builder) Activate(name string, x Value, a nn.Activation) (Value, error) {
	return b.add(node{Layer: nn.Layer{Name: name, Kind: activate, Activation: a}, shape: x.Shape}, x)
}

// HardSigmoid is max(0, min(1, alpha·x+beta)); ReLU6(x+3)/6 is the one with 1/6 and 1/2.
func (b *Builder) HardSigmoid(name string, x Value, alpha, beta float64) (Value, error) {
	y, err := b.Affine(name, x, []float32{float32(6 * alpha)}, []float32{float32(6*beta - 3)})
	if err != nil {
		return Value{}, err
	}
	return b.Activate(name, y, nn.HSigmoid)
}

// Leaky is x where that is positive and slope·x elsewhere, with a slope for all channels or one for each. As no layer does
// that, it becomes slope·x + (1−slope)·ReLU(x).
func (b *Builder) Leaky(name string, x Value, slope []float32) (Value, error) {
	rest, err := b.floats(len(slope))
	if err != nil {
		return Value{}, err
	}
	for c, v := range slope {
		rest[c] = 1 - v
	}
	positive, err := b.Activate(name+"/positive", x, nn.ReLU)
	if err != nil {
		return Value{}, err
	}
	if positive, err = b.Affine(name+"/rest", positive, rest, nil); err != nil {
		return Value{}, err
	}
	sloped, err := b.Affine(name+"/sloped", x, slope, nil)
	if err != nil {
		return Value{}, err
	}
	return b.Add(name, sloped, positive)
}

// Clip limits the values to low … high.
func (b *Builder) Clip(name string, x Value, low, high float64) (Value, error) {
	switch {
	case low <= -math.MaxFloat32 && high >= math.MaxFloat32:
		return x, nil
	case low == 0 && high >= math.MaxFloat32:
		return b.Activate(name, x, nn.ReLU)
	case low == 0 && high == 6:
		return b.Activate(name, x, nn.ReLU6)
	case low == 0 && high == 1:
		return b.HardSigmoid(name, x, 1, 0)
	case high >= math.MaxFloat32:
		return b.add(node{Layer: nn.Layer{Name: name, Kind: floor}, shape: x.Shape, number: low}, x)
	}
	return Value{}, fmt.Errorf("it clips to %g … %g: only ReLU, ReLU6 and 0 … 1 can be represented", low, high)
}

// Ceiling limits the values to at most high: six or one, where they are never negative, as in a ReLU6 in two steps.
func (b *Builder) Ceiling(name string, x Value, high float64) (Value, error) {
	if n := x.node; n == nn.Input || b.nodes[n].Kind != activate || b.nodes[n].Activation != nn.ReLU {
		return Value{}, fmt.Errorf("it clips to at most %g: only ReLU, ReLU6 and 0 … 1 can be represented", high)
	}
	return b.Clip(name, x, 0, high)
}

// Power is x^p, of which only generalised means can be made.
func (b *Builder) Power(name string, x Value, p float64) (Value, error) {
	return b.add(node{Layer: nn.Layer{Name: name, Kind: power}, shape: x.Shape, number: p}, x)
}

// Unit divides a vector by its length. At the end of the graph it is left out: embeddings are normalised where they are
// used. Anywhere else it is refused.
func (b *Builder) Unit(name string, x Value) (Value, error) {
	if x.Shape.H != 1 || x.Shape.W != 1 {
		return Value{}, fmt.Errorf("it normalises a map of %v, not a vector", x.Shape)
	}
	return b.add(node{Layer: nn.Layer{Name: name, Kind: unit}, shape: x.Shape}, x)
}

// Add is the sum of two maps of the same shape.
func (b *Builder) Add(name string, x, y Value) (Value, error) {
	if x.Shape != y.Shape {
		return Value{}, fmt.Errorf("it adds %v and %v", x.Shape, y.Shape)
	}
	return b.add(node{Layer: nn.Layer{Name: name, Kind: nn.Add}, shape: x.Shape}, x, y)
}

// Mul is the product of two maps of the same shape, or of a map and a vector.
func (b *Builder) Mul(name string, x, y Value) (Value, error) {
	if x.Shape.H == 1 && x.Shape.W == 1 {
		x, y = y, x
	}
	if x.Shape != y.Shape && y.Shape != (nn.Shape{H: 1, W: 1, C: x.Shape.C}) {
		return Value{}, fmt.Errorf("it multiplies %v with %v", x.Shape, y.Shape)
	}
	return b.add(node{Layer: nn.Layer{Name: name, Kind: nn.Mul}, shape: x.Shape}, x, y)
}

// GlobalAvg is the mean over height and width.
func (b *Builder) GlobalAvg(name string, x Value) (Value, error) {
	return b.add(node{Layer: nn.Layer{Name: name, Kind: nn.GlobalAvg}, shape: nn.Shape{H: 1, W: 1, C: x.Shape.C}}, x)
}

// Concat puts the channels of maps one after the other.
func (b *Builder) Concat(name string, xs ...Value) (Value, error) {
	if len(xs) == 1 {
		return xs[0], nil
	}
	if len(xs) == 0 {
		return Value{}, errors.New("it joins nothing")
	}
	shape := nn.Shape{H: xs[0].Shape.H, W: xs[0].Shape.W}
	for _, x := range xs {
		if x.Shape.H != shape.H || x.Shape.W != shape.W {
			return Value{}, fmt.Errorf("it joins %v and %v", xs[0].Shape, x.Shape)
		}
		shape.C = min(shape.C+x.Shape.C, math.MaxInt32)
	}
	return b.add(node{Layer: nn.Layer{Name: name, Kind: nn.Concat}, shape: shape}, xs...)
}

// Pad adds zeros around a map.
func (b *Builder) Pad(name string, x Value, by nn.Margins) (Value, error) {
	if min(by.Top, by.Bottom, by.Left, by.Right) < 0 || max(by.Top, by.Bottom, by.Left, by.Right) > maxSide {
		return Value{}, fmt.Errorf("it pads by %+v", by)
	}
	shape := nn.Shape{H: x.Shape.H + by.Top + by.Bottom, W: x.Shape.W + by.Left + by.Right, C: x.Shape.C}
	return b.add(node{Layer: nn.Layer{Name: name, Kind: nn.Pad, Around: by}, shape: shape}, x)
}
