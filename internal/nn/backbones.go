package nn

import (
	"fmt"
	"slices"
)

// EmbeddingLayer is the name of the dense layer that ends every embedding network.
const EmbeddingLayer = "embedding"

// MobileNetV2 returns the feature extractor of Sandler et al. (CVPR 2018, arXiv 1801.04381) with batch norm folded,
// ending in the global average: width 1.0 at 224 gives [1, 1, 1280]. Layer names are those of the published weights:
// features.0 … features.18 with .expand, .depthwise and .project inside a block. Channels are rounded to multiples
// of eight as in the authors' code; features.18 does not shrink below 1280.
func MobileNetV2(width float64, size int) *Network {
	b := builder{net: Network{Name: fmt.Sprintf("mobilenetv2_%g_%d", width, size), Input: Shape{size, size, 3}}}
	x := b.add(Layer{Name: "features.0", Kind: Conv, Kernel: 3, Stride: 2, Channels: divisible(32 * width), Activation: ReLU6}, Input)
	channels := divisible(32 * width)
	block := 1
	for _, s := range []struct{ expand, channels, repeat, stride int }{
		{1, 16, 1, 1}, {6, 24, 2, 2}, {6, 32, 3, 2}, {6, 64, 4, 2}, {6, 96, 3, 1}, {6, 160, 3, 2}, {6, 320, 1, 1},
	} {
		out := divisible(float64(s.channels) * width)
		for r := range s.repeat {
			stride := 1
			if r == 0 {
				stride = s.stride
			}
			x = b.invertedResidual(fmt.Sprintf("features.%d", block), x, channels, s.expand, out, stride)
			channels = out
			block++
		}
	}
	last := 1280
	if width > 1 {
		last = divisible(1280 * width)
	}
	x = b.add(Layer{Name: "features.18", Kind: Conv, Kernel: 1, Stride: 1, Channels: last, Activation: ReLU6}, x)
	b.add(Layer{Name: "pool", Kind: GlobalAvg, Channels: last}, x)
	return &b.net
}

// SmallCNN returns a plain stack of convolutions with batch norm and ReLU, one for each entry of channels: a stem of
// 4×4 patches (as in ConvNeXt, Liu et al., CVPR 2022), then 3×3 of stride 2, ending in the global average. It is small
// enough to be trained from scratch on a CPU.
func SmallCNN(size int, channels ...int) *Network {
	b := builder{net: Network{Name: fmt.Sprintf("smallcnn_%d", size), Input: Shape{size, size, 3}}}
	x := Input
	kernel, stride := 4, 4
	for i, c := range channels {
		x = b.add(Layer{Name: fmt.Sprintf("conv%d", i), Kind: Conv, Kernel: kernel, Stride: stride, Channels: c, Activation: ReLU, BatchNorm: true}, x)
		kernel, stride = 3, 2
	}
	b.add(Layer{Name: "pool", Kind: GlobalAvg, Channels: channels[len(channels)-1]}, x)
	return &b.net
}

// WithEmbedding returns a copy of the network with a dense layer of dim outputs, the embedding, at its end.
func (n *Network) WithEmbedding(dim int) *Network {
	out := *n
	out.Layers = append(slices.Clone(n.Layers), Layer{
		Name: EmbeddingLayer, Kind: Dense, Inputs: []int{len(n.Layers) - 1}, Channels: dim, Activation: Linear,
	})
	return &out
}

// WithBatchNorm returns a copy of the network in which every convolution is followed by a batch norm.
func (n *Network) WithBatchNorm() *Network {
	out := *n
	out.Layers = slices.Clone(n.Layers)
	for i := range out.Layers {
		if k := out.Layers[i].Kind; k == Conv || k == Depthwise {
			out.Layers[i].BatchNorm = true
		}
	}
	return &out
}

// Split cuts the network after the layer of that name: the trunk ends with it, and the tail takes its output as input.
// It fails where a later layer needs another value of the trunk.
func (n *Network) Split(last string) (trunk, tail *Network, err error) {
	cut, err := n.Index(last)
	if err != nil {
		return nil, nil, err
	}
	shapes, err := n.Shapes()
	if err != nil {
		return nil, nil, err
	}
	if cut == len(n.Layers)-1 {
		return nil, nil, fmt.Errorf("network %s ends with %s: nothing is left after it", n.Name, last)
	}
	trunk = &Network{Name: n.Name, Input: n.Input, Layers: slices.Clone(n.Layers[:cut+1])}
	tail = &Network{Name: n.Name, Input: shapes[cut]}
	for _, l := range n.Layers[cut+1:] {
		inputs := make([]int, len(l.Inputs))
		for k, j := range l.Inputs {
			if j < cut {
				return nil, nil, fmt.Errorf("network %s cannot be cut after %s: %s needs an earlier value too; cut after %s", n.Name, last, l.Name, l.Name)
			}
			inputs[k] = j - cut - 1 // the cut itself becomes Input
		}
		l.Inputs = inputs
		tail.Layers = append(tail.Layers, l)
	}
	return trunk, tail, nil
}

// builder appends layers to a network.
type builder struct{ net Network }

func (b *builder) add(l Layer, inputs ...int) int {
	if l.Activation == "" {
		l.Activation = Linear
	}
	l.Inputs = inputs
	b.net.Layers = append(b.net.Layers, l)
	return len(b.net.Layers) - 1
}

func (b *builder) invertedResidual(name string, x, in, expand, out, stride int) int {
	y := x
	hidden := in * expand
	if expand != 1 {
		y = b.add(Layer{Name: name + ".expand", Kind: Conv, Kernel: 1, Stride: 1, Channels: hidden, Activation: ReLU6}, y)
	}
	y = b.add(Layer{Name: name + ".depthwise", Kind: Depthwise, Kernel: 3, Stride: stride, Channels: hidden, Activation: ReLU6}, y)
	y = b.add(Layer{Name: name + ".project", Kind: Conv, Kernel: 1, Stride: 1, Channels: out}, y)
	if stride == 1 && in == out {
		y = b.add(Layer{Name: name + ".add", Kind: Add, Channels: out}, x, y)
	}
	return y
}

// divisible rounds v to the nearest multiple of eight, but never down by more than a tenth.
func divisible(v float64) int {
	n := max(8, int(v+4)/8*8)
	if float64(n) < 0.9*v {
		n += 8
	}
	return n
}
