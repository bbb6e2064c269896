// Package nn describes the embedding networks: their layers, their weights and the files the weights live in.
// It knows no gradients and no engine; the trainer lowers a Network to GoMLX and tflitefile lowers it to TFLite.
//
// All feature maps are NHWC. Convolutions pad like TensorFlow's SAME: the output is ceil(input/stride), and an odd
// amount of padding puts the larger half after.
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
	GlobalAvg Kind = "globalavg" // mean over height and width: [H, W, C] to [1, 1, C]
)

// Activation is applied to a layer's output.
type Activation string

// The activations.
const (
	Linear Activation = "linear"
	ReLU   Activation = "relu"
	ReLU6  Activation = "relu6"
)

// Input stands for the network's input in Layer.Inputs.
const Input = -1

// Layer is one step of a network. Its weights are named Name+".weight" and Name+".bias"; with BatchNorm there are
// also Name+".bn.{scale,offset,mean,variance}", each [Channels], and no bias.
type Layer struct {
	Name       string     `json:"name"`
	Kind       Kind       `json:"kind"`
	Inputs     []int      `json:"inputs"` // indices of earlier layers, or Input
	Channels   int        `json:"channels"`
	Kernel     int        `json:"kernel,omitempty"` // square kernel; 0 where there is none
	Stride     int        `json:"stride,omitempty"` // 0 where there is none
	Activation Activation `json:"activation"`
	BatchNorm  bool       `json:"batch_norm,omitempty"`
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
	if l.Kind == Add {
		want = 2
	}
	if len(in) != want {
		return Shape{}, fmt.Errorf("a %s layer takes %d inputs, got %d", l.Kind, want, len(in))
	}
	x := in[0]
	if l.Channels <= 0 {
		return Shape{}, fmt.Errorf("%d channels", l.Channels)
	}
	if (l.Kind == Depthwise || l.Kind == Add || l.Kind == GlobalAvg) && l.Channels != x.C {
		return Shape{}, fmt.Errorf("a %s layer keeps its %d channels, got %d", l.Kind, x.C, l.Channels)
	}
	switch l.Kind {
	case Conv, Depthwise:
		if l.Kernel <= 0 || l.Stride <= 0 {
			return Shape{}, fmt.Errorf("kernel %d, stride %d", l.Kernel, l.Stride)
		}
		return Shape{(x.H + l.Stride - 1) / l.Stride, (x.W + l.Stride - 1) / l.Stride, l.Channels}, nil
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
	case GlobalAvg:
		return Shape{1, 1, x.C}, nil
	}
	return Shape{}, fmt.Errorf("unknown kind %q", l.Kind)
}

// Padding returns how many rows or columns TensorFlow's SAME padding adds before and after an extent of size.
func Padding(size, kernel, stride int) (before, after int) {
	out := (size + stride - 1) / stride
	total := max((out-1)*stride+kernel-size, 0)
	return total / 2, total - total/2
}
