package quantize

import (
	"fmt"
	"slices"

	"xbmedge/internal/tflitefile"
)

// fixedParams returns the quantisation that Options.Fixed has for the value of that name; ok is false where it has no
// such value.
func (q *quantizer) fixedParams(name string) (p params, ok bool, err error) {
	if q.opt.Fixed == nil {
		return params{}, false, nil
	}
	i := q.opt.Fixed.Find(name)
	if i < 0 {
		return params{}, false, nil
	}
	t := &q.opt.Fixed.Tensors[i]
	if t.Type != tflitefile.Int8 || t.Quant == nil || len(t.Quant.Scale) != 1 || len(t.Quant.ZeroPoint) != 1 {
		return params{}, false, fmt.Errorf("in the model it is to be taken from, %q is %v without one scale: give an int8 model", name, t.Type)
	}
	return params{t.Quant.Scale[0], int(t.Quant.ZeroPoint[0])}, true, nil
}

// fixedWeights takes the weight and the bias of an operator from Options.Fixed, and reports whether it has them.
func (q *quantizer) fixedWeights(op *tflitefile.Operator) (bool, error) {
	if q.opt.Fixed == nil || q.opt.Fixed.Find(q.model.Tensors[op.Inputs[1]].Name) < 0 {
		return false, nil
	}
	for _, to := range op.Inputs[1:] {
		t := &q.model.Tensors[to]
		i := q.opt.Fixed.Find(t.Name)
		if i < 0 {
			return false, fmt.Errorf("the model it is to be taken from has no tensor %q", t.Name)
		}
		from := &q.opt.Fixed.Tensors[i]
		if from.Quant == nil || !slices.Equal(from.Shape, t.Shape) {
			return false, fmt.Errorf("tensor %q of the model it is to be taken from is %v %v, the network's has shape %v",
				t.Name, from.Type, from.Shape, t.Shape)
		}
		quant := *from.Quant
		t.Type, t.Quant = from.Type, &quant
		q.model.Buffers[t.Buffer] = q.opt.Fixed.Data(i)
	}
	return true, nil
}
