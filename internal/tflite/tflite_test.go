//go:build cgo && tflite

package tflite

import (
	"bytes"
	"errors"
	"log/slog"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"xbmedge/internal/testdata"
	"xbmedge/internal/tflitefile"
)

func readModel(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(testdata.File(t, "tflite/"+name))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func open(t testing.TB, model []byte, opt Options) *Interpreter {
	t.Helper()
	i, err := Open(model, opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := i.Close(); err != nil {
			t.Error(err)
		}
	})
	return i
}

func TestVersion(t *testing.T) {
	if err := Available(); err != nil {
		t.Error(err)
	}
	if !strings.HasPrefix(Version(), "2.") {
		t.Errorf("version %q", Version())
	}
}

func TestOpenDescribesTensors(t *testing.T) {
	for _, tc := range []struct {
		file    string
		in, out TensorInfo
		plain   bool // not taken by XNNPACK
	}{
		{
			"mobilenet_v1_quant_embedding_extractor.tflite",
			TensorInfo{Type: tflitefile.Uint8, Shape: []int{1, 224, 224, 3}, Scale: 0.0078125, ZeroPoint: 128},
			TensorInfo{Type: tflitefile.Uint8, Shape: []int{1, 1, 1, 1024}, Scale: 0.023528477},
			true,
		},
		{
			"mobilenet_v2_ptq.tflite",
			TensorInfo{Type: tflitefile.Uint8, Shape: []int{1, 224, 224, 3}, Scale: 0.0078431377, ZeroPoint: 127},
			TensorInfo{Type: tflitefile.Uint8, Shape: []int{1, 1001}, Scale: 0.00390625},
			false,
		},
		{
			"vww_96_int8.tflite",
			TensorInfo{Type: tflitefile.Int8, Shape: []int{1, 96, 96, 3}, Scale: 0.003921569, ZeroPoint: -128},
			TensorInfo{Type: tflitefile.Int8, Shape: []int{1, 2}, Scale: 0.00390625, ZeroPoint: -128},
			false,
		},
		{
			"mobilenet_v1_0.25_float.tflite",
			TensorInfo{Type: tflitefile.Float32, Shape: []int{1, 224, 224, 3}},
			TensorInfo{Type: tflitefile.Float32, Shape: []int{1, 1001}},
			false,
		},
	} {
		t.Run(tc.file, func(t *testing.T) {
			var log bytes.Buffer
			i := open(t, readModel(t, tc.file), Options{Log: slog.New(slog.NewTextHandler(&log, nil))})
			in, out := i.Inputs()[0], i.Outputs()[0]
			in.Name, out.Name = "", ""
			if d := cmp.Diff([]TensorInfo{tc.in, tc.out}, []TensorInfo{in, out}); d != "" {
				t.Errorf("input and output (-want +got):\n%s", d)
			}
			if i.Delegated() == tc.plain {
				t.Errorf("delegated = %v, want %v", i.Delegated(), !tc.plain)
			}
			want := 0
			if tc.plain {
				want = 1
			}
			if n := strings.Count(log.String(), "own kernels"); n != want {
				t.Errorf("%d warnings, want %d: %s", n, want, log.String())
			}
			if err := i.Invoke(); err != nil {
				t.Error(err)
			}
		})
	}
}

// What version 2.9 of XNNPACK leaves to the plain kernels in files of others; it refuses old uint8 models as a whole.
func TestTaken(t *testing.T) {
	if !strings.HasPrefix(Version(), "2.9.") {
		t.Skipf("what is taken is known of version 2.9, not %s", Version())
	}
	for file, left := range map[string][]string{
		"mobilenet_v1_0.25_float.tflite": {"SQUEEZE"},
		"mobilenet_v2_ptq.tflite":        {"QUANTIZE", "RESHAPE", "SOFTMAX", "QUANTIZE"},
		"vww_96_int8.tflite":             {"AVERAGE_POOL_2D", "RESHAPE", "SOFTMAX"},
	} {
		raw := readModel(t, file)
		m, err := tflitefile.Decode(raw)
		if err != nil {
			t.Fatal(err)
		}
		before := HeapInUse()
		i := open(t, raw, Options{})
		if err := i.Invoke(); err != nil {
			t.Fatal(err)
		}
		heap, in := HeapInUse()-before, i.Inputs()[0]
		taken := i.Taken()
		var got []string
		for k := range m.Operators {
			if !slices.Contains(taken, k) {
				got = append(got, m.Operators[k].Name())
			}
		}
		if d := cmp.Diff(left, got); d != "" {
			t.Errorf("%s: left to the plain kernels (-want +got):\n%s", file, d)
		}
		if input := in.Len() * in.Type.Size(); i.Arena() < input || i.Arena() > 4*input {
			t.Errorf("%s: arena of %d bytes for an input of %d and some small values", file, i.Arena(), input)
		}
		if HeapInUse() > 0 && heap < len(raw) {
			t.Errorf("%s: %d bytes held for a file of %d, which is copied", file, heap, len(raw))
		}
	}
	old := open(t, readModel(t, "mobilenet_v1_quant_embedding_extractor.tflite"), Options{})
	if old.Taken() != nil || old.Arena() != 0 {
		t.Errorf("without XNNPACK %v are taken, arena %d", old.Taken(), old.Arena())
	}
}

func TestOpenRefuses(t *testing.T) {
	custom := "custom_op.tflite"
	file, err := tflitefile.Decode(readModel(t, custom))
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name  string
		model []byte
		opt   Options
		want  string
	}{
		{"text", []byte("this is not a model"), Options{}, "not a TensorFlow Lite model"},
		{"nothing", nil, Options{}, "not a TensorFlow Lite model"},
		{"half a file", readModel(t, "vww_96_int8.tflite")[:100000], Options{}, "not a TensorFlow Lite model"},
		{"custom operator", readModel(t, custom), Options{}, file.Operators[0].Custom},
		{"threads", readModel(t, custom), Options{Threads: -1}, "-1 threads"},
	} {
		i, err := Open(tc.model, tc.opt)
		if i != nil || err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: error %v, want one with %q", tc.name, err, tc.want)
		}
	}
}

func TestViewsCheckTheirType(t *testing.T) {
	i := open(t, readModel(t, "vww_96_int8.tflite"), Options{})
	if _, err := i.InputUint8(0); err == nil || !strings.Contains(err.Error(), "holds int8, not uint8") {
		t.Errorf("InputUint8: %v", err)
	}
	if _, err := i.InputInt8(1); err == nil {
		t.Error("there is an input 1")
	}
	in, err := i.InputInt8(0)
	if err != nil || len(in) != 96*96*3 {
		t.Fatalf("InputInt8: %d values, %v", len(in), err)
	}
	out, err := i.OutputInt8(0)
	if err != nil || len(out) != 2 {
		t.Fatalf("OutputInt8: %d values, %v", len(out), err)
	}
}

// What is written into the view is what the model computes on, and the plain kernels and XNNPACK agree within a step.
func TestInvoke(t *testing.T) {
	var results [2][][]int8
	for k, plain := range []bool{false, true} {
		i := open(t, readModel(t, "vww_96_int8.tflite"), Options{Plain: plain})
		in, err := i.InputInt8(0)
		if err != nil {
			t.Fatal(err)
		}
		for _, step := range []int{0, 7, 13} {
			for p := range in {
				in[p] = int8(p * step % 251)
			}
			if err := i.Invoke(); err != nil {
				t.Fatal(err)
			}
			out, err := i.OutputInt8(0)
			if err != nil {
				t.Fatal(err)
			}
			results[k] = append(results[k], append([]int8(nil), out...))
		}
	}
	if cmp.Equal(results[0][0], results[0][1]) && cmp.Equal(results[0][1], results[0][2]) {
		t.Errorf("three different inputs all give %v", results[0][0])
	}
	near := cmp.Comparer(func(a, b int8) bool { return max(a, b)-min(a, b) <= 2 })
	if d := cmp.Diff(results[0], results[1], near); d != "" {
		t.Errorf("XNNPACK and the plain kernels differ:\n%s", d)
	}
}

func TestClosed(t *testing.T) {
	i := open(t, readModel(t, "vww_96_int8.tflite"), Options{})
	if err := errors.Join(i.Close(), i.Close()); err != nil {
		t.Fatal(err)
	}
	if err := i.Invoke(); !errors.Is(err, ErrClosed) {
		t.Errorf("Invoke after Close: %v", err)
	}
	if _, err := i.InputInt8(0); !errors.Is(err, ErrClosed) {
		t.Errorf("InputInt8 after Close: %v", err)
	}
}

func TestInvokeAllocatesNothing(t *testing.T) {
	i := open(t, readModel(t, "vww_96_int8.tflite"), Options{})
	if n := testing.AllocsPerRun(5, func() {
		if _, err := i.InputInt8(0); err != nil {
			t.Error(err)
		}
		if err := i.Invoke(); err != nil {
			t.Error(err)
		}
		if _, err := i.OutputInt8(0); err != nil {
			t.Error(err)
		}
	}); n != 0 {
		t.Errorf("%g allocations a frame", n)
	}
}
