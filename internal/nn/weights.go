package nn

import (
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
)

// BatchNormEpsilon is added to the variance before its root is taken, where the layer does not say otherwise.
const BatchNormEpsilon = 1e-3

// NormEpsilon returns what is added to the variance of the layer's batch norm.
func (l *Layer) NormEpsilon() float64 {
	if l.Epsilon > 0 {
		return l.Epsilon
	}
	return BatchNormEpsilon
}

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
	if !slices.Equal(t.Shape, shape) {
		return nil, fmt.Errorf("tensor %q has shape %v, the network needs %v", name, t.Shape, shape)
	}
	return t, nil
}

// WeightShape returns the shape of the weight of a layer whose input has in channels.
func (l *Layer) WeightShape(in int) []int {
	switch l.Kind {
	case Conv:
		return []int{l.Channels, in, l.Kernel, l.Kernel}
	case Depthwise:
		return []int{l.Channels, 1, l.Kernel, l.Kernel}
	case Dense:
		return []int{l.Channels, in}
	}
	return nil
}

// Parameter is a tensor a network needs.
type Parameter struct {
	Name  string
	Shape []int
	Layer int  // index of the layer it belongs to
	Fixed bool // never trained: of a frozen layer, or a batch norm's running statistics
}

// The suffixes of the names of a batch norm's tensors.
const (
	BNScale    = ".bn.scale"
	BNOffset   = ".bn.offset"
	BNMean     = ".bn.mean"
	BNVariance = ".bn.variance"
)

// GeMPower is the suffix of the name of a generalised mean's power.
const GeMPower = ".p"

// Parameters lists the tensors the network needs, in the order of its layers.
func (n *Network) Parameters() ([]Parameter, error) {
	shapes, err := n.Shapes()
	if err != nil {
		return nil, err
	}
	var ps []Parameter
	for i := range n.Layers {
		l := &n.Layers[i]
		add := func(suffix string, shape ...int) {
			fixed := l.Frozen || suffix == BNMean || suffix == BNVariance
			ps = append(ps, Parameter{Name: l.Name + suffix, Shape: shape, Layer: i, Fixed: fixed})
		}
		switch {
		case l.Kind == GeM:
			add(GeMPower, 1)
			continue
		case !l.Weighted():
			continue
		}
		add(".weight", l.WeightShape(n.InputShapes(i, shapes)[0].C)...)
		suffixes := []string{".bias"}
		if l.BatchNorm {
			suffixes = []string{BNScale, BNOffset, BNMean, BNVariance}
		}
		for _, s := range suffixes {
			add(s, l.Channels)
		}
	}
	return ps, nil
}

// Check returns an error naming the first tensor of the network that is missing or has another shape.
func (n *Network) Check(w Weights) error {
	ps, err := n.Parameters()
	if err != nil {
		return err
	}
	for _, p := range ps {
		if _, err := w.Get(p.Name, p.Shape...); err != nil {
			return err
		}
	}
	return nil
}

// Init returns fresh weights: normal with variance 2/fan-in for layers followed by a ReLU and 1/fan-in for others
// (He et al., ICCV 2015), zero biases, identity batch norms, powers of 3, and the constants of a Normalize layer.
func (n *Network) Init(rng *rand.Rand) (Weights, error) {
	ps, err := n.Parameters()
	if err != nil {
		return nil, err
	}
	w := Weights{}
	for _, p := range ps {
		t := NewTensor(p.Shape...)
		w[p.Name] = t
		l := &n.Layers[p.Layer]
		switch p.Name {
		case l.Name + ".weight":
			gain := 2.0
			if l.Activation == Linear || l.Activation == HSigmoid || l.Activation == Sigmoid {
				gain = 1
			}
			std := math.Sqrt(gain / float64(len(t.Data)/l.Channels))
			for i := range t.Data {
				t.Data[i] = float32(rng.NormFloat64() * std)
			}
		case l.Name + BNScale, l.Name + BNVariance:
			for i := range t.Data {
				t.Data[i] = 1
			}
		case l.Name + GeMPower:
			t.Data[0] = GeMStart
		}
	}
	maps.Copy(w, n.Constants())
	return w, nil
}

// GeMStart is the power that a generalised mean starts from.
const GeMStart = 3

// Fold returns the same function without batch norms: each is worked into the weight and bias before it.
// Weights of layers without one are shared with the input, not copied.
func Fold(n *Network, w Weights) (*Network, Weights, error) {
	if err := n.Check(w); err != nil {
		return nil, nil, err
	}
	folded := *n
	folded.Layers = slices.Clone(n.Layers)
	out := Weights{}
	for i := range folded.Layers {
		l := &folded.Layers[i]
		if l.Kind == GeM {
			out[l.Name+GeMPower] = w[l.Name+GeMPower]
		}
		if !l.Weighted() {
			continue
		}
		weight := w[l.Name+".weight"]
		if !l.BatchNorm {
			out[l.Name+".weight"], out[l.Name+".bias"] = weight, w[l.Name+".bias"]
			continue
		}
		epsilon := l.NormEpsilon()
		l.BatchNorm, l.Epsilon = false, 0
		scaled, bias := NewTensor(weight.Shape...), NewTensor(l.Channels)
		per := len(weight.Data) / l.Channels
		for c := range l.Channels {
			factor := float64(w[l.Name+BNScale].Data[c]) / math.Sqrt(float64(w[l.Name+BNVariance].Data[c])+epsilon)
			bias.Data[c] = float32(float64(w[l.Name+BNOffset].Data[c]) - factor*float64(w[l.Name+BNMean].Data[c]))
			for k := c * per; k < (c+1)*per; k++ {
				scaled.Data[k] = float32(factor * float64(weight.Data[k]))
			}
		}
		out[l.Name+".weight"], out[l.Name+".bias"] = scaled, bias
	}
	return &folded, out, nil
}
