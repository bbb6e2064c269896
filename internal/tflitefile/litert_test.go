package tflitefile

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"xbmedge/internal/nn"
	"xbmedge/internal/testdata"
)

// liteRT is what Google's interpreter makes of a file.
type liteRT struct {
	Tensors []struct {
		Name  string
		Type  string
		Shape []int
		Scale []float32
		Zero  []int64
		Axis  int
	}
	Operators []string
	Outputs   [][]float64
}

// runLiteRT opens a model with LiteRT and runs it once on the raw bytes of its input.
func runLiteRT(t *testing.T, model, input []byte) liteRT {
	t.Helper()
	python := filepath.Join(testdata.Root(t), "build", "testbench", "bin", "python")
	if _, err := os.Stat(python); err != nil {
		t.Skip("needs build/testbench, an independent reader of our files: run scripts/testbench.sh")
	}
	dir := t.TempDir()
	for name, data := range map[string][]byte{"model.tflite": model, "input.bin": input} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command(python, "testdata/litert.py", filepath.Join(dir, "model.tflite"), filepath.Join(dir, "input.bin"))
	out, err := cmd.Output()
	if err != nil {
		e := &exec.ExitError{}
		if errors.As(err, &e) {
			t.Fatalf("LiteRT: %v\n%s", err, e.Stderr)
		}
		t.Fatal(err)
	}
	var got liteRT
	if err := json.Unmarshal(out, &got); err != nil {
		t.Fatalf("LiteRT printed %q: %v", out, err)
	}
	return got
}

func TestLiteRTReadsFloatNetworks(t *testing.T) {
	net, w := testNetwork(t)
	kinds := kindsNetwork()
	kindsWeights := testWeights(t, kinds)
	kindsOutputs := []string{"stem", "max", "swish", "gate", "scale", "down", "avg", "add", "pool"}
	foreign := foreignNetwork()
	for _, tt := range []struct {
		net     *nn.Network
		weights nn.Weights
		outputs []string
		batch   int
	}{
		{net, w, []string{"stem", "add", "down", "pool", "embedding"}, 1},
		{kinds, kindsWeights, kindsOutputs, 1},
		{kinds, kindsWeights, kindsOutputs, 2},
		{foreign, testWeights(t, foreign), []string{"stem", "max", "silu", "sigmoid", "concat", "pad", "avg", "pool"}, 1},
	} {
		m, err := FromNetwork(tt.net, tt.weights, Options{Outputs: tt.outputs, Batch: tt.batch})
		if err != nil {
			t.Fatal(err)
		}
		file, err := Encode(m)
		if err != nil {
			t.Fatal(err)
		}
		back, err := Decode(file)
		if err != nil {
			t.Fatal(err)
		}
		for i := range m.Operators {
			if d := cmp.Diff(m.Operators[i].Options, back.Operators[i].Options); d != "" {
				t.Errorf("options of %s (-written +read):\n%s", m.Operators[i].Name(), d)
			}
		}
		x := testInput(tt.net.Input.Size())
		got := runLiteRT(t, file, bytes.Repeat(Float32s(x), tt.batch))
		compareTensors(t, m, got)
		want := reference(t, tt.net, tt.weights, x)
		for i, name := range tt.outputs {
			one := len(want[name])
			if len(got.Outputs[i]) != tt.batch*one {
				t.Fatalf("%s: %d values, want %d", name, len(got.Outputs[i]), tt.batch*one)
			}
			for k, v := range got.Outputs[i] {
				if math.Abs(v-want[name][k%one]) > 1e-4 {
					t.Fatalf("%s[%d] = %g, want %g", name, k, v, want[name][k%one])
				}
			}
		}
	}
}

func compareTensors(t *testing.T, m *Model, got liteRT) {
	t.Helper()
	if len(got.Tensors) < len(m.Tensors) { // an interpreter may append its own
		t.Fatalf("LiteRT sees %d tensors, want %d", len(got.Tensors), len(m.Tensors))
	}
	for i := range m.Tensors {
		want, have := &m.Tensors[i], got.Tensors[i]
		if have.Name != want.Name || have.Type != want.Type.String() || !cmp.Equal(have.Shape, want.Shape) {
			t.Errorf("tensor %d: LiteRT sees %s %s %v, want %s %s %v",
				i, have.Name, have.Type, have.Shape, want.Name, want.Type, want.Shape)
		}
		q := Quantization{Scale: []float32{}, ZeroPoint: []int64{}}
		if want.Quant != nil {
			q = *want.Quant
		}
		if d := cmp.Diff(q, Quantization{have.Scale, have.Zero, have.Axis}); d != "" {
			t.Errorf("quantisation of %s (-want +LiteRT):\n%s", want.Name, d)
		}
	}
	var names []string
	for i := range m.Operators {
		names = append(names, m.Operators[i].Name())
	}
	if d := cmp.Diff(names, got.Operators); d != "" {
		t.Errorf("operators (-want +LiteRT):\n%s", d)
	}
}

// An int8 graph small enough to be worked out by hand, with a scale per channel.
func TestLiteRTReadsInt8Network(t *testing.T) {
	m := int8Model()
	file, err := Encode(m)
	if err != nil {
		t.Fatal(err)
	}
	got := runLiteRT(t, file, []byte{10, 0xEC, 4, 127}) // 10, -20, 4, 127
	compareTensors(t, m, got)
	// Per pixel (a, b): conv = (a·(1·0.5) + b·(2·0.5), a·(3·0.25) + b·(−1·0.25)) + bias (2, −1); then each doubled by
	// the ADD, the mean of two pixels, and summed by the FULLY_CONNECTED as (p + q, p − q).
	conv := [][]float64{{10*0.5 - 20 + 2, 10*0.75 + 20*0.25 - 1}, {4*0.5 + 127 + 2, 4*0.75 - 127*0.25 - 1}}
	p, q := conv[0][0]+conv[1][0], conv[0][1]+conv[1][1]
	want := []float64{p + q, p - q}
	if len(got.Outputs[0]) != len(want) {
		t.Fatalf("%d outputs, want %d", len(got.Outputs[0]), len(want))
	}
	for i, v := range got.Outputs[0] {
		value := v + 100                 // the output's zero point is −100
		if math.Abs(value-want[i]) > 8 { // two steps of the coarsest tensor
			t.Errorf("output %d = %g, want %g within 8", i, value, want[i])
		}
	}
}

// int8Model is CONV_2D, ADD, MEAN, RESHAPE and FULLY_CONNECTED over a [1, 1, 2, 2] map, all activations with scale 1.
func int8Model() *Model {
	m := &Model{Description: "int8", Buffers: [][]byte{nil}}
	one := &Quantization{Scale: []float32{1}, ZeroPoint: []int64{0}}
	four := &Quantization{Scale: []float32{4}, ZeroPoint: []int64{3}}
	value := func(name string, q *Quantization, shape ...int) int {
		return m.AddTensor(Tensor{Name: name, Type: Int8, Shape: shape, Quant: q})
	}
	constant := func(name string, typ Type, q *Quantization, data []byte, shape ...int) int {
		return m.AddTensor(Tensor{Name: name, Type: typ, Shape: shape, Buffer: m.AddBuffer(data), Quant: q})
	}
	perChannel := &Quantization{Scale: []float32{0.5, 0.25}, ZeroPoint: []int64{0, 0}}
	x := value("x", one, 1, 1, 2, 2)
	weight := constant("w", Int8, perChannel, []byte{1, 2, 3, 0xFF}, 2, 1, 1, 2)
	bias := constant("b", Int32, perChannel, Int32s([]int32{4, -4}), 2)
	conv := value("conv", &Quantization{Scale: []float32{1}, ZeroPoint: []int64{-30}}, 1, 1, 2, 2)
	sum := value("sum", four, 1, 1, 2, 2)
	axes := constant("axes", Int32, nil, Int32s([]int32{1, 2}), 2)
	mean := value("mean", four, 1, 1, 1, 2)
	shape := constant("shape", Int32, nil, Int32s([]int32{1, 2}), 2)
	flat := value("flat", four, 1, 2)
	dense := constant("dw", Int8, one, []byte{1, 1, 1, 0xFF}, 2, 2)
	denseBias := constant("db", Int32, &Quantization{Scale: []float32{4}, ZeroPoint: []int64{0}}, Int32s([]int32{0, 0}), 2)
	out := value("out", &Quantization{Scale: []float32{1}, ZeroPoint: []int64{-100}}, 1, 2)
	m.Inputs, m.Outputs = []int{x}, []int{out}
	m.Operators = []Operator{
		{Op: Conv2D, Inputs: []int{x, weight, bias}, Outputs: []int{conv}, Options: OpOptions{StrideH: 1, StrideW: 1}},
		{Op: Add, Inputs: []int{conv, conv}, Outputs: []int{sum}},
		{Op: Mean, Inputs: []int{sum, axes}, Outputs: []int{mean}, Options: OpOptions{KeepDims: true}},
		{Op: Reshape, Inputs: []int{mean, shape}, Outputs: []int{flat}, Options: OpOptions{NewShape: []int{1, 2}}},
		{Op: FullyConnected, Inputs: []int{flat, dense, denseBias}, Outputs: []int{out}},
	}
	return m
}
