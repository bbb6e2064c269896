package nn

import "fmt"

// Tensor is a dense float32 array in row-major order.
type Tensor struct {
	Shape []int
	Data  []float32
}

// NewTensor returns a tensor of zeros.
func NewTensor(shape ...int) *Tensor {
	n := 1
	for _, d := range shape {
		n *= d
	}
	return &Tensor{Shape: shape, Data: make([]float32, n)}
}

// Weights maps tensor names such as "features.0.weight" to values.
type Weights map[string]*Tensor

// Get returns the named tensor if it has that shape.
func (w Weights) Get(name string, shape ...int) (*Tensor, error) {
	t, ok := w[name]
	if !ok {
		return nil, fmt.Errorf("weights have no tensor %q", name)
	}
	if fmt.Sprint(t.Shape) != fmt.Sprint(shape) {
		return nil, fmt.Errorf("tensor %q has shape %v, the network needs %v", name, t.Shape, shape)
	}
	return t, nil
}
