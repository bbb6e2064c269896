package nn

import (
	"fmt"
	"maps"
	"slices"
)

// The names of the layers that make an embedding of a feature map.
const (
	PoolLayer      = "pool"      // from a map to one value a channel
	NeckLayer      = "neck"      // optional: fewer values before the embedding
	EmbeddingLayer = "embedding" // the dense layer that ends every embedding network
)

// WithEmbedding returns a copy of the network with a dense layer of dim outputs, the embedding, at its end.
func (n *Network) WithEmbedding(dim int) *Network {
	return n.with(Layer{Name: EmbeddingLayer, Kind: Dense, Channels: dim, Activation: Linear})
}

// WithNeck returns a copy of the network with a dense layer of dim outputs and ReLU at its end, with a batch norm or
// without.
func (n *Network) WithNeck(dim int, batchNorm bool) *Network {
	return n.with(Layer{Name: NeckLayer, Kind: Dense, Channels: dim, Activation: ReLU, BatchNorm: batchNorm})
}

// with returns a copy that ends in one more layer.
func (n *Network) with(l Layer) *Network {
	out := *n
	l.Inputs = []int{len(n.Layers) - 1}
	out.Layers = append(slices.Clone(n.Layers), l)
	return &out
}

// Pooling is how a map becomes one value a channel.
type Pooling string

// The poolings.
const (
	AvgPooling Pooling = "avg"
	MaxPooling Pooling = "max"
	GeMPooling Pooling = "gem"       // between the two, by a power that is learned (Radenović et al., TPAMI 2019)
	GeMFixed   Pooling = "gem_fixed" // by the power 3 that the other begins with
)

// WithPooling returns a copy of the network that pools so.
func (n *Network) WithPooling(p Pooling) (*Network, error) {
	i, err := n.Index(PoolLayer)
	if err != nil {
		return nil, err
	}
	shapes, err := n.Shapes()
	if err != nil {
		return nil, err
	}
	out := *n
	out.Layers = slices.Clone(n.Layers)
	l := &out.Layers[i]
	switch p {
	case AvgPooling:
		l.Kind = GlobalAvg
	case GeMPooling, GeMFixed:
		l.Kind, l.Frozen = GeM, p == GeMFixed
	case MaxPooling: // one window as large as the map
		in := n.InputShapes(i, shapes)[0]
		if in.H != in.W {
			return nil, fmt.Errorf("network %s: max pooling of a map of %v, which is not square", n.Name, in)
		}
		l.Kind, l.Kernel, l.Stride = MaxPool, in.H, in.H
	default:
		return nil, fmt.Errorf("network %s: a pooling %q: take %s, %s, %s or %s", n.Name, p, AvgPooling, MaxPooling, GeMPooling, GeMFixed)
	}
	return &out, nil
}

// WithProjection returns a copy of the network with a 1×1 convolution to dim channels, the neck, before its pool. The
// pool must be the last layer.
func (n *Network) WithProjection(dim int) (*Network, error) {
	i, err := n.Index(PoolLayer)
	if err != nil {
		return nil, err
	}
	if i != len(n.Layers)-1 {
		return nil, fmt.Errorf("network %s has %s after its pool: take a dense neck", n.Name, n.Layers[i+1].Name)
	}
	out := *n
	pool := n.Layers[i]
	neck := Layer{Name: NeckLayer, Kind: Conv, Inputs: pool.Inputs, Channels: dim, Kernel: 1, Stride: 1, Activation: Linear}
	pool.Inputs, pool.Channels = []int{i}, dim
	out.Layers = append(slices.Clone(n.Layers[:i]), neck, pool)
	return &out, nil
}

// WithoutBatchNorm returns a copy of the network with a bias in place of every batch norm, for weights into which the
// batch norms have been folded.
func (n *Network) WithoutBatchNorm() *Network {
	out := *n
	out.Layers = slices.Clone(n.Layers)
	for i := range out.Layers {
		out.Layers[i].BatchNorm, out.Layers[i].Epsilon = false, 0
	}
	return &out
}

// WithIdentityNorms returns a copy of a network without batch norms that has one after every convolution, and weights
// with which they change nothing: it computes the same, as long as they keep their statistics.
func (n *Network) WithIdentityNorms(w Weights) (*Network, Weights) {
	out := *n
	out.Layers = slices.Clone(n.Layers)
	weights := maps.Clone(w)
	for i := range out.Layers {
		l := &out.Layers[i]
		if l.Kind != Conv && l.Kind != Depthwise || l.Frozen || l.BatchNorm {
			continue
		}
		l.BatchNorm = true
		weights[l.Name+BNOffset] = weights[l.Name+".bias"]
		delete(weights, l.Name+".bias")
		scale, mean, variance := NewTensor(l.Channels), NewTensor(l.Channels), NewTensor(l.Channels)
		for c := range l.Channels {
			scale.Data[c], variance.Data[c] = 1, float32(1-l.NormEpsilon())
		}
		weights[l.Name+BNScale], weights[l.Name+BNMean], weights[l.Name+BNVariance] = scale, mean, variance
	}
	return &out, weights
}

// Split cuts the network after the layer of that name: the trunk ends with it, and the tail takes its output as input.
// It fails where a later layer needs another value of the trunk.
func (n *Network) Split(last string) (trunk, tail *Network, err error) {
	cut, err := n.Index(last)
	if err != nil {
		return nil, nil, err
	}
	shapes, err := n.Shapes()
	if err != nil {
		return nil, nil, err
	}
	if cut == len(n.Layers)-1 {
		return nil, nil, fmt.Errorf("network %s ends with %s: nothing is left after it", n.Name, last)
	}
	trunk = &Network{Name: n.Name, Input: n.Input, Layers: slices.Clone(n.Layers[:cut+1])}
	tail = &Network{Name: n.Name, Input: shapes[cut]}
	for _, l := range n.Layers[cut+1:] {
		inputs := make([]int, len(l.Inputs))
		for k, j := range l.Inputs {
			if j < cut {
				return nil, nil, fmt.Errorf("network %s cannot be cut after %s: %s needs an earlier value too; cut after %s", n.Name, last, l.Name, l.Name)
			}
			inputs[k] = j - cut - 1 // the cut itself becomes Input
		}
		l.Inputs = inputs
		tail.Layers = append(tail.Layers, l)
	}
	return trunk, tail, nil
}
