package assemble

import (
	"fmt"

	"xbmedge/internal/nn"
)

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
