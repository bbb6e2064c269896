package quantize

import (
	"testing"

	"xbmedge/internal/tflite"
	"xbmedge/internal/tflitefile"
	"xbmedge/internal/vision"
)

// withOutput returns a copy of a model that gives the value of that name first, before its own: an operator whose value
// nobody takes is refused by XNNPACK, and the plain kernels round otherwise.
func withOutput(t *testing.T, m *tflitefile.Model, name string) *tflitefile.Model {
	t.Helper()
	out := *m
	first := m.Find(name)
	if first < 0 {
		t.Fatalf("the model has no %q", name)
	}
	out.Outputs = append([]int{first}, m.Outputs...)
	return &out
}

// open opens an int8 model until the end of the test, and returns its input as well.
func open(t *testing.T, file []byte, opt tflite.Options) (i *tflite.Interpreter, in []int8) {
	t.Helper()
	i, err := tflite.Open(file, opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := i.Close(); err != nil {
			t.Error(err)
		}
	})
	if in, err = i.InputInt8(0); err != nil {
		t.Fatal(err)
	}
	return i, in
}

// outputs returns the first output, int8, of a model for each frame.
func outputs(t *testing.T, file []byte, frames []vision.Frame) [][]int8 {
	t.Helper()
	i, in := open(t, file, tflite.Options{})
	out := make([][]int8, len(frames))
	for k, f := range frames {
		if err := vision.Int8(in, f); err != nil {
			t.Fatal(err)
		}
		if err := i.Invoke(); err != nil {
			t.Fatal(err)
		}
		got, err := i.OutputInt8(0)
		if err != nil {
			t.Fatal(err)
		}
		out[k] = append([]int8(nil), got...)
	}
	return out
}
