package quantize

import (
	"errors"
	"fmt"
	"math"
	"runtime"

	"xbmedge/internal/tflite"
	"xbmedge/internal/tflitefile"
	"xbmedge/internal/vision"
)

// stepper runs a model that is still being written, one operator at a time, on the tuning frames, so that every layer
// can be fitted to what the layers before it really give. It holds the values that operators to come will need.
type stepper struct {
	model   *tflitefile.Model
	numbers []int // of the frames in the calibration
	uses    map[int]int
	forms   map[int][]int     // what a value was converted to
	values  map[int][][]byte  // by tensor, one of each frame
	means   map[int][]float64 // of each channel, by tensor; kept when the values are let go
}

// newStepper begins with the frames as int8 input; float are the operators to come, by which it knows what to keep.
func newStepper(m *tflitefile.Model, cal *Calibration, float []tflitefile.Operator) (*stepper, error) {
	s := &stepper{model: m, uses: map[int]int{}, forms: map[int][]int{}, values: map[int][][]byte{}, means: map[int][]float64{}}
	for i := range float {
		for _, t := range float[i].Inputs {
			s.uses[t]++
		}
	}
	var frames []vision.Frame
	frames, s.numbers = cal.tuning()
	for _, f := range frames {
		ints := make([]int8, len(f.Pix))
		if err := vision.Int8(ints, f); err != nil {
			return nil, err
		}
		s.values[m.Inputs[0]] = append(s.values[m.Inputs[0]], bytesOf(ints))
	}
	s.note(m.Inputs[0])
	return s, nil
}

// done says that an operator of the float model has been rewritten: values that only it needed are let go.
func (s *stepper) done(op *tflitefile.Operator) {
	for _, t := range op.Inputs {
		s.uses[t]--
	}
	for t := range s.values {
		if s.uses[t] > 0 {
			continue
		}
		for _, form := range s.forms[t] {
			delete(s.values, form)
		}
		delete(s.values, t)
	}
}

// converted says that a value has another form, which is kept as long as the value.
func (s *stepper) converted(t, form int) {
	s.forms[t] = append(s.forms[t], form)
	s.uses[form] = math.MaxInt32
}

// run computes the output of an operator for every frame.
func (s *stepper) run(op *tflitefile.Operator) error {
	m, inputs := s.single(op)
	file, err := tflitefile.Encode(m)
	if err != nil {
		return err
	}
	out := op.Outputs[0]
	values, errs := make([][]byte, len(s.numbers)), make([]error, processors())
	parallel(len(errs), func(worker int) { errs[worker] = s.frames(file, inputs, values, worker, len(errs)) })
	s.values[out] = values
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("run %s for %s: %w", op.Name(), s.model.Tensors[out].Name, err)
	}
	s.note(out)
	return nil
}

// frames computes the values of every step-th frame, beginning with the first-th.
func (s *stepper) frames(file []byte, inputs []int, values [][]byte, first, step int) error {
	i, err := tflite.Open(file, tflite.Options{}) // one thread: operators are small, and there is a worker to each processor
	if err != nil {
		return err
	}
	for f := first; f < len(values) && err == nil; f += step {
		values[f], err = s.frame(i, inputs, f)
	}
	return errors.Join(err, i.Close())
}

func (s *stepper) frame(i *tflite.Interpreter, inputs []int, f int) ([]byte, error) {
	for k, t := range inputs {
		if err := write(i, k, s.model.Tensors[t].Type, s.values[t][f]); err != nil {
			return nil, err
		}
	}
	if err := i.Invoke(); err != nil {
		return nil, err
	}
	return read(i)
}

// single returns a model of one operator and which tensors are its inputs.
func (s *stepper) single(op *tflitefile.Operator) (m *tflitefile.Model, inputs []int) {
	m = &tflitefile.Model{Buffers: [][]byte{nil}}
	index := map[int]int{}
	tensor := func(t int) int {
		if k, ok := index[t]; ok {
			return k
		}
		copied := s.model.Tensors[t]
		data := s.model.Data(t)
		if copied.Buffer = 0; len(data) > 0 {
			copied.Buffer = m.AddBuffer(data)
		}
		index[t] = m.AddTensor(copied)
		if _, ok := s.values[t]; ok {
			inputs = append(inputs, t)
			m.Inputs = append(m.Inputs, index[t])
		}
		return index[t]
	}
	alone := *op
	alone.Inputs, alone.Outputs = nil, nil
	for _, t := range op.Inputs {
		alone.Inputs = append(alone.Inputs, tensor(t))
	}
	m.Operators = []tflitefile.Operator{alone}
	out := m.AddTensor(tflitefile.Tensor{
		Name: s.model.Tensors[op.Outputs[0]].Name, Type: s.model.Tensors[op.Outputs[0]].Type,
		Shape: s.model.Tensors[op.Outputs[0]].Shape, Quant: s.model.Tensors[op.Outputs[0]].Quant,
	})
	m.Operators[0].Outputs, m.Outputs = []int{out}, []int{out}
	return m, inputs
}

func write(i *tflite.Interpreter, k int, kind tflitefile.Type, data []byte) error {
	if kind == tflitefile.Float32 {
		in, err := i.InputFloat32(k)
		if err == nil {
			copy(in, tflitefile.ToFloat32s(data))
		}
		return err
	}
	in, err := i.InputInt8(k)
	for j := range in {
		in[j] = int8(data[j])
	}
	return err
}

func read(i *tflite.Interpreter) ([]byte, error) {
	if i.Outputs()[0].Type == tflitefile.Float32 {
		out, err := i.OutputFloat32(0)
		return tflitefile.Float32s(out), err
	}
	out, err := i.OutputInt8(0)
	return bytesOf(out), err
}

func bytesOf(ints []int8) []byte {
	out := make([]byte, len(ints))
	for i, v := range ints {
		out[i] = byte(v)
	}
	return out
}

// note keeps the means of an int8 tensor, at the pixels that Calibrate takes.
func (s *stepper) note(t int) {
	tensor := &s.model.Tensors[t]
	if tensor.Type != tflitefile.Int8 {
		return
	}
	channels := tensor.Shape[3]
	sums, count := make([]int64, channels), 0
	for f, data := range s.values[t] {
		pixels := len(data) / channels
		first, stride := sampleOf(s.numbers[f], pixels)
		for p := first; p < pixels; p += stride {
			for c, v := range data[p*channels : (p+1)*channels] {
				sums[c] += int64(int8(v))
			}
			count++
		}
	}
	means := make([]float64, channels)
	scale, zero := float64(tensor.Quant.Scale[0]), float64(tensor.Quant.ZeroPoint[0])
	for c, sum := range sums {
		means[c] = scale * (float64(sum)/float64(max(count, 1)) - zero)
	}
	s.means[t] = means
}

// processors returns how many threads work side by side: what there is, but no more than four, past which the parts
// get too small.
func processors() int { return min(runtime.GOMAXPROCS(0), 4) }
