// Package detect finds things in pictures with a detection model of the SSD kind: one picture in, and out the usual four
// tensors of TFLite_Detection_PostProcess (boxes [1, N, 4] as top, left, bottom, right, classes [1, N], scores [1, N] and
// their count [1]), in the order of TensorFlow 1 or that of TensorFlow 2. What class a thing has does not matter here:
// the embedder says what it is.
package detect

import (
	"errors"
	"fmt"
	"log/slog"

	"xbmedge/internal/tflite"
	"xbmedge/internal/tflitefile"
	"xbmedge/internal/vision"
)

// Options says how a model is run and what of its answers counts.
type Options struct {
	Threads int          // 0 means 1
	Score   float32      // least score
	Log     *slog.Logger // nil discards
}

// Detector runs one model. It is not safe for concurrent use, and must be closed.
type Detector struct {
	interpreter *tflite.Interpreter
	prepare     *vision.Preprocessor
	score       float32
	write       func(vision.Frame) error // puts a frame of the input's size into the input
	boxes       []float32
	scores      []float32
	count       []float32
}

// New opens a model, given as the bytes of its file. Models that are no detectors are refused with what is wrong.
func New(model []byte, opt Options) (*Detector, error) {
	interpreter, err := tflite.Open(model, tflite.Options{Threads: opt.Threads, Log: opt.Log})
	if err != nil {
		return nil, err
	}
	d := &Detector{interpreter: interpreter, score: opt.Score}
	if err := d.bind(); err != nil {
		return nil, errors.Join(fmt.Errorf("the model is no detector: %w", err), interpreter.Close())
	}
	return d, nil
}

// bind checks the model's shape and connects its input and outputs.
func (d *Detector) bind() error {
	inputs, outputs := d.interpreter.Inputs(), d.interpreter.Outputs()
	if len(inputs) != 1 || len(outputs) != 4 {
		return fmt.Errorf("it has %d inputs and %d outputs, a detector has one picture and boxes, classes, scores and their count", len(inputs), len(outputs))
	}
	in := inputs[0]
	if len(in.Shape) != 4 || in.Shape[0] != 1 || in.Shape[1] <= 0 || in.Shape[2] <= 0 || in.Shape[3] != 3 {
		return fmt.Errorf("its input has shape %v instead of [1, height, width, 3]", in.Shape)
	}
	d.prepare = vision.NewPreprocessor(in.Shape[2], in.Shape[1])
	if err := d.bindInput(in.Type); err != nil {
		return err
	}
	// TensorFlow 1: boxes, classes, scores, count. TensorFlow 2: scores, boxes, count, classes.
	boxes, scores, count := 0, 2, 3
	if len(outputs[1].Shape) == 3 {
		boxes, scores, count = 1, 0, 2
	}
	var err error
	if d.boxes, err = d.interpreter.OutputFloat32(boxes); err != nil {
		return fmt.Errorf("boxes: %w", err)
	}
	if d.scores, err = d.interpreter.OutputFloat32(scores); err != nil {
		return fmt.Errorf("scores: %w", err)
	}
	if d.count, err = d.interpreter.OutputFloat32(count); err != nil {
		return fmt.Errorf("count: %w", err)
	}
	if len(d.count) != 1 || len(d.scores) < 1 || len(d.boxes) != 4*len(d.scores) {
		return fmt.Errorf("its outputs have %d values of boxes, %d scores and %d counts; want 4 for each score and one count", len(d.boxes), len(d.scores), len(d.count))
	}
	return nil
}

func (d *Detector) bindInput(kind tflitefile.Type) error {
	switch kind {
	case tflitefile.Int8:
		view, err := d.interpreter.InputInt8(0)
		d.write = func(f vision.Frame) error { return vision.Int8(view, f) }
		return err
	case tflitefile.Uint8:
		view, err := d.interpreter.InputUint8(0)
		d.write = func(f vision.Frame) error { return vision.Uint8(view, f) }
		return err
	case tflitefile.Float32:
		view, err := d.interpreter.InputFloat32(0)
		d.write = func(f vision.Frame) error { return vision.Float32(view, f) }
		return err
	}
	return fmt.Errorf("its input holds %v; it must be int8, uint8 or float32", kind)
}

// Find appends to dst what the model finds in a frame of any size, in the frame's pixels, in the model's order (surest
// first). The frame is stretched to the input, as these models are trained. Nothing is allocated beyond dst.
func (d *Detector) Find(dst []vision.Box, f vision.Frame) ([]vision.Box, error) {
	if d.interpreter == nil {
		return dst, fmt.Errorf("detect: %w", tflite.ErrClosed)
	}
	w, h := float64(f.Width), float64(f.Height)
	input, err := d.prepare.ResizeBox(f, vision.Box{X1: w, Y1: h})
	if err != nil {
		return dst, fmt.Errorf("detect: %w", err)
	}
	if err := d.write(input); err != nil {
		return dst, fmt.Errorf("detect: %w", err)
	}
	if err := d.interpreter.Invoke(); err != nil {
		return dst, fmt.Errorf("detect: %w", err)
	}
	n := int(max(0, min(d.count[0], float32(len(d.scores)))))
	for i, score := range d.scores[:n] {
		b := d.boxes[4*i : 4*i+4]
		clip := func(x float32) float64 { return float64(max(0, min(x, 1))) }
		box := vision.Box{X0: clip(b[1]) * w, Y0: clip(b[0]) * h, X1: clip(b[3]) * w, Y1: clip(b[2]) * h}
		// Written so that what is no number is left out.
		if score >= d.score && box.X1-box.X0 >= 1 && box.Y1-box.Y0 >= 1 {
			dst = append(dst, box)
		}
	}
	return dst, nil
}

// Close frees the model. Closing twice does nothing.
func (d *Detector) Close() error {
	if d.interpreter == nil {
		return nil
	}
	err := d.interpreter.Close()
	d.interpreter = nil
	return err
}
