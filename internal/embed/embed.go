// Package embed turns pictures into L2-normalised embeddings with a TensorFlow Lite model: resize and crop, normalise,
// run, dequantise, scale to length one. It takes models with one RGB input [1, H, W, 3] and one output of D values, in
// int8, uint8 or float32.
package embed

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"math"

	"xbmedge/internal/tflite"
	"xbmedge/internal/tflitefile"
	"xbmedge/internal/vision"
)

// Options says how the model is run. The zero value is one thread.
type Options struct {
	Threads int          // 0 means 1
	Plain   bool         // without XNNPACK
	Log     *slog.Logger // nil discards
	// Progress hears from Photos how many are done; nil is not told.
	Progress func(done, total int)
}

// ModelRef says which model made an embedding. Embeddings of different models cannot be compared.
type ModelRef struct {
	Name   string `json:"name"`   // the description in the file, "unnamed" where there is none
	SHA256 string `json:"sha256"` // of the file, in hexadecimal
	Dim    int    `json:"dim"`    // values of an embedding
	Quant  string `json:"quant"`  // type of the input: int8, uint8 or float32
}

// Embedder runs one model. It is not safe for concurrent use, and must be closed.
type Embedder struct {
	interpreter *tflite.Interpreter
	prepare     *vision.Preprocessor
	ref         ModelRef
	write       func(vision.Frame) error // puts a frame of the input's size into the input
	read        func(dst []float32)      // takes the real values out of the output
	readRaw     func(dst []float32)      // takes them as they are
	out         Output
}

// New opens a model, given as the bytes of its file. Models that are no embedders are refused with what is wrong.
func New(model []byte, opt Options) (*Embedder, error) {
	interpreter, err := tflite.Open(model, tflite.Options{Threads: opt.Threads, Plain: opt.Plain, Log: opt.Log})
	if err != nil {
		return nil, err
	}
	e := &Embedder{interpreter: interpreter}
	if err := e.bind(); err != nil {
		return nil, errors.Join(fmt.Errorf("the model is no embedder: %w", err), interpreter.Close())
	}
	sum := sha256.Sum256(model)
	e.ref.SHA256 = hex.EncodeToString(sum[:])
	e.ref.Name = "unnamed"
	if file, err := tflitefile.Decode(model); err == nil && file.Description != "" {
		e.ref.Name = file.Description
	}
	return e, nil
}

// bind checks the model's shape and connects its input and output.
func (e *Embedder) bind() error {
	inputs, outputs := e.interpreter.Inputs(), e.interpreter.Outputs()
	if len(inputs) != 1 {
		return fmt.Errorf("it has %d inputs, an embedder has one picture", len(inputs))
	}
	if len(outputs) != 1 {
		return fmt.Errorf("it has %d outputs, an embedder has one vector", len(outputs))
	}
	in, out := inputs[0], outputs[0]
	if len(in.Shape) != 4 || in.Shape[0] != 1 || in.Shape[1] <= 0 || in.Shape[2] <= 0 || in.Shape[3] != 3 {
		return fmt.Errorf("its input has shape %v instead of [1, height, width, 3]", in.Shape)
	}
	if len(out.Shape) < 1 || out.Len() < 1 || out.Shape[len(out.Shape)-1] != out.Len() {
		return fmt.Errorf("its output has shape %v instead of [1, D]", out.Shape)
	}
	e.prepare = vision.NewPreprocessor(in.Shape[2], in.Shape[1])
	e.ref.Dim, e.ref.Quant = out.Len(), in.Type.String()
	if err := e.bindInput(in); err != nil {
		return err
	}
	return e.bindOutput(out)
}

func (e *Embedder) bindInput(in tflite.TensorInfo) error {
	switch in.Type {
	case tflitefile.Int8:
		// Pixel − 128 is right only where the 256 integers stand for the pixel values in order, on whatever scale: a
		// range that is far from −1…1 and 0…1 belongs to another normalisation.
		low, high := in.Scale*float32(-128-in.ZeroPoint), in.Scale*float32(127-in.ZeroPoint)
		if !near(high, 1) || !near(low, -1) && !near(low, 0) {
			return fmt.Errorf("its int8 input stands for %g to %g; it must be −1 to 1 or 0 to 1", low, high)
		}
		view, err := e.interpreter.InputInt8(0)
		e.write = func(f vision.Frame) error { return vision.Int8(view, f) }
		return err
	case tflitefile.Uint8:
		view, err := e.interpreter.InputUint8(0)
		e.write = func(f vision.Frame) error { return vision.Uint8(view, f) }
		return err
	case tflitefile.Float32:
		view, err := e.interpreter.InputFloat32(0)
		e.write = func(f vision.Frame) error { return vision.Float32(view, f) }
		return err
	}
	return fmt.Errorf("its input holds %v; it must be int8, uint8 or float32", in.Type)
}

func near(a, b float32) bool { return math.Abs(float64(a-b)) < 0.05 }

func (e *Embedder) bindOutput(out tflite.TensorInfo) error {
	if out.Type != tflitefile.Float32 && !(out.Scale > 0) {
		return fmt.Errorf("its %v output has no scale", out.Type)
	}
	e.out = Output{Type: out.Type.String(), Scale: out.Scale, ZeroPoint: out.ZeroPoint}
	switch out.Type {
	case tflitefile.Int8:
		view, err := e.interpreter.OutputInt8(0)
		e.read = func(dst []float32) { dequantise(dst, view, out) }
		e.readRaw = func(dst []float32) { widen(dst, view) }
		return err
	case tflitefile.Uint8:
		view, err := e.interpreter.OutputUint8(0)
		e.read = func(dst []float32) { dequantise(dst, view, out) }
		e.readRaw = func(dst []float32) { widen(dst, view) }
		return err
	case tflitefile.Float32:
		view, err := e.interpreter.OutputFloat32(0)
		e.read = func(dst []float32) { copy(dst, view) }
		e.readRaw = e.read
		return err
	}
	return fmt.Errorf("its output holds %v; it must be int8, uint8 or float32", out.Type)
}

func dequantise[T int8 | uint8](dst []float32, src []T, info tflite.TensorInfo) {
	for i, v := range src {
		dst[i] = info.Scale * float32(int(v)-info.ZeroPoint)
	}
}

// Dim returns the number of values of an embedding.
func (e *Embedder) Dim() int { return e.ref.Dim }

// InputSize returns the width and height frames are brought to, in pixels. Frames of just that size are not resampled.
func (e *Embedder) InputSize() (w, h int) { return e.prepare.Size() }

// Model says which model this is.
func (e *Embedder) Model() ModelRef { return e.ref }

// Embed computes the embedding of a frame of any size into dst, which must have Dim elements. The result has length
// one; a picture that the model has nothing at all to say about gives all zeros, which is similar to nothing.
// From the second frame of a size on it allocates nothing.
func (e *Embedder) Embed(dst []float32, f vision.Frame) error {
	if err := e.invoke(dst, f); err != nil {
		return err
	}
	e.read(dst)
	return normalise(dst)
}

// invoke runs the model on a frame; its output then holds what dst must have room for.
func (e *Embedder) invoke(dst []float32, f vision.Frame) error {
	if len(dst) != e.ref.Dim {
		return fmt.Errorf("embed: room for %d values, the model gives %d", len(dst), e.ref.Dim)
	}
	input, err := e.prepare.Resize(f)
	if err != nil {
		return fmt.Errorf("embed: %w", err)
	}
	// Before writing: after Close the view's memory is gone.
	if e.interpreter == nil {
		return fmt.Errorf("embed: %w", tflite.ErrClosed)
	}
	if err := e.write(input); err != nil {
		return fmt.Errorf("embed: %w", err)
	}
	if err := e.interpreter.Invoke(); err != nil {
		return fmt.Errorf("embed: %w", err)
	}
	return nil
}

// normalise scales v to length one, and leaves a vector of zeros.
func normalise(v []float32) error {
	var sum float64
	for _, x := range v {
		sum += float64(x) * float64(x)
	}
	if math.IsNaN(sum) || math.IsInf(sum, 0) {
		return errors.New("embed: the model gave values that are no numbers")
	}
	if sum == 0 {
		return nil
	}
	factor := 1 / math.Sqrt(sum)
	for i, x := range v {
		v[i] = float32(float64(x) * factor)
	}
	return nil
}

// Close frees the model. Closing twice does nothing.
func (e *Embedder) Close() error {
	if e.interpreter == nil {
		return nil
	}
	err := e.interpreter.Close()
	e.interpreter = nil
	return err
}
