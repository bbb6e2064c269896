package trainer

import (
	"path"
	"strings"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"

	"xbmedge/internal/atomicfile"
	"xbmedge/training/internal/engine"
)

// Quantisation-aware training (Jacob et al., CVPR 2018): what learns is rounded in training as int8 will round it on the
// board. Weights are rounded with a scale for each output, and what layers give over a range that follows the smallest
// and largest values of the batches.

// RangesFile is where a run that was trained with rounding keeps the ranges of its layers, [lowest, highest].
const RangesFile = "ranges.json"

const (
	rangeScope = "/ranges" // of each layer's output: [2], lowest and highest
	tailInput  = "input"   // of the frozen trunk, as a layer of that scope
)

// rangeMomentum is how much of a range stays at each step.
const rangeMomentum = 0.99

// addRanges makes a variable for the range of each layer, and for the input where it is a frozen trunk's output.
func (l *learner) addRanges() {
	names := []string{tailInput}
	for i := range l.net.Layers {
		names = append(names, l.net.Layers[i].Name)
	}
	for _, name := range names {
		l.store.VariableWithValue(path.Join(rangeScope, name), []float32{0, 0}).SetTrainable(false)
	}
}

// roundAll lets a network be computed as int8 would, from the step on at which the configuration says so; before that
// ranges are only observed.
func (l *learner) roundAll(f *engine.Forward, step *graph.Node) {
	g := step.Graph()
	started := graph.GreaterOrEqual(step, graph.Const(g, int32(l.cfg.Network.RoundStart)))
	share := graph.ConvertDType(started, dtypes.Float32) // of the rounding that counts: none or all
	blend := func(plain, rounded *graph.Node) *graph.Node {
		return graph.Add(plain, graph.Mul(share, graph.Sub(rounded, plain)))
	}
	first := graph.Equal(step, graph.Const(g, int32(0)))
	f.RoundWeight = func(w *graph.Node) *graph.Node { return blend(w, engine.RoundWeight(w)) }
	f.RoundOutput = func(layer string, y *graph.Node) *graph.Node {
		v := l.store.GetVariable(path.Join(rangeScope, layer))
		plain := graph.StopGradient(y)
		seen := graph.Stack([]*graph.Node{graph.ReduceAllMin(plain), graph.ReduceAllMax(plain)}, 0)
		before := v.NodeValue(g)
		after := graph.Add(graph.MulScalar(before, rangeMomentum), graph.MulScalar(seen, 1-rangeMomentum))
		after = graph.Where(graph.BroadcastToDims(first, 2), seen, after)
		v.SetNodeValue(after)
		low := graph.Squeeze(graph.Slice(after, graph.AxisElem(0)))
		high := graph.Squeeze(graph.Slice(after, graph.AxisElem(1)))
		return blend(y, engine.RoundActivation(y, low, high))
	}
}

// ranges returns the ranges of the layers that are rounded, by name.
func (l *learner) ranges() (map[string][2]float32, error) {
	out := map[string][2]float32{}
	err := engine.Try(func() {
		for v := range l.store.Scope(rangeScope).IterVariables() {
			r := tensors.MustCopyFlatData[float32](v.MustValue())
			if r[0] != 0 || r[1] != 0 {
				out[strings.TrimPrefix(v.Path(), rangeScope+"/")] = [2]float32{r[0], r[1]}
			}
		}
	})
	return out, err
}

// writeRanges keeps the ranges for the converter. That of the input goes by the trunk's last layer.
func (f *fitting) writeRanges() error {
	if !f.cfg.Network.Round {
		return nil
	}
	r, err := f.learner.ranges()
	if err != nil {
		return err
	}
	if in, ok := r[tailInput]; ok {
		delete(r, tailInput)
		r[f.cfg.Network.Freeze] = in
	}
	return atomicfile.WriteJSON(f.folder.path(RangesFile), 0o644, r)
}

// roundsInput reports whether the tail's input has to be rounded: a trunk's that is run in float. Pixels and what an
// int8 trunk gives are whole steps already.
func (n *NetworkConfig) roundsInput() bool { return n.Round && n.Freeze != "" && n.Trunk != trunkInt8 }
