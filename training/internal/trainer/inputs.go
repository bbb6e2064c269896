package trainer

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"xbmedge/internal/nn"
	"xbmedge/internal/tflitefile"
	"xbmedge/training/internal/dataset"
	"xbmedge/training/internal/frames"
)

// inputs yields what the learner takes in: pixels, or what a frozen trunk makes of them.
type inputs interface {
	// Fill writes varied inputs of these photos, one after another; equal steps give equal variations.
	Fill(step uint64, indices []int, dst []float32) error
	// Plain writes the input of one photo as the board would see it. It may be called from several goroutines.
	Plain(i int, dst []float32) error
}

var (
	_ inputs = (*pixels)(nil)
	_ inputs = (*trunkOutputs)(nil)
	_ inputs = (*int8Outputs)(nil)
)

// pixels are photos, varied anew at every step, or in the ways of a viewSet.
type pixels struct {
	*dataset.Batcher
	viewer *dataset.Viewer
}

// newPixels makes inputs of photos. Views may be nil.
func newPixels(photos dataset.Source, views *viewSet, cfg *Config) (*pixels, error) {
	size := cfg.Network.Size
	b, err := dataset.NewBatcher(photos, cfg.Data.Augment, size, size, cfg.workers(), cfg.Seed^seedBatch)
	if err != nil {
		return nil, err
	}
	if views != nil {
		b.Vary(views.random)
	}
	v, err := dataset.NewViewer(photos, cfg.Data.Resize, size, size)
	return &pixels{b, v}, err
}

func (p *pixels) Plain(i int, dst []float32) error { return p.viewer.Fill(i, dst) }

// floatModel returns the folded network as a float TFLite file.
func floatModel(net *nn.Network, w nn.Weights) ([]byte, error) {
	net, w, err := nn.Fold(net, w)
	if err != nil {
		return nil, err
	}
	m, err := tflitefile.FromNetwork(net, w, tflitefile.Options{})
	if err != nil {
		return nil, err
	}
	return tflitefile.Encode(m)
}

// fingerprint tells apart what a run learns from: the photos' pixels and classes, the weights of a frozen trunk, its
// int8 model if it is run as one, the teacher's weights, and the model that it is compatible with.
func fingerprint(labels []int, photos *frames.Store, m *parts, trunk []byte, t *teacher, old *oldModel) string {
	sum := sha256.New()
	for i, label := range labels {
		width, height := photos.Size(i)
		fmt.Fprintf(sum, "%d %d×%d %x ", label, width, height, photos.Digest(i))
	}
	if m.trunk != nil {
		fmt.Fprint(sum, checksum(m.weights))
	}
	if trunk != nil {
		fmt.Fprintf(sum, " trunk %x", sha256.Sum256(trunk))
	}
	if t != nil {
		fmt.Fprint(sum, " teacher ", t.sum)
	}
	if old != nil {
		fmt.Fprint(sum, " compatible ", old.ref.SHA256)
	}
	return hex.EncodeToString(sum.Sum(nil))
}
