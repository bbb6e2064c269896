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

// The bounds of a map: what is larger is a mistake or malice.
const (
	maxSide     = 8192
	maxChannels = 1 << 16
	maxValues   = 1 << 28
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

// Window is how a kernel slides over a map.
type Window struct {
	Kernel, Stride           int
	Top, Bottom, Left, Right int  // padding
	Ceil                     bool // a last window that is not full counts
}

// SameWindow is padded as TensorFlow's SAME pads a map of that shape.
func SameWindow(kernel, stride int, s nn.Shape) Window {
	w := Window{Kernel: kernel, Stride: stride}
	if kernel > 0 && stride > 0 {
		w.Top, w.Bottom = nn.Padding(s.H, kernel, stride)
		w.Left, w.Right = nn.Padding(s.W, kernel, stride)
	}
	return w
}

func (w *Window) over(s nn.Shape, channels int) (nn.Shape, error) {
	if w.Kernel <= 0 || w.Stride <= 0 || w.Kernel > maxSide || w.Stride > maxSide {
		return nn.Shape{}, fmt.Errorf("a kernel of %d with stride %d", w.Kernel, w.Stride)
	}
	if min(w.Top, w.Bottom, w.Left, w.Right) < 0 || max(w.Top, w.Bottom, w.Left, w.Right) > maxSide {
		return nn.Shape{}, fmt.Errorf("padding of %d, %d, %d, %d", w.Top, w.Left, w.Bottom, w.Right)
	}
	along := func(size, before, after int) int {
		room := size + before + after - w.Kernel
		if room < 0 {
			return 0
		}
		out := room/w.Stride + 1
		if w.Ceil && room%w.Stride != 0 && out*w.Stride < size+before { // a window must begin on the map
			out++
		}
		return out
	}
	return nn.Shape{H: along(s.H, w.Top, w.Bottom), W: along(s.W, w.Left, w.Right), C: channels}, nil
}

// Conv is a convolution with weight [out, in, k, k], or [channels, 1, k, k] where it is depthwise; a nil bias is zero.
func (b *Builder) Conv(name string, x Value, w Window, depthwise bool, weight, bias []float32) (Value, error) {
	kind, in := nn.Conv, x.Shape.C
	if depthwise {
		kind, in = nn.Depthwise, 1
	}
	if w.Kernel <= 0 || w.Kernel > maxSide || len(weight) == 0 || len(weight)%(in*w.Kernel*w.Kernel) != 0 {
		return Value{}, fmt.Errorf("%d weights for %d channels and a kernel of %d", len(weight), in, w.Kernel)
	}
	channels := len(weight) / (in * w.Kernel * w.Kernel)
	if depthwise && channels != x.Shape.C {
		return Value{}, fmt.Errorf("a depthwise convolution from %d to %d channels", x.Shape.C, channels)
	}
	shape, err := w.over(x.Shape, channels)
	if err != nil {
		return Value{}, err
	}
	if bias, err = b.offsets(bias, channels); err != nil {
		return Value{}, err
	}
	if kind == nn.Conv && w.Kernel == 1 && x.Shape.H == 1 && x.Shape.W == 1 && shape.H == 1 && shape.W == 1 {
		return b.Dense(name, x, weight, bias)
	}
	return b.add(node{
		Layer: nn.Layer{Name: name, Kind: kind, Kernel: w.Kernel, Stride: w.Stride}, shape: shape,
		weight: weight, bias: bias, top: w.Top, left: w.Left,
	}, x)
}

// Dense is a fully connected layer with weight [out, in]; a nil bias is zero. On a map larger than 1×1, whose values it
// takes in the order C, H, W, it becomes the convolution that it is.
func (b *Builder) Dense(name string, x Value, weight, bias []float32) (Value, error) {
	if x.Shape.H != 1 || x.Shape.W != 1 {
		if x.Shape.H != x.Shape.W {
			return Value{}, fmt.Errorf("a dense layer on a map of %v, which is not square", x.Shape)
		}
		return b.Conv(name, x, Window{Kernel: x.Shape.H, Stride: 1}, false, weight, bias)
	}
	if len(weight) == 0 || len(weight)%x.Shape.C != 0 {
		return Value{}, fmt.Errorf("%d weights for %d channels", len(weight), x.Shape.C)
	}
	channels := len(weight) / x.Shape.C
	bias, err := b.offsets(bias, channels)
	if err != nil {
		return Value{}, err
	}
	return b.add(node{Layer: nn.Layer{Name: name, Kind: nn.Dense}, shape: nn.Shape{H: 1, W: 1, C: channels}, weight: weight, bias: bias}, x)
}

func (b *Builder) offsets(bias []float32, channels int) ([]float32, error) {
	if bias == nil {
		return b.floats(channels)
	}
	if len(bias) != channels {
		return nil, fmt.Errorf("%d biases for %d channels", len(bias), channels)
	}
	return bias, nil
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

// MaxPool takes the largest value under the window, its padding left out.
func (b *Builder) MaxPool(name string, x Value, w Window) (Value, error) {
	return b.pool(name, nn.MaxPool, x, w, false)
}

// AvgPool takes the mean under the window, in which its padding counts as zeros where ones is set. One window over all
// of the map is a global average.
func (b *Builder) AvgPool(name string, x Value, w Window, ones bool) (Value, error) {
	return b.pool(name, nn.AvgPool, x, w, ones)
}

func (b *Builder) pool(name string, kind nn.Kind, x Value, w Window, ones bool) (Value, error) {
	shape, err := w.over(x.Shape, x.Shape.C)
	if err != nil {
		return Value{}, err
	}
	none := max(w.Top, w.Left, w.Bottom, w.Right) == 0
	if kind == nn.AvgPool && none && shape.H == 1 && shape.W == 1 && w.Kernel == x.Shape.H && w.Kernel == x.Shape.W {
		return b.GlobalAvg(name, x)
	}
	if max(w.Top, w.Left, w.Bottom, w.Right) >= w.Kernel {
		return Value{}, fmt.Errorf("a pool padded by as much as its kernel of %d", w.Kernel)
	}
	return b.add(node{
		Layer: nn.Layer{Name: name, Kind: kind, Kernel: w.Kernel, Stride: w.Stride}, shape: shape, top: w.Top, left: w.Left, ones: ones && !none,
	}, x)
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
