package trainer

import (
	"context"
	"fmt"
	"maps"
	"math"

	"github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/model"

	"xbmedge/internal/nn"
	"xbmedge/training/internal/dataset"
	"xbmedge/training/internal/engine"
)

// Photos that batch norms are measured on, and how many of them at once.
const (
	calibrationPhotos = 48
	calibrationBatch  = 8
)

// settle makes of the weights that were read those to begin with, for which some photos are needed: where the weights
// are a wider teacher's, channels are selected of them; and batch norms that change nothing, since they had been folded
// into the weights, are given the statistics of those photos, so that they still change nothing once they normalise.
func (f *fitting) settle(ctx context.Context, photos dataset.Source) error {
	n := &f.cfg.Network
	m := f.parts
	if n.Weights == teacherWeights {
		wide, w, err := f.cfg.Teacher.network()
		if err != nil {
			return fmt.Errorf("teacher: %w", err)
		}
		if n.BatchNorm != bnFolded {
			wide, w = wide.WithIdentityNorms(w)
			if w, err = calibrated(ctx, wide, w, f.plain(photos, wide.Input.H)); err != nil {
				return fmt.Errorf("teacher: %w", err)
			}
		}
		selected, err := nn.Select(wide, w, m.whole)
		if err != nil {
			return fmt.Errorf("network.weights is teacher, but its channels cannot be taken: %w; "+
				"take a teacher of the same kind that is at least as wide, or other network.weights", err)
		}
		maps.Copy(m.weights, selected)
		return nil
	}
	if n.BatchNorm != bnTrained || !identityNorms(m.whole, m.weights) || n.fromNothing() {
		return nil
	}
	var err error
	m.weights, err = calibrated(ctx, m.whole, m.weights, f.plain(photos, n.Size))
	return err
}

// identityNorms reports whether the network's batch norms are all as weightfile.Match makes them of weights without.
func identityNorms(net *nn.Network, w nn.Weights) bool {
	found := false
	for i := range net.Layers {
		l := &net.Layers[i]
		if !l.BatchNorm || l.Name == nn.NeckLayer {
			continue
		}
		found = true
		for c, mean := range w[l.Name+nn.BNMean].Data {
			if mean != 0 || w[l.Name+nn.BNVariance].Data[c] != float32(1-l.NormEpsilon()) {
				return false
			}
		}
	}
	return found
}

// plain returns batches of photos that are learned from, as the board would see them.
func (f *fitting) plain(photos dataset.Source, size int) func() ([]float32, int, error) {
	count := min(calibrationPhotos, len(f.learned))
	next := 0
	return func() ([]float32, int, error) {
		n := min(calibrationBatch, count-next)
		if n == 0 {
			return nil, 0, nil
		}
		viewer, err := dataset.NewViewer(photos, f.cfg.Data.Resize, size, size)
		if err != nil {
			return nil, 0, err
		}
		values := 3 * size * size
		x := make([]float32, n*values)
		for k := range n {
			if err := viewer.Fill(f.learned[(next+k)*len(f.learned)/count], x[k*values:(k+1)*values]); err != nil {
				return nil, 0, err
			}
		}
		next += n
		return x, n, nil
	}
}

// calibrated returns the weights with batch norms that have the statistics of the inputs, and compute what they did
// before. Next returns the inputs batch by batch and how many are in it, 0 at the end.
func calibrated(ctx context.Context, net *nn.Network, w nn.Weights, next func() ([]float32, int, error)) (nn.Weights, error) {
	e, err := engine.Open("go")
	if err != nil {
		return nil, err
	}
	defer e.Close()
	var names []string // of the layers, in the order of the outputs
	store := model.NewStore()
	exec, err := e.NewExec(store, func(_ *model.Scope, in []*graph.Node) []*graph.Node {
		names = nil
		var outputs []*graph.Node
		forward := engine.Forward{
			Lowering: e.Lowering,
			Param: func(name string) *graph.Node {
				return graph.Const(in[0].Graph(), tensors.FromFlatDataAndDimensions(w[name].Data, w[name].Shape...))
			},
			Observe: func(layer string, mean, variance *graph.Node) {
				names = append(names, layer)
				outputs = append(outputs, mean, variance)
			},
		}
		forward.Build(net, in[0])
		return outputs
	})
	if err != nil {
		return nil, fmt.Errorf("measure batch norms: %w", err)
	}
	means, squares := map[string][]float64{}, map[string][]float64{}
	total := 0
	for {
		x, n, err := next()
		if err != nil {
			return nil, fmt.Errorf("measure batch norms: %w", err)
		}
		if n == 0 {
			break
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		var out []*tensors.Tensor
		if err := engine.Try(func() {
			if out, err = exec.Call(tensors.FromFlatDataAndDimensions(x, n, net.Input.H, net.Input.W, net.Input.C)); err != nil {
				panic(err)
			}
		}); err != nil {
			return nil, fmt.Errorf("measure batch norms: %w", err)
		}
		total += n
		for k, name := range names {
			mean, variance := tensors.MustCopyFlatData[float32](out[2*k]), tensors.MustCopyFlatData[float32](out[2*k+1])
			if means[name] == nil {
				means[name], squares[name] = make([]float64, len(mean)), make([]float64, len(mean))
			}
			for c := range mean {
				m := float64(mean[c])
				means[name][c] += float64(n) * m
				squares[name][c] += float64(n) * (float64(variance[c]) + m*m)
			}
		}
	}
	return withStatistics(net, w, means, squares, float64(total)), nil
}

// withStatistics puts means and variances, given as sums over total inputs, into the batch norms, and makes up for them
// by their scales and offsets.
func withStatistics(net *nn.Network, w nn.Weights, means, squares map[string][]float64, total float64) nn.Weights {
	out := maps.Clone(w)
	for i := range net.Layers {
		l := &net.Layers[i]
		sum, ok := means[l.Name]
		if !ok || !l.BatchNorm {
			continue
		}
		old := [4]*nn.Tensor{w[l.Name+nn.BNScale], w[l.Name+nn.BNOffset], w[l.Name+nn.BNMean], w[l.Name+nn.BNVariance]}
		scale, offset, mean, variance := nn.NewTensor(l.Channels), nn.NewTensor(l.Channels), nn.NewTensor(l.Channels), nn.NewTensor(l.Channels)
		for c := range l.Channels {
			mu := sum[c] / total
			v := max(squares[l.Name][c]/total-mu*mu, 0)
			factor := float64(old[0].Data[c]) / math.Sqrt(float64(old[3].Data[c])+l.NormEpsilon())
			mean.Data[c], variance.Data[c] = float32(mu), float32(v)
			scale.Data[c] = float32(factor * math.Sqrt(v+l.NormEpsilon()))
			offset.Data[c] = float32(float64(old[1].Data[c]) + factor*(mu-float64(old[2].Data[c])))
		}
		out[l.Name+nn.BNScale], out[l.Name+nn.BNOffset] = scale, offset
		out[l.Name+nn.BNMean], out[l.Name+nn.BNVariance] = mean, variance
	}
	return out
}
