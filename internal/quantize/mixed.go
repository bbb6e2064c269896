package quantize

import (
	"fmt"
	"slices"

	"xbmedge/internal/nn"
	"xbmedge/internal/tflitefile"
)

// floatOperator leaves an operator of a layer that stays float as it is, but for where its values come from.
func (q *quantizer) floatOperator(i int, op *tflitefile.Operator) error {
	fromPicture := slices.Contains(op.Inputs, q.model.Inputs[0]) && q.net.Layers[i].Weighted()
	if err := q.takeFloats(op); err != nil {
		return err
	}
	if fromPicture && len(op.Inputs) == 3 {
		q.takeHalfStep(q.net.Layers[i].Kind, op)
	}
	q.floats[op.Outputs[0]] = op.Outputs[0]
	return q.emit(*op)
}

// takeHalfStep makes the bias of a float layer make up for the half step that the int8 picture is off.
func (q *quantizer) takeHalfStep(kind nn.Kind, op *tflitefile.Operator) {
	m := q.model
	values, bias := tflitefile.ToFloat32s(m.Data(op.Inputs[1])), tflitefile.ToFloat32s(m.Data(op.Inputs[2]))
	k := newKernel(kind, m.Tensors[op.Inputs[1]].Shape)
	for c := range bias {
		sum := 0.0
		for p := range k.perOutput {
			sum += float64(values[k.index(c, p)])
		}
		bias[c] -= float32(sum * halfStep)
	}
	m.Buffers[m.Tensors[op.Inputs[2]].Buffer] = tflitefile.Float32s(bias)
}

// takeFloats makes an operator take its inputs in float, after a DEQUANTIZE where they are int8.
func (q *quantizer) takeFloats(op *tflitefile.Operator) error {
	return q.take(op, q.floats, q.ints, func(t int) (tflitefile.Op, tflitefile.Tensor, error) {
		from := &q.model.Tensors[t]
		return tflitefile.Dequantize, tflitefile.Tensor{Name: from.Name + "/dequantized", Shape: from.Shape}, nil
	})
}

// takeInts makes an operator take its inputs in int8, after a QUANTIZE where they are float.
func (q *quantizer) takeInts(op *tflitefile.Operator) error {
	return q.take(op, q.ints, q.floats, func(t int) (tflitefile.Op, tflitefile.Tensor, error) {
		from := &q.model.Tensors[t]
		j, err := q.net.Index(from.Name)
		if err != nil {
			return 0, tflitefile.Tensor{}, err
		}
		low, high := q.rangeOf(j, q.cal.layers[j])
		p, err := chooseParams(low, high)
		quant := &tflitefile.Quantization{Scale: []float32{p.scale}, ZeroPoint: []int64{int64(p.zero)}}
		return tflitefile.Quantize, tflitefile.Tensor{Name: from.Name + "/int8", Type: tflitefile.Int8, Shape: from.Shape, Quant: quant}, err
	})
}

// take puts the wanted form of each input in its place, made once by one more operator from the form there is.
func (q *quantizer) take(op *tflitefile.Operator, want, have map[int]int, form func(t int) (tflitefile.Op, tflitefile.Tensor, error)) error {
	inputs := slices.Clone(op.Inputs)
	for k, t := range inputs {
		if there, ok := want[t]; ok {
			inputs[k] = there
			continue
		}
		from, ok := have[t]
		if !ok { // a constant
			continue
		}
		kind, tensor, err := form(t)
		if err != nil {
			return fmt.Errorf("its input %s: %w", q.model.Tensors[t].Name, err)
		}
		to := q.model.AddTensor(tensor)
		want[t], inputs[k] = to, to
		if tensor.Quant != nil {
			q.activations[to] = params{tensor.Quant.Scale[0], int(tensor.Quant.ZeroPoint[0])}
		}
		if q.steps != nil {
			q.steps.converted(t, to)
		}
		if err := q.emit(tflitefile.Operator{Op: kind, Inputs: []int{from}, Outputs: []int{to}}); err != nil {
			return err
		}
	}
	op.Inputs = inputs
	return nil
}
