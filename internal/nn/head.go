package nn

import (
	"fmt"
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

// WithPooling returns a copy of the network whose pool is of that kind: GlobalAvg or GeM. A GeM's power is trained, or
// fixed.
func (n *Network) WithPooling(kind Kind, fixed bool) (*Network, error) {
	if kind != GlobalAvg && kind != GeM {
		return nil, fmt.Errorf("network %s: a pooling of kind %q: take %s or %s", n.Name, kind, GlobalAvg, GeM)
	}
	i, err := n.Index(PoolLayer)
	if err != nil {
		return nil, err
	}
	out := *n
	out.Layers = slices.Clone(n.Layers)
	out.Layers[i].Kind, out.Layers[i].Frozen = kind, fixed && kind == GeM
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
