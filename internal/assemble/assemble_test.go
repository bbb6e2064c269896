package assemble

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"xbmedge/internal/nn"
)

var picture = nn.Shape{H: 8, W: 8, C: 3}

// graph builds with b and returns the output.
type graph func(t *testing.T, b *Builder) Value

// got fails the test on an error while a graph is built.
func got(t *testing.T) func(Value, error) Value {
	return func(v Value, err error) Value {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// conv is a 1×1 convolution of weight 1 to that many channels.
func conv(t *testing.T, b *Builder, name string, x Value, channels int) Value {
	t.Helper()
	weight := make([]float32, channels*x.Shape.C)
	for i := range weight {
		weight[i] = 1
	}
	return got(t)(b.Conv(name, x, Window{Kernel: 1, Stride: 1}, false, weight, nil))
}

// layers describes a network's layers in few words.
func layers(net *nn.Network) []string {
	var out []string
	for i := range net.Layers {
		l := &net.Layers[i]
		s := l.Name + " " + string(l.Kind)
		if l.Activation != nn.Linear {
			s += " " + string(l.Activation)
		}
		if l.Padding != "" {
			s += " " + string(l.Padding)
		}
		out = append(out, s)
	}
	return out
}

func TestFusing(t *testing.T) {
	for _, tt := range []struct {
		name  string
		build graph
		want  []string
	}{
		{"names", func(t *testing.T, b *Builder) Value {
			x := conv(t, b, "/block/a", b.Input(), 4)
			x = conv(t, b, "block.a", x, 4)
			x = conv(t, b, "input", x, 4)
			return got(t)(b.GlobalAvg("\x1b[2J", x))
		}, []string{"block.a conv", "block.a_2 conv", "input_2 conv", "_[2J globalavg"}},
		{"an activation of what others need too stays alone", func(t *testing.T, b *Builder) Value {
			x := conv(t, b, "x", b.Input(), 4)
			y := got(t)(b.Activate("relu", x, nn.ReLU))
			return got(t)(b.GlobalAvg("pool", got(t)(b.Add("sum", x, y))))
		}, []string{"x conv", "relu depthwise relu", "sum add", "pool globalavg"}},
		{"a batch norm behind what others need too stays alone", func(t *testing.T, b *Builder) Value {
			x := conv(t, b, "x", b.Input(), 2)
			y := got(t)(b.Activate("y", got(t)(b.Affine("bn", x, []float32{2, 3}, nil)), nn.ReLU6))
			return got(t)(b.GlobalAvg("pool", got(t)(b.Add("sum", x, y))))
		}, []string{"x conv", "y depthwise relu6", "sum add", "pool globalavg"}},
		{"six times a hard sigmoid", func(t *testing.T, b *Builder) Value {
			x := got(t)(b.Affine("plus3", conv(t, b, "x", b.Input(), 2), nil, []float32{3}))
			return got(t)(b.GlobalAvg("pool", got(t)(b.Clip("clip", x, 0, 6))))
		}, []string{"x conv hsigmoid", "clip depthwise", "pool globalavg"}},
		{"factors that cancel", func(t *testing.T, b *Builder) Value {
			x := got(t)(b.GlobalAvg("pool", conv(t, b, "x", b.Input(), 2)))
			x = got(t)(b.Affine("double", x, []float32{2}, nil))
			return got(t)(b.Affine("half", x, []float32{0.5}, nil))
		}, []string{"x conv", "half globalavg"}},
		{"padding on all sides", func(t *testing.T, b *Builder) Value {
			x := got(t)(b.Pad("pad", b.Input(), nn.Margins{Top: 1, Bottom: 1, Left: 1, Right: 1}))
			x = got(t)(b.Conv("x", x, Window{Kernel: 3, Stride: 2}, false, make([]float32, 27), nil))
			return got(t)(b.GlobalAvg("pool", x))
		}, []string{"x conv symmetric", "pool globalavg"}},
		{"padding that has no mode", func(t *testing.T, b *Builder) Value {
			x := got(t)(b.Conv("x", b.Input(), Window{Kernel: 3, Stride: 1, Top: 2, Left: 2}, false, make([]float32, 27), nil))
			return got(t)(b.GlobalAvg("pool", x))
		}, []string{"x.pad pad", "x conv valid", "pool globalavg"}},
		{"a length at the end", func(t *testing.T, b *Builder) Value {
			return got(t)(b.Unit("unit", got(t)(b.GlobalAvg("pool", b.Input()))))
		}, []string{"pool globalavg"}},
		{"nothing that is not needed", func(t *testing.T, b *Builder) Value {
			conv(t, b, "other", b.Input(), 4)
			return got(t)(b.GlobalAvg("pool", b.Input()))
		}, []string{"pool globalavg"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := New(picture, 1000)
			net, _, err := b.Network("net", tt.build(t, b))
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(tt.want, layers(net)); d != "" {
				t.Errorf("layers (-want +got):\n%s", d)
			}
		})
	}
}

// TestFoldedWeights holds the numbers: (2·(x·w+1)+3), twice, and once in a depthwise layer.
func TestFoldedWeights(t *testing.T) {
	b := New(picture, 1000)
	x := got(t)(b.Conv("x", b.Input(), Window{Kernel: 1, Stride: 1}, false, []float32{1, 2, 3, 4, 5, 6}, []float32{1, -1}))
	x = got(t)(b.Affine("bn", x, []float32{2, 10}, []float32{3, 0}))
	x = got(t)(b.Affine("scale", x, []float32{0.5}, nil))
	x = got(t)(b.Activate("relu", x, nn.ReLU))
	x = got(t)(b.Affine("after", x, []float32{7, 8}, []float32{9, 10}))
	_, w, err := b.Network("net", got(t)(b.GlobalAvg("pool", x)))
	if err != nil {
		t.Fatal(err)
	}
	want := nn.Weights{
		"relu.weight":  {Shape: []int{2, 3, 1, 1}, Data: []float32{1, 2, 3, 20, 25, 30}},
		"relu.bias":    {Shape: []int{2}, Data: []float32{2.5, -5}},
		"after.weight": {Shape: []int{2, 1, 1, 1}, Data: []float32{7, 8}},
		"after.bias":   {Shape: []int{2}, Data: []float32{9, 10}},
	}
	if d := cmp.Diff(want, w); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

func TestRefusals(t *testing.T) {
	for _, tt := range []struct {
		want  string
		build func(b *Builder) (Value, error)
	}{
		{"computes nothing", func(b *Builder) (Value, error) { return b.Input(), nil }},
		{"far more memory", func(b *Builder) (Value, error) {
			x := b.Input()
			for range 500 {
				var err error
				if x, err = b.Affine("a", x, []float32{2}, nil); err != nil {
					return x, err
				}
			}
			return x, nil
		}},
		{"one of more than 16384", func(b *Builder) (Value, error) {
			x, err := b.Input(), error(nil)
			for err == nil {
				x, err = b.Activate("a", x, nn.ReLU)
			}
			return x, err
		}},
		{"it gives a map of", func(b *Builder) (Value, error) {
			x := b.Input()
			for range 20 {
				var err error
				if x, err = b.Concat("c", x, x); err != nil {
					return x, err
				}
			}
			return x, nil
		}},
		{"which is only supported after a ReLU", func(b *Builder) (Value, error) {
			x, err := b.MaxPool("max", b.Input(), Window{Kernel: 3, Stride: 2, Top: 1, Bottom: 1, Left: 1, Right: 1})
			if err != nil {
				return x, err
			}
			return b.GlobalAvg("pool", x)
		}},
		{"which cannot be represented", func(b *Builder) (Value, error) {
			x, err := b.AvgPool("avg", b.Input(), Window{Kernel: 3, Stride: 2, Top: 1, Bottom: 1, Left: 1, Right: 1}, false)
			if err != nil {
				return x, err
			}
			return b.GlobalAvg("pool", x)
		}},
		{"before the end of the network", func(b *Builder) (Value, error) {
			x, err := b.GlobalAvg("pool", b.Input())
			if err != nil {
				return x, err
			}
			if x, err = b.Unit("unit", x); err != nil {
				return x, err
			}
			return b.Activate("relu", x, nn.ReLU)
		}},
	} {
		b := New(picture, 1000)
		v, err := tt.build(b)
		if err == nil {
			_, _, err = b.Network("net", v)
		}
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("error %v, want %q", err, tt.want)
		}
	}
}
