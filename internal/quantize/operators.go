package quantize

import (
	"fmt"
	"slices"

	"xbmedge/internal/tflitefile"
)

// hardSwish replaces a HARD_SWISH by x times a gate of three simple operators, because XNNPACK of TensorFlow Lite 2.9
// has none for int8 and the plain kernel takes longer than the convolution before it: x+3, whose int8 holds 0 to 6 and
// no more, as relu6 asks; a sixth of it; times x.
func (q *quantizer) hardSwish(i int, op *tflitefile.Operator) error {
	m, l := q.model, &q.net.Layers[i]
	x, shape := op.Inputs[0], m.Tensors[op.Inputs[0]].Shape
	value := func(suffix string, high float32) int {
		t := m.AddTensor(tflitefile.Tensor{Name: l.Name + suffix, Shape: shape})
		q.setActivation(t, params{scale: high / 255, zero: -128})
		return t
	}
	constant := func(suffix string, v float32) int {
		data := tflitefile.Float32s([]float32{v})
		t := m.AddTensor(tflitefile.Tensor{Name: l.Name + suffix, Shape: []int{1}, Buffer: m.AddBuffer(data)})
		q.scalar(t)
		return t
	}
	shifted, gate := value("/shifted", 6), value("/gate", 1)
	return q.emit(
		tflitefile.Operator{Op: tflitefile.Add, Inputs: []int{x, constant("/three", 3)}, Outputs: []int{shifted}},
		tflitefile.Operator{Op: tflitefile.Mul, Inputs: []int{shifted, constant("/sixth", 1.0/6)}, Outputs: []int{gate}},
		tflitefile.Operator{Op: tflitefile.Mul, Inputs: []int{x, gate}, Outputs: op.Outputs})
}

// generalisedMean leaves the operators of a GeM layer in float, between a DEQUANTIZE before the first and a QUANTIZE
// after the last: int8 has no powers.
func (q *quantizer) generalisedMean(i int, op *tflitefile.Operator) error {
	m, l := q.model, &q.net.Layers[i]
	if err := q.takeFloats(op); err != nil {
		return err
	}
	out := op.Outputs[0]
	if m.Tensors[out].Name != l.Name {
		q.floats[out] = out
		return q.emit(*op)
	}
	p, err := q.outputParams(i, op)
	if err != nil {
		return err
	}
	op.Outputs = []int{m.AddTensor(tflitefile.Tensor{Name: l.Name + "/float", Shape: m.Tensors[out].Shape})}
	q.setActivation(out, p)
	return q.emit(*op, tflitefile.Operator{Op: tflitefile.Quantize, Inputs: op.Outputs, Outputs: []int{out}})
}

// rescale gives the inputs of a CONCATENATION the scale of its output, which the kernels ask for, with a QUANTIZE where
// they have another.
func (q *quantizer) rescale(i int, op *tflitefile.Operator, p params) error {
	m := q.model
	inputs := slices.Clone(op.Inputs)
	for k, in := range op.Inputs {
		if q.activations[in] == p {
			continue
		}
		t := m.AddTensor(tflitefile.Tensor{Name: fmt.Sprintf("%s/rescaled%d", q.net.Layers[i].Name, k), Shape: m.Tensors[in].Shape})
		q.setActivation(t, p)
		if err := q.emit(tflitefile.Operator{Op: tflitefile.Quantize, Inputs: []int{in}, Outputs: []int{t}}); err != nil {
			return err
		}
		inputs[k] = t
	}
	op.Inputs = inputs
	return nil
}
