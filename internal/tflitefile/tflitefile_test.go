package tflitefile

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"xbmedge/internal/nn"
	"xbmedge/internal/testdata"
)

func TestRoundTrip(t *testing.T) {
	net, w := testNetwork(t)
	float, err := FromNetwork(net, w, Options{Batch: 3})
	if err != nil {
		t.Fatal(err)
	}
	for name, m := range map[string]*Model{"float": float, "int8": int8Model()} {
		t.Run(name, func(t *testing.T) {
			file, err := Encode(m)
			if err != nil {
				t.Fatal(err)
			}
			got, err := Decode(file)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(m, got, cmpopts.EquateEmpty(), cmpopts.IgnoreFields(Operator{}, "Version")); d != "" {
				t.Errorf("decoded model (-want +got):\n%s", d)
			}
			again, err := Encode(got)
			if err != nil {
				t.Fatal(err)
			}
			if string(again) != string(file) {
				t.Error("encoding what was decoded gives other bytes")
			}
		})
	}
}

func TestOperatorVersions(t *testing.T) {
	file, err := Encode(int8Model())
	if err != nil {
		t.Fatal(err)
	}
	m, err := Decode(file)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]int{}
	for i := range m.Operators {
		got[m.Operators[i].Name()] = m.Operators[i].Version
	}
	want := map[string]int{"CONV_2D": 3, "ADD": 2, "MEAN": 2, "RESHAPE": 1, "FULLY_CONNECTED": 4}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("versions (-want +got):\n%s", d)
	}
}

func TestConstantsAreAligned(t *testing.T) {
	m := int8Model()
	file, err := Encode(m)
	if err != nil {
		t.Fatal(err)
	}
	got, err := Decode(file)
	if err != nil {
		t.Fatal(err)
	}
	for i, buf := range got.Buffers {
		if len(buf) == 0 {
			continue
		}
		at := strings.Index(string(file), string(buf)) // each constant of the model is found at its own place or earlier
		for at%alignment != 0 {
			next := strings.Index(string(file[at+1:]), string(buf))
			if next < 0 {
				t.Fatalf("buffer %d starts nowhere at a multiple of %d", i, alignment)
			}
			at += 1 + next
		}
	}
}

func TestDecodeRealFiles(t *testing.T) {
	dir := testdata.Dir(t, "tflite")
	for _, tc := range []struct {
		file            string
		inputs          int
		typ, out        Type
		shape, outShape []int
		operator        string // one that must be there
	}{
		{"mobilenet_v1_quant_embedding_extractor.tflite", 1, Uint8, Uint8, []int{1, 224, 224, 3}, []int{1, 1, 1, 1024}, "AVERAGE_POOL_2D"},
		{"mobilenet_v2_ptq.tflite", 1, Uint8, Uint8, []int{1, 224, 224, 3}, []int{1, 1001}, "QUANTIZE"},
		{"vww_96_int8.tflite", 1, Int8, Int8, []int{1, 96, 96, 3}, []int{1, 2}, "SOFTMAX"},
		{"mobilenet_v1_0.25_float.tflite", 1, Float32, Float32, []int{1, 224, 224, 3}, []int{1, 1001}, "DEPTHWISE_CONV_2D"},
		{"two_inputs.tflite", 3, Uint8, Uint8, nil, nil, ""},
	} {
		t.Run(tc.file, func(t *testing.T) {
			raw, err := os.ReadFile(filepath.Join(dir, tc.file))
			if err != nil {
				t.Fatal(err)
			}
			m, err := Decode(raw)
			if err != nil {
				t.Fatal(err)
			}
			if len(m.Inputs) != tc.inputs {
				t.Fatalf("%d inputs, want %d", len(m.Inputs), tc.inputs)
			}
			in, out := m.Tensors[m.Inputs[0]], m.Tensors[m.Outputs[0]]
			if tc.shape != nil && (in.Type != tc.typ || !cmp.Equal(in.Shape, tc.shape)) {
				t.Errorf("input %v %v, want %v %v", in.Type, in.Shape, tc.typ, tc.shape)
			}
			if tc.outShape != nil && (out.Type != tc.out || !cmp.Equal(out.Shape, tc.outShape)) {
				t.Errorf("output %v %v, want %v %v", out.Type, out.Shape, tc.out, tc.outShape)
			}
			found := tc.operator == ""
			for i := range m.Operators {
				found = found || m.Operators[i].Name() == tc.operator
			}
			if !found {
				t.Errorf("no operator %s", tc.operator)
			}
		})
	}
}

func TestDecodeNamesCustomOperator(t *testing.T) {
	raw, err := os.ReadFile(testdata.File(t, "tflite/custom_op.tflite"))
	if err != nil {
		t.Fatal(err)
	}
	m, err := Decode(raw)
	if err != nil {
		t.Fatal(err)
	}
	if len(m.Operators) != 1 || m.Operators[0].Op != Custom || m.Operators[0].Custom == "" {
		t.Errorf("operators %+v, want one custom operator with a name", m.Operators)
	}
}

func TestDecodeRefuses(t *testing.T) {
	file, err := Encode(int8Model())
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{
		"nothing":     nil,
		"text":        []byte("this is no model at all"),
		"header only": file[:8],
		"half a file": file[:len(file)/2],
	} {
		m, err := Decode(data)
		if !errors.Is(err, ErrNotTFLite) {
			t.Errorf("%s: model %v, error %v, want ErrNotTFLite", name, m, err)
			continue
		}
		if strings.Contains(err.Error(), "runtime error") {
			t.Errorf("%s: error %q speaks of Go's slices", name, err)
		}
	}
}

func TestEncodeRefuses(t *testing.T) {
	for _, tc := range []struct {
		name string
		harm func(*Model)
		want string
	}{
		{"operator input", func(m *Model) { m.Operators[0].Inputs[1] = 99 }, "input 99"},
		{"graph output", func(m *Model) { m.Outputs[0] = -1 }, "-1 is no tensor"},
		{"bytes of a constant", func(m *Model) { m.Buffers[1] = m.Buffers[1][:3] }, "needs 4 bytes, has 3"},
		{"buffer", func(m *Model) { m.Tensors[1].Buffer = 77 }, "buffer 77"},
		{"scale", func(m *Model) { m.Tensors[0].Quant.Scale[0] = 0 }, "scale 0"},
		{"scales", func(m *Model) { m.Tensors[1].Quant.Axis = 3; m.Tensors[1].Shape = []int{2, 1, 2, 1} }, "along dimension 3"},
		{"unknown operator", func(m *Model) { m.Operators[1].Op = 5 }, "DEPTH_TO_SPACE cannot be written"},
	} {
		m := int8Model()
		tc.harm(m)
		if _, err := Encode(m); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: error %v, want one with %q", tc.name, err, tc.want)
		}
	}
}

func TestFromNetworkRefuses(t *testing.T) {
	for _, tc := range []struct {
		name string
		harm func(*nn.Network, nn.Weights, *Options)
		want string
	}{
		{"missing weight", func(_ *nn.Network, w nn.Weights, _ *Options) { delete(w, "stem.weight") }, "stem.weight"},
		{"unknown output", func(_ *nn.Network, _ nn.Weights, o *Options) { o.Outputs = []string{"nose"} }, `"nose"`},
		{"taken name", func(n *nn.Network, _ nn.Weights, _ *Options) { n.Layers[3].Name = InputName }, "is taken"},
		{"activation", func(n *nn.Network, _ nn.Weights, _ *Options) { n.Layers[2].Activation = "swish" }, `"swish"`},
		{"batch norm", func(n *nn.Network, w nn.Weights, _ *Options) {
			n.Layers[0].BatchNorm = true
			for _, s := range []string{nn.BNScale, nn.BNOffset, nn.BNMean, nn.BNVariance} {
				w["stem"+s] = w["stem.bias"]
			}
		}, "fold"},
	} {
		net, w := testNetwork(t)
		var opt Options
		tc.harm(net, w, &opt)
		if _, err := FromNetwork(net, w, opt); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: error %v, want one with %q", tc.name, err, tc.want)
		}
	}
}

func FuzzDecode(f *testing.F) {
	file, err := Encode(int8Model())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(file)
	f.Add([]byte("\x10\x00\x00\x00TFL3"))
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := Decode(data)
		if err != nil {
			if !errors.Is(err, ErrNotTFLite) {
				t.Errorf("error %v does not wrap ErrNotTFLite", err)
			}
			return
		}
		elements := 0
		for i := range m.Tensors {
			elements += len(m.Tensors[i].Shape)
		}
		if elements > len(data) {
			t.Errorf("%d dimensions from %d bytes", elements, len(data))
		}
		if err := m.Validate(); err != nil {
			t.Errorf("decoded a model that does not validate: %v", err)
		}
	})
}
