package trainer

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"

	"xbmedge/internal/nn"
	"xbmedge/internal/weightfile"
	"xbmedge/training/internal/backbone"
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

// newBackbone builds the configured network without an embedding.
func newBackbone(n *NetworkConfig) (*nn.Network, error) {
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
		if net, err = net.WithPooling(nn.Pooling(n.Pooling)); err != nil {
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

// deployed is the network as it is left for the board.
func (n *NetworkConfig) deployed(net *nn.Network) *nn.Network {
	out := *net
	if n.DeploySize > 0 {
		out.Input.H, out.Input.W = n.DeploySize, n.DeploySize
	}
	return &out
}

// newParts builds the configured network with its starting weights.
func newParts(cfg *Config) (*parts, error) {
	n := &cfg.Network
	net, err := newBackbone(n)
	if err != nil {
		return nil, err
	}
	m := &parts{}
	if m.whole, err = n.build(net); err != nil {
		return nil, err
	}
	if m.weights, err = m.whole.Init(rand.New(rand.NewPCG(cfg.Seed, seedInit))); err != nil {
		return nil, err
	}
	if err := m.start(n, net); err != nil {
		return nil, err
	}
	m.tail = m.whole
	if n.Freeze != "" {
		if m.trunk, m.tail, err = m.whole.Split(n.Freeze); err != nil {
			return nil, fmt.Errorf("network.freeze: %w", err)
		}
	}
	return m, nil
}

// Values of network.weights that are no file.
const (
	noWeights      = "none"    // from nothing
	teacherWeights = "teacher" // channels of the teacher's, which is wider
)

// fromNothing reports whether the network starts without weights that have been trained.
func (n *NetworkConfig) fromNothing() bool {
	return n.Weights == noWeights || n.Weights == "" && !backbone.Fits(n.Name, n.Width)
}

// start takes the backbone's weights from the configured file, or, where none is named, those that come with the
// program if they are for this network. What follows the backbone is taken too if the file has it in the right shape,
// under our own names.
func (m *parts) start(n *NetworkConfig, net *nn.Network) error {
	if n.fromNothing() || n.Weights == teacherWeights {
		return nil
	}
	file, err := backbone.Weights()
	from := "that come with xbm-train"
	if n.Weights != "" {
		from = n.Weights
		file, err = weightfile.Read(n.Weights)
	}
	if err != nil {
		return err
	}
	w, err := weightfile.Match(net, file)
	if err != nil {
		return fmt.Errorf("weights %s do not fit network %s: %w", from, net.Name, err)
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

// with returns the weights of the whole network, with these of the tail.
func (m *parts) with(tail nn.Weights) nn.Weights {
	w := maps.Clone(m.weights)
	maps.Copy(w, tail)
	return w
}

// errInterrupted is wrapped by the errors of Start and Resume where the context ended; the run can go on.
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
