package nn

import "fmt"

// resNet50 is the network of He et al. (CVPR 2016, arXiv 1512.03385) with the stride in the 3×3 convolutions, as all
// published weights have it, ending in the global average of 2048 channels. The layers are stem.0, maxpool and
// layer1.0 … layer4.2 with .conv1, .conv2, .conv3, .downsample and .add. Its widths do not scale.
//
// The vd variant (He et al., CVPR 2019, arXiv 1812.01187) has a stem of three 3×3 convolutions and halves the shortcut
// with an average, .shrink, in place of a stride.
func resNet50(name string, size int, f flavour, vd bool) *Network {
	b := newBuilder(fmt.Sprintf("%s_%d", name, size), size, f)
	x := b.start()
	if vd {
		x = b.conv("stem.0", x, 32, 3, 2, ReLU)
		x = b.conv("stem.1", x, 32, 3, 1, ReLU)
		x = b.conv("stem.2", x, 64, 3, 1, ReLU)
	} else {
		x = b.conv("stem.0", x, 64, 7, 2, ReLU)
	}
	x = b.add(Layer{Name: "maxpool", Kind: MaxPool, Kernel: 3, Stride: 2, Channels: 64, Padding: f.padding}, x)
	for stage, repeat := range []int{3, 4, 6, 3} {
		hidden := 64 << stage
		for r := range repeat {
			stride := 1
			if r == 0 && stage > 0 {
				stride = 2
			}
			x = b.bottleneck(fmt.Sprintf("layer%d.%d", stage+1, r), x, hidden, stride, r == 0, vd)
		}
	}
	b.add(Layer{Name: PoolLayer, Kind: GlobalAvg, Channels: 2048}, x)
	return &b.net
}

// bottleneck adds a residual block of 4×hidden channels; the first of a stage has a convolution in its shortcut.
func (b *builder) bottleneck(name string, x, hidden, stride int, first, vd bool) int {
	shortcut := x
	if first {
		step := stride
		if vd && stride > 1 {
			in := b.net.Layers[x].Channels
			shortcut = b.add(Layer{Name: name + ".shrink", Kind: AvgPool, Kernel: stride, Stride: stride, Channels: in}, x)
			step = 1
		}
		shortcut = b.conv(name+".downsample", shortcut, 4*hidden, 1, step, Linear)
	}
	y := b.conv(name+".conv1", x, hidden, 1, 1, ReLU)
	y = b.conv(name+".conv2", y, hidden, 3, stride, ReLU)
	y = b.conv(name+".conv3", y, 4*hidden, 1, 1, Linear)
	return b.add(Layer{Name: name + ".add", Kind: Add, Channels: 4 * hidden, Activation: ReLU}, y, shortcut)
}
