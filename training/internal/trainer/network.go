package trainer

import (
	"errors"
	"fmt"
	"math/rand/v2"

	"xbmedge/internal/nn"
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

// backbone builds the configured network without an embedding.
func backbone(n *NetworkConfig) (*nn.Network, error) {
	var net *nn.Network
	switch n.Name {
	case "smallcnn":
		net = nn.SmallCNN(n.Size, n.Channels...)
	case "mobilenetv2":
		net = nn.MobileNetV2(n.Width, n.Size)
		if n.BatchNorm != bnFolded {
			net = net.WithBatchNorm()
		}
	default:
		return nil, fmt.Errorf("network.name is %q", n.Name)
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
	m := &parts{whole: backbone}
	if n.Embedding > 0 {
		m.whole = backbone.WithEmbedding(n.Embedding)
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

// load takes the backbone's weights from a file. The embedding is taken too if the file has one of the right shape.
func (m *parts) load(path string, backbone *nn.Network) error {
	w, err := nn.ReadSafetensors(path)
	if err != nil {
		return err
	}
	if err := backbone.Check(w); err != nil {
		return fmt.Errorf("weights %s do not fit network %s: %w", path, backbone.Name, err)
	}
	for name, fresh := range m.weights {
		if t, err := w.Get(name, fresh.Shape...); err == nil {
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
)
