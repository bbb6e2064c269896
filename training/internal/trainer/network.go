package trainer

import (
	"errors"
	"fmt"
	"math/rand/v2"

	"xbmedge/internal/nn"
	"xbmedge/internal/weightfile"
)

// parts is the whole network and how it is cut: the trunk is frozen (nil where everything learns), the tail learns.
type parts struct {
	whole, trunk, tail *nn.Network
	weights            nn.Weights // of the whole network, as training starts
}

// What is done with the backbone's batch norms.
const (
	bnTrained = "trained" // they normalise with each batch's statistics and learn
	bnFrozen  = "frozen"  // they normalise with the statistics they came with
	bnFolded  = "folded"  // they are worked into the weights before training
)

// Where the values of an embedding are made of the backbone's channels.
const (
	headDense = "dense" // after the pooling
	headConv  = "conv"  // before it, by a 1×1 convolution
)

// backbone builds the configured network without an embedding.
func backbone(n *NetworkConfig) (*nn.Network, error) {
	net, err := nn.Backbone(n.Name, n.Width, n.Size, n.Channels)
	if err != nil {
		return nil, err
	}
	if n.BatchNorm == bnFolded {
		net = net.WithoutBatchNorm()
	}
	return net, nil
}

// build builds the whole configured network on its backbone.
func (n *NetworkConfig) build(net *nn.Network) (*nn.Network, error) {
	var err error
	if n.Pooling != "" {
		if net, err = net.WithPooling(nn.Kind(n.Pooling)); err != nil {
			return nil, err
		}
	}
	if n.Embedding > 0 && n.Head == headConv {
		return net.WithProjection(n.Embedding)
	}
	if n.Neck > 0 {
		net = net.WithNeck(n.Neck, n.BatchNorm != bnFolded)
	}
	if n.Embedding > 0 {
		net = net.WithEmbedding(n.Embedding)
	}
	return net, nil
}

// newParts builds the configured network with its starting weights.
func newParts(cfg *Config) (*parts, error) {
	n := &cfg.Network
	backbone, err := backbone(n)
	if err != nil {
		return nil, err
	}
	m := &parts{}
	if m.whole, err = n.build(backbone); err != nil {
		return nil, err
	}
	if m.weights, err = m.whole.Init(rand.New(rand.NewPCG(cfg.Seed, seedInit))); err != nil {
		return nil, err
	}
	if n.Weights != "" {
		if err := m.load(n.Weights, backbone); err != nil {
			return nil, err
		}
	}
	m.tail = m.whole
	if n.Freeze != "" {
		if m.trunk, m.tail, err = m.whole.Split(n.Freeze); err != nil {
			return nil, fmt.Errorf("network.freeze: %w", err)
		}
	}
	return m, nil
}

// load takes the backbone's weights from a file. What follows the backbone is taken too if the file has it in the right
// shape, under our own names.
func (m *parts) load(path string, backbone *nn.Network) error {
	file, err := weightfile.Read(path)
	if err != nil {
		return err
	}
	w, err := weightfile.Match(backbone, file)
	if err != nil {
		return fmt.Errorf("weights %s do not fit network %s: %w", path, backbone.Name, err)
	}
	for name, fresh := range m.weights {
		if t, ok := w[name]; ok {
			m.weights[name] = t
		} else if t, err := file.Get(name, fresh.Shape...); err == nil {
			m.weights[name] = t
		}
	}
	return nil
}

// with returns the whole network and its weights, with these of the tail and without batch norms.
func (m *parts) with(tail nn.Weights) (*nn.Network, nn.Weights, error) {
	w := nn.Weights{}
	for name, t := range m.weights {
		w[name] = t
	}
	for name, t := range tail {
		w[name] = t
	}
	return nn.Fold(m.whole, w)
}

// errInterrupted is wrapped by Fit's error when its context ended; the run can go on.
var errInterrupted = errors.New("interrupted")

// The purposes random numbers are drawn for, so that none depends on how many another draws.
const (
	seedInit uint64 = iota + 1
	seedSplit
	seedSampler
	seedViews
	seedBatch
	seedProxies
)
