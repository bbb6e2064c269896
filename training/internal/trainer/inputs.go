package trainer

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"sync"

	"xbmedge/internal/nn"
	"xbmedge/internal/tflite"
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

// trunkOutputs are what a frozen trunk makes of each view of each photo, computed once.
type trunkOutputs struct {
	views  *viewSet
	size   int       // values of one output
	values []float32 // [views][photos][size]
}

// newTrunkOutputs runs the trunk on every view. Done is called now and then with the share that is done.
func newTrunkOutputs(ctx context.Context, v *viewSet, m *parts, cfg *Config, done func(share float64)) (*trunkOutputs, error) {
	trunk, err := floatModel(m.trunk, m.weights)
	if err != nil {
		return nil, fmt.Errorf("frozen trunk: %w", err)
	}
	t := &trunkOutputs{views: v, size: m.tail.Input.Size()}
	if t.values, err = v.run(ctx, trunk, cfg.Network.Size, t.size, cfg.workers(), done); err != nil {
		return nil, fmt.Errorf("frozen trunk: %w", err)
	}
	return t, nil
}

func (t *trunkOutputs) Fill(step uint64, indices []int, dst []float32) error {
	for place, i := range indices {
		at := t.views.at(step, place, i)
		copy(dst[place*t.size:(place+1)*t.size], t.values[at*t.size:])
	}
	return nil
}

func (t *trunkOutputs) Plain(i int, dst []float32) error {
	copy(dst[:t.size], t.values[i*t.size:])
	return nil
}

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

// runAll runs a float model once for each of n inputs, on several interpreters at once. Fill, keep and progress are
// called from several goroutines, keep never twice for one i; progress gets the number done.
func runAll(ctx context.Context, file []byte, n, workers int, fill func(i int, dst []float32) error,
	keep func(i int, y []float32), progress func(n int),
) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	next := make(chan int)
	var group sync.WaitGroup
	var mu sync.Mutex
	finished := 0
	for range min(workers, n) {
		group.Go(func() {
			interpreter, err := tflite.Open(file, tflite.Options{Threads: 1})
			if err != nil {
				cancel(err)
				return
			}
			defer func() {
				if err := interpreter.Close(); err != nil {
					cancel(err)
				}
			}()
			for i := range next {
				if err := runOne(interpreter, i, fill, keep); err != nil {
					cancel(err)
					return
				}
				mu.Lock()
				finished++
				progress(finished)
				mu.Unlock()
			}
		})
	}
	for i := 0; i < n && ctx.Err() == nil; i++ {
		select {
		case next <- i:
		case <-ctx.Done():
		}
	}
	close(next)
	group.Wait()
	return context.Cause(ctx)
}

func runOne(interpreter *tflite.Interpreter, i int, fill func(i int, dst []float32) error, keep func(i int, y []float32)) error {
	in, err := interpreter.InputFloat32(0)
	if err != nil {
		return err
	}
	if err := fill(i, in); err != nil {
		return err
	}
	if err := interpreter.Invoke(); err != nil {
		return err
	}
	out, err := interpreter.OutputFloat32(0)
	if err != nil {
		return err
	}
	keep(i, out)
	return nil
}

// fingerprint tells apart what a run learns from: the photos' pixels and classes, the weights of a frozen trunk and of
// the teacher, and the model that it is compatible with.
func fingerprint(labels []int, photos *frames.Store, m *parts, t *teacher, old *oldModel) string {
	sum := sha256.New()
	for i, label := range labels {
		width, height := photos.Size(i)
		fmt.Fprintf(sum, "%d %d×%d %x ", label, width, height, photos.Digest(i))
	}
	if m.trunk != nil {
		fmt.Fprint(sum, checksum(m.weights))
	}
	if t != nil {
		fmt.Fprint(sum, " teacher ", t.sum)
	}
	if old != nil {
		fmt.Fprint(sum, " compatible ", old.ref.SHA256)
	}
	return hex.EncodeToString(sum.Sum(nil))
}
