// Package tflite runs TensorFlow Lite models on the CPU, through XNNPACK where it can. It wraps go-tflite, whose calls
// return nil or a status instead of errors and trust the caller about types and sizes: here everything is checked once,
// when a model is opened.
//
// The real thing needs cgo, the TensorFlow Lite C library (scripts/setup.sh) and the build tag tflite, which
// scripts/env.sh sets where the library is. Without them every Open returns ErrUnavailable.
package tflite

import (
	"errors"
	"log/slog"

	"xbmedge/internal/tflitefile"
)

// ErrUnavailable says that the program was built without TensorFlow Lite.
var ErrUnavailable = errors.New("this program was built without TensorFlow Lite: " +
	"run scripts/setup.sh, then `. scripts/env.sh`, and build it again")

// ErrClosed is returned by the methods of an Interpreter after Close.
var ErrClosed = errors.New("the model is closed")

// Options says how a model is run. The zero value is one thread on XNNPACK.
type Options struct {
	Threads int          // 0 means 1
	Plain   bool         // use TensorFlow Lite's own kernels, not XNNPACK
	Log     *slog.Logger // nil discards; one warning when XNNPACK does not take the model
}

// TensorInfo describes an input or output. Integers stand for real = Scale × (integer − ZeroPoint); Scale is 0 where
// the tensor is not quantised.
type TensorInfo struct {
	Name      string
	Type      tflitefile.Type
	Shape     []int
	Scale     float32
	ZeroPoint int
}

// Len returns the number of elements.
func (t *TensorInfo) Len() int {
	n := 1
	for _, d := range t.Shape {
		n *= d
	}
	return n
}
