package trainer

import (
	"fmt"
	"strings"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/model"

	"xbmedge/internal/nn"
	"xbmedge/training/internal/engine"
)

// exactInt is the first integer that float32 cannot count up to.
const exactInt = 1 << 24

// state returns every variable by its path: weights, optimiser, memory and step. Counters and labels are whole numbers
// below 2²⁴ and stand as floats.
func (l *learner) state() (nn.Weights, error) {
	s := nn.Weights{}
	err := engine.Try(func() {
		for v := range l.store.IterVariables() {
			if !saved(v) {
				continue
			}
			t := &nn.Tensor{Shape: v.Shape().Dimensions}
			switch v.DType() {
			case dtypes.Float32:
				t.Data = tensors.MustCopyFlatData[float32](v.MustValue())
			case dtypes.Int32:
				t.Data = toFloats(v.Path(), tensors.MustCopyFlatData[int32](v.MustValue()))
			case dtypes.Int64:
				t.Data = toFloats(v.Path(), tensors.MustCopyFlatData[int64](v.MustValue()))
			}
			s[v.Path()] = t
		}
	})
	return s, err
}

// saved reports whether a variable belongs to the state. The random state does not: nothing in the graph draws from it.
// Nor do the old model's embeddings, which every start makes anew.
func saved(v *model.Variable) bool {
	if strings.HasPrefix(v.Path(), compatibleScope+"/") {
		return false
	}
	return v.DType() == dtypes.Float32 || v.DType() == dtypes.Int32 || v.DType() == dtypes.Int64
}

func toFloats[T int32 | int64](name string, in []T) []float32 {
	out := make([]float32, len(in))
	for i, v := range in {
		if v >= exactInt || v <= -exactInt {
			panic(fmt.Errorf("variable %s: %d is too large to be saved", name, v))
		}
		out[i] = float32(v)
	}
	return out
}

// restore puts back what state returned.
func (l *learner) restore(s nn.Weights) error {
	return engine.Try(func() {
		for v := range l.store.IterVariables() {
			if _, ok := s[v.Path()]; !ok && saved(v) {
				panic(fmt.Errorf("the checkpoint has no %s: resume with the run's own configuration", v.Path()))
			}
		}
		for name, t := range s {
			v := l.store.GetVariable(name)
			var value *tensors.Tensor
			dtype := dtypes.Float32
			if v != nil {
				dtype = v.DType()
			}
			switch dtype {
			case dtypes.Int32:
				value = fromFloats[int32](t)
			case dtypes.Int64:
				value = fromFloats[int64](t)
			default:
				value = tensors.FromFlatDataAndDimensions(t.Data, t.Shape...)
			}
			if v == nil { // the optimiser's, which its graph has not made yet
				l.store.VariableWithValue(name, value).SetTrainable(false)
				continue
			}
			if !v.Shape().Equal(value.Shape()) {
				panic(fmt.Errorf("the checkpoint's %s is %s, this configuration needs %s: resume with the run's own configuration",
					name, value.Shape(), v.Shape()))
			}
			if err := v.SetValue(value); err != nil {
				panic(err)
			}
		}
	})
}

func fromFloats[T int32 | int64](t *nn.Tensor) *tensors.Tensor {
	out := make([]T, len(t.Data))
	for i, v := range t.Data {
		out[i] = T(v)
	}
	return tensors.FromFlatDataAndDimensions(out, t.Shape...)
}
