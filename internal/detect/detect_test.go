package detect

import (
	"encoding/binary"
	"maps"
	"math"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"xbmedge/internal/testdata"
	"xbmedge/internal/tflite"
	"xbmedge/internal/tflitefile"
	"xbmedge/internal/vision"
)

// flexMap is a FlexBuffers map of float32 and whole numbers, all four bytes wide: the keys; a vector of them, sorted; the
// values; their types; the root.
func flexMap(values map[string]any) []byte {
	var b []byte
	at := map[string]int{}
	keys := slices.Sorted(maps.Keys(values))
	for _, k := range keys {
		at[k] = len(b)
		b = append(append(b, k...), 0)
	}
	for len(b)%4 != 0 {
		b = append(b, 0)
	}
	put := func(v int) { b = binary.LittleEndian.AppendUint32(b, uint32(v)) }
	put(len(keys))
	keyVector := len(b)
	for _, k := range keys {
		put(len(b) - at[k])
	}
	put(len(b) - keyVector)
	put(4)
	put(len(keys))
	root := len(b)
	const wide, integer, float, flexmap = 2, 1 << 2, 3 << 2, 9 << 2
	var types []byte
	for _, k := range keys {
		switch v := values[k].(type) {
		case float64:
			b = binary.LittleEndian.AppendUint32(b, math.Float32bits(float32(v)))
			types = append(types, float|wide)
		case int:
			put(v)
			types = append(types, integer|wide)
		}
	}
	b = append(b, types...)
	return append(b, byte(len(b)-root), flexmap|wide, 1)
}

// quadrants is a model of the SSD kind with one anchor for each quarter of an 8×8 picture, whose score is how bright that
// quarter is. newer: its outputs are in the order of TensorFlow 2.
func quadrants(t *testing.T, newer bool) []byte {
	t.Helper()
	const float = tflitefile.Float32
	m := &tflitefile.Model{Description: "quadrants"}
	constant := func(name string, shape []int, values ...float32) int {
		return m.AddTensor(tflitefile.Tensor{Name: name, Type: float, Shape: shape, Buffer: m.AddBuffer(tflitefile.Float32s(values))})
	}
	m.AddBuffer(nil)
	tensor := func(name string, shape ...int) int {
		return m.AddTensor(tflitefile.Tensor{Name: name, Type: float, Shape: shape})
	}
	input, pooled, classes := tensor("input", 1, 8, 8, 3), tensor("pooled", 1, 2, 2, 3), tensor("class scores", 1, 4, 3)
	encodings := constant("box encodings", []int{1, 4, 4}, make([]float32, 16)...)
	anchors := constant("anchors", []int{4, 4}, // middle y, middle x, height, width
		0.25, 0.25, 0.5, 0.5, 0.25, 0.75, 0.5, 0.5, 0.75, 0.25, 0.5, 0.5, 0.75, 0.75, 0.5, 0.5)
	shape := m.AddTensor(tflitefile.Tensor{Name: "shape", Type: tflitefile.Int32, Shape: []int{3}, Buffer: m.AddBuffer(tflitefile.Int32s([]int32{1, 4, 3}))})
	boxes, kinds, scores, count := tensor("boxes", 1, 4, 4), tensor("kinds", 1, 4), tensor("scores", 1, 4), tensor("count", 1)
	m.Operators = []tflitefile.Operator{
		{
			Op: tflitefile.AveragePool2D, Inputs: []int{input}, Outputs: []int{pooled},
			Options: tflitefile.OpOptions{Valid: true, StrideH: 4, StrideW: 4, FilterH: 4, FilterW: 4},
		},
		{Op: tflitefile.Reshape, Inputs: []int{pooled, shape}, Outputs: []int{classes}, Options: tflitefile.OpOptions{NewShape: []int{1, 4, 3}}},
		{
			Op: tflitefile.Custom, Custom: "TFLite_Detection_PostProcess",
			Inputs: []int{encodings, classes, anchors}, Outputs: []int{boxes, kinds, scores, count},
			Options: tflitefile.OpOptions{Custom: flexMap(map[string]any{
				"max_detections": 4, "max_classes_per_detection": 1, "detections_per_class": 4, "num_classes": 3, "use_regular_nms": 0,
				"nms_score_threshold": 0.0, "nms_iou_threshold": 0.5, "y_scale": 10.0, "x_scale": 10.0, "h_scale": 5.0, "w_scale": 5.0,
			})},
		},
	}
	m.Inputs, m.Outputs = []int{input}, []int{boxes, kinds, scores, count}
	if newer {
		m.Outputs = []int{scores, boxes, count, kinds}
	}
	file, err := tflitefile.Encode(m)
	if err != nil {
		t.Fatal(err)
	}
	return file
}

// bright is a picture of that size, dark but for the quarters of the given brightness.
func bright(width, height int, quarters [4]byte) vision.Frame {
	f := vision.NewFrame(width, height)
	for y := range height {
		for x := range width {
			v := quarters[2*(2*y/height)+2*x/width]
			copy(f.Pix[3*(y*width+x):], []byte{v, v, v})
		}
	}
	return f
}

func needLibrary(t *testing.T) {
	t.Helper()
	if err := tflite.Available(); err != nil {
		t.Skip("needs TensorFlow Lite: ", err)
	}
}

func TestFind(t *testing.T) {
	needLibrary(t)
	for name, newer := range map[string]bool{"TensorFlow 1's order": false, "TensorFlow 2's order": true} {
		t.Run(name, func(t *testing.T) {
			d, err := New(quadrants(t, newer), Options{Score: 0.3})
			if err != nil {
				t.Fatal(err)
			}
			defer d.Close()
			for _, tt := range []struct {
				f    vision.Frame
				want []vision.Box
			}{
				{bright(640, 480, [4]byte{0, 0, 0, 0}), nil},
				{bright(640, 480, [4]byte{0, 255, 0, 0}), []vision.Box{{X0: 320, Y0: 0, X1: 640, Y1: 240}}},
				{bright(80, 60, [4]byte{0, 180, 255, 140}), []vision.Box{{X0: 0, Y0: 30, X1: 40, Y1: 60}, {X0: 40, Y0: 0, X1: 80, Y1: 30}}},
				{bright(1, 1, [4]byte{255, 255, 255, 255}), nil}, // nothing as large as a pixel
			} {
				got, err := d.Find(nil, tt.f)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(tt.want, got, cmpopts.EquateApprox(0, 0.01)); diff != "" {
					t.Errorf("%d×%d (-want +got):\n%s", tt.f.Width, tt.f.Height, diff)
				}
			}
			if _, err := d.Find(nil, vision.Frame{}); err == nil {
				t.Error("found something in no picture")
			}
			f, dst := bright(640, 480, [4]byte{255, 255, 0, 0}), make([]vision.Box, 0, 4)
			if n := testing.AllocsPerRun(20, func() {
				if dst, err = d.Find(dst[:0], f); err != nil {
					t.Fatal(err)
				}
			}); n != 0 || len(dst) != 2 {
				t.Errorf("%v allocations a frame, %d boxes", n, len(dst))
			}
		})
	}
}

func TestClose(t *testing.T) {
	needLibrary(t)
	d, err := New(quadrants(t, false), Options{})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	}
	if _, err := d.Find(nil, vision.NewFrame(8, 8)); err == nil {
		t.Error("a closed model found something")
	}
}

func TestRefusals(t *testing.T) {
	needLibrary(t)
	for name, want := range map[string]string{
		"tflite/vww_96_int8.tflite": "1 inputs and 1 outputs",
		"tflite/two_inputs.tflite":  "3 inputs and 6 outputs",
	} {
		model, err := os.ReadFile(testdata.File(t, name))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := New(model, Options{}); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "no detector") {
			t.Errorf("%s: %v; want no detector, %s", name, err, want)
		}
	}
	if _, err := New([]byte("nonsense"), Options{}); err == nil {
		t.Error("nonsense was opened")
	}
}
