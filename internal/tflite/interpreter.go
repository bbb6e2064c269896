//go:build cgo && tflite

package tflite

import (
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"strings"
	"unsafe"

	tf "github.com/tphakala/go-tflite"

	"xbmedge/internal/tflitefile"
)

// maxThreads bounds Options.Threads; more than a board's cores only slows a model down.
const maxThreads = 64

// Interpreter is an opened model. It is not safe for concurrent use, and must be closed.
type Interpreter struct {
	interpreter     *tf.Interpreter // owns the options, the delegate and the model; nil after Close
	xnnpack         *xnnpack        // owned by the interpreter; nil without
	inputs, outputs []tensor
}

// tensor is an input or output and what is known about it.
type tensor struct {
	TensorInfo
	t *tf.Tensor
}

// Open loads a model, which is copied, and makes it ready to run. The model is read by tflitefile first, so bytes that
// are no model are refused before C code sees them; a model made to harm may still crash the process. Models that
// XNNPACK does not take (old uint8 ones) run on the plain kernels, after one warning.
func Open(model []byte, opt Options) (*Interpreter, error) {
	file, err := tflitefile.Decode(model)
	if err != nil {
		return nil, fmt.Errorf("open model: %w", err)
	}
	if opt.Threads < 0 || opt.Threads > maxThreads {
		return nil, fmt.Errorf("open model: %d threads; use 1 to %d", opt.Threads, maxThreads)
	}
	opt.Threads = max(opt.Threads, 1)
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	var i *Interpreter
	if !opt.Plain {
		if i, err = build(model, opt); err != nil && !errors.Is(err, errRefused) {
			return nil, fmt.Errorf("open model: %w", err)
		}
	}
	if i == nil {
		refused := !opt.Plain
		opt.Plain = true
		if i, err = build(model, opt); err != nil {
			return nil, fmt.Errorf("open model: %w", explain(file, err))
		}
		if refused {
			opt.Log.Warn("XNNPACK does not take this model; it runs on TensorFlow Lite's own kernels, several times slower",
				"model", file.Description)
		}
	}
	if err := i.check(file); err != nil {
		return nil, errors.Join(fmt.Errorf("open model: %w", err), i.Close())
	}
	// A forgotten Close must not let the garbage collector free the model before the interpreter that uses it.
	runtime.SetFinalizer(i, func(i *Interpreter) { _ = i.Close() })
	return i, nil
}

// errRefused means that the library made no interpreter of a model; it gives no reason.
var errRefused = errors.New("TensorFlow Lite cannot run it")

func build(data []byte, opt Options) (*Interpreter, error) {
	model := tf.NewModel(data)
	if model == nil {
		return nil, errRefused
	}
	options := tf.NewInterpreterOptions()
	if options == nil {
		model.Delete()
		return nil, errors.New("out of memory")
	}
	options.SetNumThread(opt.Threads)
	var x *xnnpack
	if !opt.Plain {
		var err error
		if x, err = newXNNPack(opt.Threads); err != nil {
			options.Delete()
			model.Delete()
			return nil, err
		}
		options.AddDelegate(x)
	}
	interpreter := tf.NewInterpreter(model, options)
	if interpreter == nil {
		options.Delete()
		model.Delete()
		return nil, errRefused
	}
	if interpreter.AllocateTensors() != tf.OK {
		interpreter.Delete()
		return nil, errRefused
	}
	return &Interpreter{interpreter: interpreter, xnnpack: x}, nil
}

// explain adds what the file itself says to a refusal.
func explain(file *tflitefile.Model, err error) error {
	var names []string
	for i := range file.Operators {
		o := &file.Operators[i]
		if o.Op == tflitefile.Custom && !slices.Contains(names, o.Custom) {
			names = append(names, o.Custom)
		}
	}
	if len(names) > 0 {
		return fmt.Errorf("%w: it uses custom operators this program does not have: %s", err, strings.Join(names, ", "))
	}
	return fmt.Errorf("%w (library version %s; it may be too old for the model's operators)", err, Version())
}

// check describes the inputs and outputs and compares them with what the file says.
func (i *Interpreter) check(file *tflitefile.Model) error {
	var err error
	if i.inputs, err = describeAll(i.interpreter.GetInputTensorCount(), i.interpreter.GetInputTensor, file, file.Inputs); err != nil {
		return fmt.Errorf("inputs: %w", err)
	}
	if i.outputs, err = describeAll(i.interpreter.GetOutputTensorCount(), i.interpreter.GetOutputTensor, file, file.Outputs); err != nil {
		return fmt.Errorf("outputs: %w", err)
	}
	return nil
}

// describeAll describes the count tensors that get returns; the file lists them under these indices.
func describeAll(count int, get func(int) *tf.Tensor, file *tflitefile.Model, indices []int) ([]tensor, error) {
	if count != len(indices) {
		return nil, fmt.Errorf("the library sees %d, the file has %d", count, len(indices))
	}
	tensors := make([]tensor, count)
	for k, index := range indices {
		var err error
		if tensors[k], err = describe(get(k), &file.Tensors[index]); err != nil {
			return nil, fmt.Errorf("number %d: %w", k, err)
		}
	}
	return tensors, nil
}

func describe(t *tf.Tensor, file *tflitefile.Tensor) (tensor, error) {
	if t == nil {
		return tensor{}, errors.New("the library has no such tensor")
	}
	q := t.QuantizationParams()
	out := tensor{t: t, TensorInfo: TensorInfo{
		Name: t.Name(), Type: fileType(t.Type()), Shape: t.Shape(), Scale: float32(q.Scale), ZeroPoint: q.ZeroPoint,
	}}
	if out.Type != file.Type {
		return tensor{}, fmt.Errorf("the library sees %v, the file says %v", out.Type, file.Type)
	}
	// Files may leave the shape of an output open, as [] or with dimensions of 0 or −1.
	if len(file.Shape) > 0 && !slices.Equal(out.Shape, file.Shape) {
		return tensor{}, fmt.Errorf("the library sees shape %v, the file says %v", out.Shape, file.Shape)
	}
	if want, have := out.Len()*out.Type.Size(), int(t.ByteSize()); want != have {
		return tensor{}, fmt.Errorf("%v of shape %v needs %d bytes, has %d", out.Type, out.Shape, want, have)
	}
	if q := file.Quant; q != nil && len(q.Scale) == 1 && q.Scale[0] != out.Scale {
		return tensor{}, fmt.Errorf("the library sees scale %g, the file says %g", out.Scale, q.Scale[0])
	}
	return out, nil
}

// fileType turns the C library's numbers of types, which differ from the file's, into the file's.
func fileType(t tf.TensorType) tflitefile.Type {
	switch t {
	case tf.Float32:
		return tflitefile.Float32
	case tf.Int32:
		return tflitefile.Int32
	case tf.UInt8:
		return tflitefile.Uint8
	case tf.Int64:
		return tflitefile.Int64
	case tf.Bool:
		return tflitefile.Bool
	case tf.Int16:
		return tflitefile.Int16
	case tf.Int8:
		return tflitefile.Int8
	}
	return -1
}

// Inputs describes the inputs.
func (i *Interpreter) Inputs() []TensorInfo { return infos(i.inputs) }

// Outputs describes the outputs.
func (i *Interpreter) Outputs() []TensorInfo { return infos(i.outputs) }

func infos(tensors []tensor) []TensorInfo {
	out := make([]TensorInfo, len(tensors))
	for k := range tensors {
		out[k] = tensors[k].TensorInfo
	}
	return out
}

// Delegated reports whether XNNPACK takes part.
func (i *Interpreter) Delegated() bool { return i.xnnpack != nil }

// Taken returns which operators XNNPACK computes, by their number in the file; the others run on TensorFlow Lite's own
// kernels. It is what the interpreter's plan said when the model was opened.
func (i *Interpreter) Taken() []int {
	if i.xnnpack == nil || i.interpreter == nil {
		return nil
	}
	return i.xnnpack.taken()
}

// Arena returns the bytes of the memory that the values share outside of XNNPACK: of the input, the output and what the
// plain kernels compute. XNNPACK keeps what it computes to itself. It is 0 for a model that runs without XNNPACK, where
// it is not known.
func (i *Interpreter) Arena() int {
	if i.xnnpack == nil || i.interpreter == nil {
		return 0
	}
	return i.xnnpack.arena()
}

// InputInt8 returns input k as a view into the model's own memory, valid until Close. The error says when there is no
// such input or it has another type. The same holds for the other five views.
func (i *Interpreter) InputInt8(k int) ([]int8, error) {
	return view[int8](i, i.inputs, k, tflitefile.Int8)
}

// InputUint8 returns input k as a view, see InputInt8.
func (i *Interpreter) InputUint8(k int) ([]uint8, error) {
	return view[uint8](i, i.inputs, k, tflitefile.Uint8)
}

// InputFloat32 returns input k as a view, see InputInt8.
func (i *Interpreter) InputFloat32(k int) ([]float32, error) {
	return view[float32](i, i.inputs, k, tflitefile.Float32)
}

// OutputInt8 returns output k as a view, see InputInt8.
func (i *Interpreter) OutputInt8(k int) ([]int8, error) {
	return view[int8](i, i.outputs, k, tflitefile.Int8)
}

// OutputUint8 returns output k as a view, see InputInt8.
func (i *Interpreter) OutputUint8(k int) ([]uint8, error) {
	return view[uint8](i, i.outputs, k, tflitefile.Uint8)
}

// OutputFloat32 returns output k as a view, see InputInt8.
func (i *Interpreter) OutputFloat32(k int) ([]float32, error) {
	return view[float32](i, i.outputs, k, tflitefile.Float32)
}

func view[T int8 | uint8 | float32](i *Interpreter, tensors []tensor, k int, want tflitefile.Type) ([]T, error) {
	if i.interpreter == nil {
		return nil, ErrClosed
	}
	if k < 0 || k >= len(tensors) {
		return nil, fmt.Errorf("the model has %d tensors there, not a number %d", len(tensors), k)
	}
	t := &tensors[k]
	if t.Type != want {
		return nil, fmt.Errorf("tensor %q holds %v, not %v", t.Name, t.Type, want)
	}
	data := t.t.Data()
	if data == nil {
		return nil, fmt.Errorf("tensor %q has no memory", t.Name)
	}
	return unsafe.Slice((*T)(data), t.Len()), nil //nolint:gosec // the size was checked when the model was opened
}

// Invoke runs the model on what its inputs hold; afterwards its outputs hold the result.
func (i *Interpreter) Invoke() error {
	if i.interpreter == nil {
		return ErrClosed
	}
	status := i.interpreter.Invoke()
	runtime.KeepAlive(i)
	if status != tf.OK {
		return fmt.Errorf("run model: TensorFlow Lite returned status %d", status)
	}
	return nil
}

// Close frees the model. Views into it must not be used any more. Closing twice does nothing.
func (i *Interpreter) Close() error {
	if i.interpreter == nil {
		return nil
	}
	runtime.SetFinalizer(i, nil)
	i.interpreter.Delete() // frees interpreter, options with the delegate, and model, in that order
	i.interpreter = nil
	return nil
}
