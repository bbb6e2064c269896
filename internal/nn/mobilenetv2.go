package nn

import "fmt"

// MobileNetV2 returns the feature extractor of Sandler et al. (CVPR 2018, arXiv 1801.04381) with batch norm folded,
// ending in the global average: width 1.0 at 224 gives [1, 1, 1280]. Layer names are those of the published weights:
// features.0 … features.18 with .expand, .depthwise and .project inside a block. Channels are rounded to multiples
// of eight as in the authors' code; features.18 does not shrink below 1280. It pads as TensorFlow does.
func MobileNetV2(width float64, size int) *Network {
	return mobileNetV2("mobilenetv2", width, size, flavour{}).WithoutBatchNorm()
}

func mobileNetV2(name string, width float64, size int, f flavour) *Network {
	b := newBuilder(fmt.Sprintf("%s_%g_%d", name, width, size), size, f)
	channels := divisible(32 * width)
	x := b.conv("features.0", b.start(), channels, 3, 2, ReLU6)
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
			x = b.invertedResidual(x, inverted{
				name: fmt.Sprintf("features.%d", block), in: channels, hidden: channels * s.expand, out: out,
				kernel: 3, stride: stride, activation: ReLU6,
			})
			channels = out
			block++
		}
	}
	last := divisible(1280 * max(width, 1))
	x = b.conv("features.18", x, last, 1, 1, ReLU6)
	b.add(Layer{Name: PoolLayer, Kind: GlobalAvg, Channels: last}, x)
	return &b.net
}

// inverted describes an inverted residual block.
type inverted struct {
	name            string
	in, hidden, out int // channels; hidden equal to in has no expansion
	kernel, stride  int
	squeeze         int // channels of the squeeze-and-excitation's bottleneck; 0: none
	activation      Activation
}

func (b *builder) invertedResidual(x int, v inverted) int {
	y := x
	if v.hidden != v.in {
		y = b.conv(v.name+".expand", y, v.hidden, 1, 1, v.activation)
	}
	y = b.normed(Layer{
		Name: v.name + ".depthwise", Kind: Depthwise, Kernel: v.kernel, Stride: v.stride, Channels: v.hidden, Activation: v.activation,
	}, y)
	if v.squeeze > 0 {
		y = b.squeezeExcite(v.name+".se", y, v.hidden, v.squeeze)
	}
	y = b.conv(v.name+".project", y, v.out, 1, 1, Linear)
	if v.stride == 1 && v.in == v.out {
		y = b.add(Layer{Name: v.name + ".add", Kind: Add, Channels: v.out}, x, y)
	}
	return y
}
