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
	_ inputs = (*views)(nil)
)

// pixels are photos, varied anew at every step.
type pixels struct {
	*dataset.Batcher
	viewer *dataset.Viewer
}

func newPixels(photos dataset.Source, cfg *Config) (*pixels, error) {
	size := cfg.Network.Size
	b, err := dataset.NewBatcher(photos, cfg.Data.Augment, size, size, cfg.workers(), cfg.Seed^seedBatch)
	if err != nil {
		return nil, err
	}
	v, err := dataset.NewViewer(photos, cfg.Data.Resize, size, size)
	return &pixels{b, v}, err
}

func (p *pixels) Plain(i int, dst []float32) error { return p.viewer.Fill(i, dst) }

// views are a frozen trunk's outputs: for each photo the plain one and a number of variations, computed once.
type views struct {
	seed   uint64
	size   int       // values of one output
	photos int       // photos
	varied int       // variations of each
	values []float32 // [1 + varied][photos][size]
}

// newViews runs the trunk on every photo, plain and varied. Done is called now and then with the share that is done.
func newViews(ctx context.Context, photos dataset.Source, m *parts, cfg *Config, done func(share float64)) (*views, error) {
	trunk, err := floatModel(m.trunk, m.weights)
	if err != nil {
		return nil, fmt.Errorf("frozen trunk: %w", err)
	}
	v := &views{seed: cfg.Seed ^ seedBatch, size: m.tail.Input.Size(), photos: photos.Len(), varied: cfg.Network.Views}
	rounds := 1 + v.varied
	v.values = make([]float32, rounds*v.photos*v.size)
	size := cfg.Network.Size
	viewer, err := dataset.NewViewer(photos, cfg.Data.Resize, size, size)
	if err != nil {
		return nil, err
	}
	variations, err := dataset.NewVariations(photos, cfg.Data.Augment, size, size, cfg.Seed^seedViews)
	if err != nil {
		return nil, err
	}
	for round := range rounds {
		fill := viewer.Fill
		if round > 0 {
			fill = func(i int, dst []float32) error { return variations.Fill(uint64(round), i, dst) }
		}
		offset := round * v.photos
		keep := func(i int, y []float32) { copy(v.values[(offset+i)*v.size:], y) }
		progress := func(n int) { done(float64(offset+n) / float64(rounds*v.photos)) }
		if err := runAll(ctx, trunk, photos.Len(), cfg.workers(), fill, keep, progress); err != nil {
			return nil, fmt.Errorf("frozen trunk: %w", err)
		}
	}
	return v, nil
}

func (v *views) Fill(step uint64, indices []int, dst []float32) error {
	for place, i := range indices {
		round := 0
		if v.varied > 0 {
			round = 1 + dataset.Rand(v.seed, step, uint64(place)).IntN(v.varied)
		}
		copy(dst[place*v.size:(place+1)*v.size], v.values[(round*v.photos+i)*v.size:])
	}
	return nil
}

func (v *views) Plain(i int, dst []float32) error {
	copy(dst[:v.size], v.values[i*v.size:])
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

// fingerprint tells apart what a run learns from: the photos' pixels and classes, and the weights of a frozen trunk.
func fingerprint(labels []int, photos *frames.Store, m *parts) string {
	sum := sha256.New()
	for i, label := range labels {
		width, height := photos.Size(i)
		fmt.Fprintf(sum, "%d %d×%d %x ", label, width, height, photos.Digest(i))
	}
	if m.trunk != nil {
		fmt.Fprint(sum, checksum(m.weights))
	}
	return hex.EncodeToString(sum.Sum(nil))
}
