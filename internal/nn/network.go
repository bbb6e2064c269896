// Package nn describes the embedding networks: their layers, their weights and the files the weights live in.
// It knows no gradients and no engine; the trainer lowers a Network to GoMLX and tflitefile lowers it to TFLite.
//
// All feature maps are NHWC. Convolutions and pools give ceil(input/stride) outputs. Layer.Padding says where the rows
// and columns that this takes are added: as TensorFlow does it, or as PyTorch and Paddle do. Networks made elsewhere may
// also have layers that are not padded at all, or by a layer of its own.
package nn

import (
	"fmt"
	"slices"
	"strings"
)

// Kind names what a layer computes.
type Kind string

// The kinds of layers.
const (
	Conv      Kind = "conv"      // weight [out, in, k, k], bias [out]
	Depthwise Kind = "depthwise" // weight [channels, 1, k, k], bias [channels]
	Dense     Kind = "dense"     // weight [out, in], bias [out]; input and output are [1, 1, C]
	Add       Kind = "add"       // elementwise sum of two maps of the same shape
	Mul       Kind = "mul"       // [H, W, C] times [1, 1, C] or [H, W, C]
	MaxPool   Kind = "maxpool"   // largest value under the kernel, padding left out
	AvgPool   Kind = "avgpool"   // mean under the kernel, padding left out
	GlobalAvg Kind = "globalavg" // mean over height and width: [H, W, C] to [1, 1, C]
	// GeM is the generalised mean over height and width, mean(max(x, GeMFloor)^p)^(1/p), of Radenović et al. (TPAMI
	// 2019, arXiv 1711.02512); p [1] is trained unless the layer is Frozen.
	GeM Kind = "gem"
	// Concat puts the channels of two or more maps of the same height and width one after the other.
	Concat Kind = "concat"
	// Pad adds Layer.Around, rows and columns of zeros, to a map: padding that no PaddingMode describes.
	Pad Kind = "pad"
)

// GeMFloor is the least value that enters a generalised mean.
const GeMFloor = 1e-6

// Activation is applied to a layer's output.
type Activation string

// The activations.
const (
	Linear Activation = "linear"
	ReLU   Activation = "relu"
	ReLU6  Activation = "relu6"
	// HSwish is x·hsigmoid(x), and HSigmoid relu6(x+3)/6 (Howard et al., ICCV 2019, arXiv 1905.02244).
	HSwish   Activation = "hswish"
	HSigmoid Activation = "hsigmoid"
	// Sigmoid is 1/(1+e⁻ˣ), and SiLU x·sigmoid(x) (Elfwing et al., Neural Networks 2018, arXiv 1702.03118).
	Sigmoid Activation = "sigmoid"
	SiLU    Activation = "silu"
)

// PaddingMode says where a layer's padding goes.
type PaddingMode string

// The ways to pad. Same and Symmetric differ only at strides above 1.
const (
	Same      PaddingMode = "same"      // TensorFlow's SAME: an odd amount puts the larger half after
	Symmetric PaddingMode = "symmetric" // as PyTorch's padding=kernel/2: the same before at every size; odd kernels only
	Valid     PaddingMode = "valid"     // none: ⌊(input−kernel)/stride⌋+1 outputs, what does not fill a window is left out
)

// Input stands for the network's input in Layer.Inputs.
const Input = -1

// Layer is one step of a network. Its weights are named Name+".weight" and Name+".bias"; with BatchNorm there are
// also Name+".bn.{scale,offset,mean,variance}", each [Channels], and no bias. A GeM layer has Name+".p" alone.
type Layer struct {
	Name       string      `json:"name"`
	Kind       Kind        `json:"kind"`
	Inputs     []int       `json:"inputs"` // indices of earlier layers, or Input
	Channels   int         `json:"channels"`
	Kernel     int         `json:"kernel,omitempty"`  // square kernel; 0 where there is none
	Stride     int         `json:"stride,omitempty"`  // 0 where there is none
	Padding    PaddingMode `json:"padding,omitempty"` // empty: Same
	Activation Activation  `json:"activation"`
	BatchNorm  bool        `json:"batch_norm,omitempty"`
	Epsilon    float64     `json:"epsilon,omitempty"` // of the batch norm; 0: BatchNormEpsilon
	Frozen     bool        `json:"frozen,omitempty"`  // its parameters are never trained
	Around     Margins     `json:"around,omitzero"`   // of a Pad layer
}

// Margins are how many rows and columns of zeros a Pad layer adds on each side.
type Margins struct {
	Top    int `json:"top"`
	Bottom int `json:"bottom"`
	Left   int `json:"left"`
	Right  int `json:"right"`
}

// Weighted reports whether the layer has a weight tensor.
func (l *Layer) Weighted() bool { return l.Kind == Conv || l.Kind == Depthwise || l.Kind == Dense }

// Shape is the size of one sample's feature map: height, width, channels.
type Shape struct {
	H int `json:"h"`
	W int `json:"w"`
	C int `json:"c"`
}

// Size returns the number of values in the map.
func (s Shape) Size() int { return s.H * s.W * s.C }

func (s Shape) String() string { return fmt.Sprintf("%d×%d×%d", s.H, s.W, s.C) }

// Network is a list of layers in an order in which they can be computed; the last one is the output.
type Network struct {
	Name   string  `json:"name"`
	Input  Shape   `json:"input"`
	Layers []Layer `json:"layers"`
}

// Output returns the shape of the last layer's output.
func (n *Network) Output() (Shape, error) {
	shapes, err := n.Shapes()
	if err != nil {
		return Shape{}, err
	}
	return shapes[len(shapes)-1], nil
}

// Index returns the position of the layer of that name, or an error that names it.
func (n *Network) Index(name string) (int, error) {
	i := slices.IndexFunc(n.Layers, func(l Layer) bool { return l.Name == name })
	if i < 0 {
		names := make([]string, len(n.Layers))
		for i := range n.Layers {
			names[i] = n.Layers[i].Name
		}
		return 0, fmt.Errorf("network %s has no layer %q; it has %s", n.Name, name, strings.Join(names, ", "))
	}
	return i, nil
}

// InputShapes returns the shapes of the inputs of layer i, given the result of Shapes.
func (n *Network) InputShapes(i int, shapes []Shape) []Shape {
	in := make([]Shape, len(n.Layers[i].Inputs))
	for k, j := range n.Layers[i].Inputs {
		if j == Input {
			in[k] = n.Input
		} else {
			in[k] = shapes[j]
		}
	}
	return in
}

// Shapes returns the output shape of every layer, or an error that names the first layer that does not fit.
func (n *Network) Shapes() ([]Shape, error) {
	if len(n.Layers) == 0 {
		return nil, fmt.Errorf("network %s has no layers", n.Name)
	}
	shapes := make([]Shape, len(n.Layers))
	seen := map[string]bool{}
	for i := range n.Layers {
		l := &n.Layers[i]
		if l.Name == "" || seen[l.Name] {
			return nil, fmt.Errorf("network %s: layer %d: name %q is empty or taken", n.Name, i, l.Name)
		}
		seen[l.Name] = true
		for _, j := range l.Inputs {
			if j != Input && (j < 0 || j >= i) {
				return nil, fmt.Errorf("network %s: layer %s: input %d is not an earlier layer", n.Name, l.Name, j)
			}
		}
		s, err := l.shape(n.InputShapes(i, shapes))
		if err != nil {
			return nil, fmt.Errorf("network %s: layer %s: %w", n.Name, l.Name, err)
		}
		shapes[i] = s
	}
	return shapes, nil
}

func (l *Layer) shape(in []Shape) (Shape, error) {
	want := 1
	if l.Kind == Add || l.Kind == Mul {
		want = 2
	}
	if len(in) != want && (l.Kind != Concat || len(in) < 2) {
		return Shape{}, fmt.Errorf("a %s layer takes %d inputs, got %d", l.Kind, want, len(in))
	}
	x := in[0]
	if l.Channels <= 0 {
		return Shape{}, fmt.Errorf("%d channels", l.Channels)
	}
	keep := []Kind{Depthwise, Add, Mul, MaxPool, AvgPool, GlobalAvg, GeM, Pad}
	if slices.Contains(keep, l.Kind) && l.Channels != x.C {
		return Shape{}, fmt.Errorf("a %s layer keeps its %d channels, got %d", l.Kind, x.C, l.Channels)
	}
	switch l.Kind {
	case Conv, Depthwise, MaxPool, AvgPool:
		return l.window(x)
	case Dense:
		if x.H != 1 || x.W != 1 {
			return Shape{}, fmt.Errorf("a dense layer takes 1×1 maps, got %v", x)
		}
		return Shape{1, 1, l.Channels}, nil
	case Add:
		if x != in[1] {
			return Shape{}, fmt.Errorf("adds %v and %v", x, in[1])
		}
		return x, nil
	case Mul:
		if x != in[1] && in[1] != (Shape{1, 1, x.C}) {
			return Shape{}, fmt.Errorf("multiplies %v with %v", x, in[1])
		}
		return x, nil
	case GlobalAvg, GeM:
		return Shape{1, 1, x.C}, nil
	case Concat:
		return l.joined(in)
	case Pad:
		a := l.Around
		if min(a.Top, a.Bottom, a.Left, a.Right) < 0 {
			return Shape{}, fmt.Errorf("pads by %+v", a)
		}
		return Shape{x.H + a.Top + a.Bottom, x.W + a.Left + a.Right, x.C}, nil
	}
	return Shape{}, fmt.Errorf("unknown kind %q", l.Kind)
}

// joined returns the output shape of a Concat layer.
func (l *Layer) joined(in []Shape) (Shape, error) {
	out := Shape{H: in[0].H, W: in[0].W}
	for _, s := range in {
		if s.H != out.H || s.W != out.W {
			return Shape{}, fmt.Errorf("joins %v and %v", in[0], s)
		}
		out.C += s.C
	}
	if out.C != l.Channels {
		return Shape{}, fmt.Errorf("joins %d channels, not %d", out.C, l.Channels)
	}
	return out, nil
}

// window returns the output shape of a layer that slides a kernel over x.
func (l *Layer) window(x Shape) (Shape, error) {
	if l.Kernel <= 0 || l.Stride <= 0 {
		return Shape{}, fmt.Errorf("kernel %d, stride %d", l.Kernel, l.Stride)
	}
	switch l.Padding {
	case "", Same:
	case Symmetric:
		if l.Kernel%2 == 0 {
			return Shape{}, fmt.Errorf("symmetric padding needs an odd kernel, got %d", l.Kernel)
		}
	case Valid:
		if x.H < l.Kernel || x.W < l.Kernel {
			return Shape{}, fmt.Errorf("a kernel of %d does not fit into %v", l.Kernel, x)
		}
		return Shape{(x.H-l.Kernel)/l.Stride + 1, (x.W-l.Kernel)/l.Stride + 1, l.Channels}, nil
	default:
		return Shape{}, fmt.Errorf("unknown padding %q", l.Padding)
	}
	return Shape{(x.H + l.Stride - 1) / l.Stride, (x.W + l.Stride - 1) / l.Stride, l.Channels}, nil
}

// Pads returns how many rows or columns the layer adds before and after an extent of size.
func (l *Layer) Pads(size int) (before, after int) {
	switch l.Padding {
	case Symmetric:
	case Valid:
		return 0, 0
	default:
		return Padding(size, l.Kernel, l.Stride)
	}
	out := (size + l.Stride - 1) / l.Stride
	before = l.Kernel / 2
	return before, max((out-1)*l.Stride+l.Kernel-size-before, 0) // what lies beyond the last window is not needed
}

// Padding returns how many rows or columns TensorFlow's SAME padding adds before and after an extent of size.
func Padding(size, kernel, stride int) (before, after int) {
	out := (size + stride - 1) / stride
	total := max((out-1)*stride+kernel-size, 0)
	return total / 2, total - total/2
}
