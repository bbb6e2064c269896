package trainer

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"

	"xbmedge/internal/bundle"
	"xbmedge/internal/embed"
	"xbmedge/internal/photos"
	"xbmedge/internal/retrieval"
	"xbmedge/training/internal/xbm"
)

// CompatibleConfig names an older model whose galleries the new one is to find its way in, so that an upgrade of a board
// needs no enrolling anew (backward-compatible training; Shen et al., CVPR 2020, arXiv 2003.11942). What the old model
// makes of the photos stands beside the memory as entries that never leave: the same loss pulls the new embeddings
// towards the old ones of their class and pushes them from those of others.
type CompatibleConfig struct {
	Model  string  `yaml:"model" json:"model"`   // its bundle or .tflite file, as the boards have it, or the folder of its run; empty: none
	Weight float64 `yaml:"weight" json:"weight"` // of the loss against its embeddings
}

// on reports whether there is an older model.
func (c *CompatibleConfig) on() bool { return c.Model != "" }

func (c *Config) validateCompatible() []error {
	var faults []error
	if c.Compatible.on() && !(c.Compatible.Weight > 0) {
		faults = append(faults, fmt.Errorf("compatible.weight is %g: must be above 0; leave compatible.model empty for no older model", c.Compatible.Weight))
	}
	if c.Compatible.on() && c.Loss.pairs() == nil {
		faults = append(faults, fmt.Errorf("loss.name is %s, which compares with no embeddings and so not with those of compatible.model: take another", c.Loss.Name))
	}
	return faults
}

// oldModel is the model that the new one is to be compatible with.
type oldModel struct {
	file []byte // TensorFlow Lite
	ref  OldModel
}

// OldModel says which older model a network was trained to be compatible with.
type OldModel struct {
	embed.ModelRef
	SpaceID string `json:"space_id"` // of its embeddings, as bundles and galleries name it
}

// readOldModel reads a bundle, a .tflite file, or the network of a run, in float. Space is empty for a run: no board has
// enrolled with it.
func readOldModel(path string) (file []byte, space string, err error) {
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		file, err = ReadModel(path)
		return file, "", err
	}
	file, info, err := bundle.LoadModel(path)
	if err != nil {
		return nil, "", fmt.Errorf("%w; name a bundle, a .tflite file or the folder of a run", err)
	}
	return file, info.SpaceID, nil
}

// newOldModel opens the configured model, and refuses one whose embeddings, of another number of values than dim, cannot
// be compared with the new ones.
func newOldModel(c *CompatibleConfig, dim int) (*oldModel, error) {
	file, space, err := readOldModel(c.Model)
	if err != nil {
		return nil, fmt.Errorf("compatible.model: %w", err)
	}
	e, err := embed.New(file, embed.Options{})
	if err != nil {
		return nil, fmt.Errorf("compatible.model %s: %w", c.Model, err)
	}
	m := &oldModel{file: file, ref: OldModel{e.Model(), space}}
	if err := e.Close(); err != nil {
		return nil, err
	}
	if m.ref.Dim != dim {
		return nil, fmt.Errorf("compatible.model %s gives embeddings of %d values, the network of %d: set network.embedding to %d",
			c.Model, m.ref.Dim, dim, m.ref.Dim)
	}
	return m, nil
}

// embed runs the model on the photos as a board would, from their files.
func (m *oldModel) embed(ctx context.Context, list []photos.Photo, done func(share float64)) (retrieval.Embeddings, error) {
	opt := embed.Options{Progress: func(n, total int) { done(float64(n) / float64(total)) }}
	set, skipped, err := embed.Photos(ctx, m.file, opt, list)
	if err == nil && len(skipped) > 0 { // all could be read a moment ago
		err = skipped[0].Err
	}
	if err != nil {
		return retrieval.Embeddings{}, fmt.Errorf("compatible.model: %w", err)
	}
	return set.Embeddings, nil
}

// references are embeddings that each batch is compared with and that never change.
type references struct {
	retrieval.Embeddings
	labels []int32
}

// rows picks embeddings with their labels.
func rows(e retrieval.Embeddings, labels, indices []int) (retrieval.Embeddings, []int) {
	picked := retrieval.Embeddings{Dim: e.Dim}
	var of []int
	for _, i := range indices {
		picked.Data = append(picked.Data, e.Row(i)...)
		of = append(of, labels[i])
	}
	return picked, of
}

// takeOldEmbeddings lets the old model embed all photos, and returns those of the photos that are learned from.
func (f *fitting) takeOldEmbeddings(ctx context.Context, m *oldModel) (*references, error) {
	var err error
	if f.old, err = m.embed(ctx, f.photos, f.prepared("old model")); err != nil {
		return nil, err
	}
	r := &references{}
	var labels []int
	r.Embeddings, labels = rows(f.old, f.labels, f.learned)
	for _, l := range labels {
		r.labels = append(r.labels, int32(l))
	}
	return r, nil
}

// Names of the old embeddings' variables. They are no part of a run's state: they are made anew at each start.
const (
	compatibleScope = "/compatible"
	oldEmbeddings   = compatibleScope + "/embeddings" // [N, D]
	oldLabels       = compatibleScope + "/labels"     // [N]
)

func (l *learner) addReferences(r *references) {
	l.store.VariableWithValue(oldEmbeddings, tensors.FromFlatDataAndDimensions(r.Data, r.Len(), r.Dim)).SetTrainable(false)
	l.store.VariableWithValue(oldLabels, tensors.FromFlatDataAndDimensions(r.labels, r.Len())).SetTrainable(false)
}

// compatibleLoss compares the batch with the old model's embeddings, those of its own photos included: that a thing is
// found by the very photo it was enrolled with is wanted.
func (l *learner) compatibleLoss(embeddings, labels *graph.Node) *graph.Node {
	g := embeddings.Graph()
	old := xbm.Memory{Embeddings: l.store.GetVariable(oldEmbeddings).NodeValue(g), Labels: l.store.GetVariable(oldLabels).NodeValue(g)}
	old.Filled = graph.Const(g, int32(old.Embeddings.Shape().Dimensions[0]))
	return l.pairs.Loss(embeddings, labels, old.Embeddings, old.Labels, old.Pairs(embeddings.Shape().Dimensions[0], nil))
}

// measureCompatible lets the photos that are measured, as the new network embeds them, look for their class among those
// of the old model.
func (f *fitting) measureCompatible(ctx context.Context, m *Metrics, fresh retrieval.Embeddings) error {
	asking, among := f.measured()
	if len(asking) == 0 {
		asking, among = halves(f.labels, among)
	}
	queries, queryLabels := rows(fresh, f.labels, asking)
	gallery, galleryLabels := rows(f.old, f.labels, among)
	found, err := retrieval.Evaluate(ctx, queries, queryLabels, gallery, galleryLabels, retrieval.Options{Ks: []int{1}})
	if err != nil {
		return errors.Join(errors.New("against the old model"), err)
	}
	m.CompatibleRecallAt1, m.CompatibleMAP = found.Recall[0], found.MAP
	return nil
}

// halves divides photos that look among one another: every other one of a class looks among the rest, so that none
// finds itself.
func halves(labels, indices []int) (asking, among []int) {
	odd := map[int]bool{}
	for _, i := range indices {
		if label := labels[i]; odd[label] {
			asking = append(asking, i)
		} else {
			among = append(among, i)
		}
		odd[labels[i]] = !odd[labels[i]]
	}
	return asking, among
}
