package nn

import (
	"fmt"
	"strings"
)

// Backbones returns the names Backbone knows.
func Backbones() []string {
	return []string{
		"smallcnn", "mobilenetv2", "mobilenetv2_torch", "mobilenetv3_small", "mobilenetv3_large", "resnet50", "resnet50_vd",
	}
}

// Backbone returns a feature extractor for pictures of size × size pixels, as it is trained: with batch norms
// (WithoutBatchNorm takes them away), ending in one value a channel. Width multiplies the channels of the MobileNets
// (0.35 to 1.4 have published weights); channels are those of smallcnn's convolutions; what a network has no use for
// is not looked at.
//
// All take pixels as x/127.5−1. mobilenetv2 pads as TensorFlow does and fits its weights; the others but smallcnn pad
// symmetrically and begin with a Normalize layer, as the weights of torchvision, timm and PaddleClas ask for.
func Backbone(name string, width float64, size int, channels []int) (*Network, error) {
	if size <= 0 {
		return nil, fmt.Errorf("network %s: an input of %d pixels", name, size)
	}
	if strings.HasPrefix(name, "mobilenet") && !(width > 0 && width <= 4) { // the negation also catches NaN
		return nil, fmt.Errorf("network %s: a width of %g: take 0.35 to 1.4", name, width)
	}
	torch := flavour{padding: Symmetric, epsilon: 1e-5, normalize: true}
	var net *Network
	switch name {
	case "smallcnn":
		if len(channels) == 0 {
			return nil, fmt.Errorf("network smallcnn has no channels: give one number for each convolution")
		}
		net = SmallCNN(size, channels...)
	case "mobilenetv2":
		net = mobileNetV2(name, width, size, flavour{})
	case "mobilenetv2_torch":
		net = mobileNetV2(name, width, size, torch)
	case "mobilenetv3_small":
		net = mobileNetV3Small(name, width, size, torch)
	case "mobilenetv3_large":
		net = mobileNetV3Large(name, width, size, torch)
	case "resnet50":
		net = resNet50(name, size, torch, false)
	case "resnet50_vd":
		net = resNet50(name, size, torch, true)
	default:
		return nil, fmt.Errorf("network %q is not known: take %s", name, strings.Join(Backbones(), ", "))
	}
	if _, err := net.Shapes(); err != nil {
		return nil, err
	}
	return net, nil
}

// SmallCNN returns a plain stack of convolutions with batch norm and ReLU, one for each entry of channels: a stem of
// 4×4 patches (as in ConvNeXt, Liu et al., CVPR 2022), then 3×3 of stride 2, ending in the global average. It is small
// enough to be trained from scratch on a CPU.
func SmallCNN(size int, channels ...int) *Network {
	b := newBuilder(fmt.Sprintf("smallcnn_%d", size), size, flavour{})
	x := b.start()
	kernel, stride := 4, 4
	for i, c := range channels {
		x = b.conv(fmt.Sprintf("conv%d", i), x, c, kernel, stride, ReLU)
		kernel, stride = 3, 2
	}
	b.add(Layer{Name: PoolLayer, Kind: GlobalAvg, Channels: channels[len(channels)-1]}, x)
	return &b.net
}

// flavour is what the same architecture has differently in weights of different origin.
type flavour struct {
	padding   PaddingMode
	epsilon   float64
	normalize bool // the weights expect pixels with ImageNet's mean and deviation
}

// builder appends layers to a network.
type builder struct {
	net Network
	flavour
}

func newBuilder(name string, size int, f flavour) *builder {
	return &builder{net: Network{Name: name, Input: Shape{size, size, 3}}, flavour: f}
}

// start returns what the first convolution takes in.
func (b *builder) start() int {
	if !b.normalize {
		return Input
	}
	return b.add(Layer{Name: NormalizeLayer, Kind: Depthwise, Kernel: 1, Stride: 1, Channels: 3, Frozen: true}, Input)
}

func (b *builder) add(l Layer, inputs ...int) int {
	if l.Activation == "" {
		l.Activation = Linear
	}
	l.Inputs = inputs
	b.net.Layers = append(b.net.Layers, l)
	return len(b.net.Layers) - 1
}

// normed adds a convolution with batch norm, padded as the flavour has it.
func (b *builder) normed(l Layer, input int) int {
	l.BatchNorm, l.Epsilon, l.Padding = true, b.epsilon, b.padding
	return b.add(l, input)
}

func (b *builder) conv(name string, x, channels, kernel, stride int, activation Activation) int {
	return b.normed(Layer{Name: name, Kind: Conv, Kernel: kernel, Stride: stride, Channels: channels, Activation: activation}, x)
}

// divisible rounds v to the nearest multiple of eight, but never down by more than a tenth.
func divisible(v float64) int {
	n := max(8, int(v+4)/8*8)
	if float64(n) < 0.9*v {
		n += 8
	}
	return n
}
