package cost

import (
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"

	"xbmedge/internal/nn"
	"xbmedge/internal/testdata"
	"xbmedge/internal/tflitefile"
)

func model(t *testing.T, net *nn.Network) *tflitefile.Model {
	t.Helper()
	w := nn.Weights{}
	parameters, err := net.Parameters()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range parameters {
		n := 1
		for _, d := range p.Shape {
			n *= d
		}
		w[p.Name] = &nn.Tensor{Shape: p.Shape, Data: make([]float32, n)}
	}
	m, err := tflitefile.FromNetwork(net, w, tflitefile.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// Known of the whole classifier are 300,774,272 MACs and 3,504,872 parameters with batch norms; without its last layer of
// 1,280,000 weights, its 1,000 biases and the norms' second number a channel (17,056 in all) these remain.
func TestMobileNetV2(t *testing.T) {
	m := model(t, nn.MobileNetV2(1, 224))
	macs, parameters := Total(Of(m))
	if macs != 299_494_272 || parameters != 2_206_816 {
		t.Errorf("%d MACs and %d parameters", macs, parameters)
	}
	// The second block's depthwise layer: 112×112×96 in and 56×56×96 out, of four bytes.
	if got, want := PeakLive(m), 4*96*(112*112+56*56); got != want {
		t.Errorf("at most %d bytes are alive at once, want %d", got, want)
	}
}

func TestOf(t *testing.T) {
	net := &nn.Network{Name: "small", Input: nn.Shape{H: 4, W: 4, C: 3}, Layers: []nn.Layer{
		{Name: "a", Kind: nn.Conv, Inputs: []int{nn.Input}, Channels: 8, Kernel: 3, Stride: 2},
		{Name: "b", Kind: nn.Depthwise, Inputs: []int{0}, Channels: 8, Kernel: 3, Stride: 1},
		{Name: "c", Kind: nn.Add, Inputs: []int{0, 1}, Channels: 8},
		{Name: "d", Kind: nn.GlobalAvg, Inputs: []int{2}, Channels: 8},
		{Name: "e", Kind: nn.Dense, Inputs: []int{3}, Channels: 5},
	}}
	m := model(t, net)
	want := []Operator{
		{0, "CONV_2D", "a", "float32", 2 * 2 * 8 * 27, 8*27 + 8, 128},
		{1, "DEPTHWISE_CONV_2D", "b", "float32", 2 * 2 * 8 * 9, 8*9 + 8, 128},
		{2, "ADD", "c", "float32", 0, 0, 128},
		{3, "MEAN", "d", "float32", 0, 0, 32},
		{4, "CONV_2D", "e", "float32", 40, 45, 20},
	}
	if d := cmp.Diff(want, Of(m)); d != "" {
		t.Errorf("costs (-want +got):\n%s", d)
	}
	if got := PeakLive(m); got != 3*128 { // a and b are read for c
		t.Errorf("at most %d bytes alive", got)
	}
}

func TestFilesOfOthers(t *testing.T) {
	for name, want := range map[string]int64{
		"tflite/custom_op.tflite":                              0,
		"tflite/mobilenet_v1_quant_embedding_extractor.tflite": 567_716_352, // 569 million in the paper, less its classifier's 1,025,024
		"tflite/mobilenet_v1_0.25_float.tflite":                41_030_528,  // 41 million in the paper's table
	} {
		raw, err := os.ReadFile(testdata.File(t, name))
		if err != nil {
			t.Fatal(err)
		}
		m, err := tflitefile.Decode(raw)
		if err != nil {
			t.Fatal(err)
		}
		if got, _ := Total(Of(m)); got != want {
			t.Errorf("%s: %d MACs, want %d", name, got, want)
		}
	}
}
