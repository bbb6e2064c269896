package nn

import "fmt"

// bneck is a row of the tables in Howard et al.: the channels are those of width 1.
type bneck struct {
	kernel, hidden, out int
	squeeze             bool
	activation          Activation
	stride              int
}

// mobileNetV3Small is table 2 of Howard et al. (ICCV 2019, arXiv 1905.02244), ending in the 1024 values before the
// classifier.
func mobileNetV3Small(name string, width float64, size int, f flavour) *Network {
	return mobileNetV3(name, width, size, f, 1024, []bneck{
		{3, 16, 16, true, ReLU, 2},
		{3, 72, 24, false, ReLU, 2},
		{3, 88, 24, false, ReLU, 1},
		{5, 96, 40, true, HSwish, 2},
		{5, 240, 40, true, HSwish, 1},
		{5, 240, 40, true, HSwish, 1},
		{5, 120, 48, true, HSwish, 1},
		{5, 144, 48, true, HSwish, 1},
		{5, 288, 96, true, HSwish, 2},
		{5, 576, 96, true, HSwish, 1},
		{5, 576, 96, true, HSwish, 1},
	})
}

// mobileNetV3Large is table 1 of the same paper, ending in 1280 values.
func mobileNetV3Large(name string, width float64, size int, f flavour) *Network {
	return mobileNetV3(name, width, size, f, 1280, []bneck{
		{3, 16, 16, false, ReLU, 1},
		{3, 64, 24, false, ReLU, 2},
		{3, 72, 24, false, ReLU, 1},
		{5, 72, 40, true, ReLU, 2},
		{5, 120, 40, true, ReLU, 1},
		{5, 120, 40, true, ReLU, 1},
		{3, 240, 80, false, HSwish, 2},
		{3, 200, 80, false, HSwish, 1},
		{3, 184, 80, false, HSwish, 1},
		{3, 184, 80, false, HSwish, 1},
		{3, 480, 112, true, HSwish, 1},
		{3, 672, 112, true, HSwish, 1},
		{5, 672, 160, true, HSwish, 2},
		{5, 960, 160, true, HSwish, 1},
		{5, 960, 160, true, HSwish, 1},
	})
}

// mobileNetV3 builds features.0, the blocks features.1 … with .expand, .depthwise, .se, .project and .add,
// features.last, the pool and, behind it, the dense layer head that the paper moved there.
func mobileNetV3(name string, width float64, size int, f flavour, head int, rows []bneck) *Network {
	b := newBuilder(fmt.Sprintf("%s_%g_%d", name, width, size), size, f)
	scaled := func(channels int) int { return divisible(float64(channels) * width) }
	channels := scaled(16)
	x := b.conv("features.0", b.start(), channels, 3, 2, HSwish)
	for i, r := range rows {
		v := inverted{
			name: fmt.Sprintf("features.%d", i+1), in: channels, hidden: scaled(r.hidden), out: scaled(r.out),
			kernel: r.kernel, stride: r.stride, activation: r.activation,
		}
		if r.squeeze {
			v.squeeze = divisible(float64(v.hidden / 4))
		}
		x = b.invertedResidual(x, v)
		channels = v.out
	}
	last := 6 * channels
	x = b.conv("features.last", x, last, 1, 1, HSwish)
	x = b.add(Layer{Name: PoolLayer, Kind: GlobalAvg, Channels: last}, x)
	b.add(Layer{Name: "head", Kind: Dense, Channels: scaled(head), Activation: HSwish}, x)
	return &b.net
}

// squeezeExcite scales every channel by what a small network makes of all channels' means (Hu et al., CVPR 2018,
// arXiv 1709.01507), with the hard sigmoid of MobileNetV3.
func (b *builder) squeezeExcite(name string, x, channels, bottleneck int) int {
	s := b.add(Layer{Name: name + ".pool", Kind: GlobalAvg, Channels: channels}, x)
	s = b.add(Layer{Name: name + ".reduce", Kind: Dense, Channels: bottleneck, Activation: ReLU}, s)
	s = b.add(Layer{Name: name + ".expand", Kind: Dense, Channels: channels, Activation: HSigmoid}, s)
	return b.add(Layer{Name: name + ".scale", Kind: Mul, Channels: channels}, x, s)
}
