package onnxfile

import (
	"bytes"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"xbmedge/internal/nn"
)

// model wraps initializers as a model does.
func model(tensors ...message) []byte {
	var graph message
	for _, t := range tensors {
		graph = graph.message(graphInitializer, t)
	}
	return message{}.int(modelIRVersion, irVersion).message(modelGraph, graph)
}

func TestInitializersOfEveryType(t *testing.T) {
	packed := message{0x02, 0x01} // the dimensions 2, 1 in one field
	w, err := Initializers(model(
		initializer("raw", []int{1, 2}, []float32{1, -2}),
		message{}.int(tensorDims, 2).int(tensorType, typeFloat).text(tensorName, "floats").message(tensorFloats, message{0, 0, 0x80, 0x3f, 0, 0, 0, 0x40}),
		message{}.message(tensorDims, packed).int(tensorType, typeHalf).text(tensorName, "half").message(tensorRaw, message{0x00, 0x3c, 0x00, 0xc0}),
		message{}.int(tensorType, typeDouble).text(tensorName, "double").message(tensorDoubles, message{0, 0, 0, 0, 0, 0, 0xf8, 0x3f}),
		message{}.int(tensorDims, 1).int(tensorType, 7).text(tensorName, "integer").message(tensorRaw, make(message, 8)),
	))
	if err != nil {
		t.Fatal(err)
	}
	want := nn.Weights{
		"raw": {Shape: []int{1, 2}, Data: []float32{1, -2}}, "floats": {Shape: []int{2}, Data: []float32{1, 2}},
		"half": {Shape: []int{2, 1}, Data: []float32{1, -2}}, "double": {Data: []float32{1.5}},
	}
	if d := cmp.Diff(want, w); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

func TestInitializersRefuse(t *testing.T) {
	huge := message{}
	for range 4 {
		huge = huge.int(tensorDims, 1<<30)
	}
	for _, tt := range []struct {
		name string
		raw  []byte
		want string
	}{
		{"in another file", model(message{}.int(tensorType, typeFloat).int(tensorLocation, 1)), "in another file"},
		{"too large", model(huge.int(tensorType, typeFloat).text(tensorName, "w")), `tensor "w": shape [1073741824 1073741824`},
		{"too few bytes", model(message{}.int(tensorDims, 3).int(tensorType, typeFloat).message(tensorRaw, make(message, 8))), "needs 12 bytes, got 8"},
		{"a negative dimension", model(message{}.int(tensorDims, -1).int(tensorType, typeFloat)), "a dimension of"},
		{"no graph", message{}.int(modelIRVersion, irVersion), "no ONNX model"},
		{"cut short", model(initializer("a", []int{2}, []float32{1, 2}))[:20], "cut short"},
	} {
		if w, err := Initializers(tt.raw); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, error %v, want %q", tt.name, w, err, tt.want)
		}
	}
}

func TestEncodeRefuses(t *testing.T) {
	for _, tt := range []struct {
		name string
		net  *nn.Network
		opt  Options
		want string
	}{
		{"a batch norm", nn.SmallCNN(16, 4), Options{}, "conv0: has a batch norm: fold the network first"},
		{"the length of a map", &nn.Network{Name: "map", Input: nn.Shape{H: 4, W: 4, C: 3}, Layers: []nn.Layer{
			{Name: "c", Kind: nn.Conv, Inputs: []int{nn.Input}, Channels: 1, Kernel: 1, Stride: 1},
		}}, Options{Normalize: true}, "ends in a map of 4×4×1"},
		{"a taken name", &nn.Network{Name: "taken", Input: nn.Shape{H: 4, W: 4, C: 3}, Layers: []nn.Layer{
			{Name: "input", Kind: nn.GlobalAvg, Inputs: []int{nn.Input}, Channels: 3},
		}}, Options{}, `"input" is taken`},
		{"an unknown activation", &nn.Network{Name: "act", Input: nn.Shape{H: 4, W: 4, C: 3}, Layers: []nn.Layer{
			{Name: "p", Kind: nn.GlobalAvg, Inputs: []int{nn.Input}, Channels: 3, Activation: "gelu"},
		}}, Options{}, `"gelu" cannot be written`},
	} {
		w, err := tt.net.Init(rand.New(rand.NewPCG(1, 2)))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Encode(tt.net, w, tt.opt); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: error %v, want %q", tt.name, err, tt.want)
		}
	}
}

func TestEncodeRepeats(t *testing.T) {
	net := nn.SmallCNN(16, 4).WithoutBatchNorm()
	w, err := net.Init(rand.New(rand.NewPCG(1, 2)))
	if err != nil {
		t.Fatal(err)
	}
	opt := Options{Metadata: map[string]string{"a": "1", "b": "2", "c": "3"}}
	first, err := Encode(net, w, opt)
	if err != nil {
		t.Fatal(err)
	}
	for range 5 {
		again, err := Encode(net, w, opt)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(first, again) {
			t.Fatal("the same network gave other bytes")
		}
	}
}

func FuzzInitializers(f *testing.F) {
	f.Add(model(initializer("a", []int{2}, []float32{1, 2})))
	f.Fuzz(func(t *testing.T, raw []byte) {
		w, err := Initializers(raw)
		if err != nil {
			return
		}
		for name, tensor := range w {
			if len(nn.NewTensor(tensor.Shape...).Data) != len(tensor.Data) {
				t.Errorf("tensor %q: shape %v with %d values", name, tensor.Shape, len(tensor.Data))
			}
		}
	})
}
