package trainer

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"path"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/model"

	"xbmedge/internal/nn"
	"xbmedge/training/internal/engine"
	"xbmedge/training/internal/optim"
	"xbmedge/training/internal/xbm"
)

// Where the store keeps what.
const (
	weightScope  = "/weights"
	memoryScope  = "/memory"
	stepVariable = "/step" // steps done

	proxyVariable = "/proxies" // [classes, D], for a loss that has them
)

// bnMomentum is how much of a batch norm's running statistics stays at each step.
const bnMomentum = 0.9

// learner is the part that trains: a network, the memory and the optimiser, all held on the backend.
type learner struct {
	net      *nn.Network
	lowering engine.Lowering
	cfg      *Config
	pairs    xbm.Loss // nil for a loss with proxies
	lessons  *lessons // nil without a teacher
	store    *model.Store
	exec     *engine.Exec
	optim    *optim.Optimizer
	params   []optim.Param
}

func newLearner(e *engine.Engine, net *nn.Network, w nn.Weights, classes int, taught *lessons, old *references, cfg *Config) (*learner, error) {
	dim, err := net.Output()
	if err != nil {
		return nil, err
	}
	if err := cfg.checkMemory(e, net.Input.Size(), dim.C, old); err != nil {
		return nil, err
	}
	store := model.NewStore()
	l := &learner{
		net: net, lowering: e.Lowering, cfg: cfg, store: store, pairs: cfg.Loss.pairs(), lessons: taught,
		optim: optim.New(cfg.Optimizer.optim(), store),
	}
	err = engine.Try(func() {
		parameters, err := net.Parameters()
		if err != nil {
			panic(err)
		}
		for _, p := range parameters {
			t := w[p.Name]
			v := l.store.VariableWithValue(path.Join(weightScope, p.Name), tensors.FromFlatDataAndDimensions(t.Data, t.Shape...))
			v.SetTrainable(false) // GoMLX's own optimisers are not used
			if param, ok := l.param(p, v); ok {
				l.params = append(l.params, param)
			}
		}
		if len(l.params) == 0 {
			panic(errors.New("nothing of the network learns: set optimizer.rates of what is not frozen above 0"))
		}
		if l.pairs == nil {
			proxies := xbm.Proxies(classes, dim.C, rand.New(rand.NewPCG(cfg.Seed, seedProxies)))
			v := l.store.VariableWithValue(proxyVariable, proxies).SetTrainable(false)
			l.params = append(l.params, optim.Param{Variable: v, Rate: cfg.Loss.ProxyAnchor.Rate})
		}
		if cfg.XBM.Size > 0 {
			l.addMemory(dim.C)
		}
		if cfg.Network.Round {
			l.addRanges()
		}
		if old != nil {
			l.addReferences(old)
		}
		l.store.VariableWithValue(stepVariable, int32(0)).SetTrainable(false)
		spread := []bool{true, true, false} // x, labels, rate
		if taught != nil {
			spread = append(spread, true)
		}
		if l.exec, err = e.NewExec(l.store, l.build, spread...); err != nil {
			panic(err)
		}
	})
	if err != nil {
		return nil, fmt.Errorf("set up the training graph: %w", err)
	}
	return l, nil
}

// param says how a parameter of the network learns, or false if it does not.
func (l *learner) param(p nn.Parameter, v *model.Variable) (optim.Param, bool) {
	layer := &l.net.Layers[p.Layer]
	isWeight := p.Name == layer.Name+".weight"
	switch {
	case p.Fixed: // a constant, or observed
		return optim.Param{}, false
	case layer.BatchNorm && !isWeight && l.cfg.Network.BatchNorm == bnFrozen:
		return optim.Param{}, false
	}
	param := optim.Param{Variable: v, Rate: l.cfg.Optimizer.Rates.of(l.net, p.Layer)}
	if isWeight {
		param.Decay = l.cfg.Optimizer.WeightDecay
	}
	return param, param.Rate > 0
}

// build appends one training step to the graph: forward, losses, gradients, update. Its inputs are x [B, H, W, C],
// labels [B] int32, the learning rate, and, with a teacher, its answers [B, T]. It returns the loss, the norm of the
// gradient before clipping, and the largest absolute value of the network's output.
func (l *learner) build(_ *model.Scope, in []*graph.Node) []*graph.Node {
	x, labels, rate := in[0], in[1], in[2]
	g := x.Graph()
	counter := l.store.GetVariable(stepVariable)
	before := counter.NodeValue(g)
	counter.SetNodeValue(graph.AddScalar(before, 1))
	step := graph.ConvertDType(graph.AddScalar(before, 1), dtypes.Float32)

	output := l.forward(x, before)
	embeddings := graph.L2Normalize(output, -1)
	loss := graph.ScalarZero(g, dtypes.Float32)
	if weight := l.cfg.Loss.Weight; weight > 0 {
		loss = graph.MulScalar(l.classLoss(embeddings, labels, before), weight)
	}
	if l.cfg.Compatible.on() {
		loss = graph.Add(loss, graph.MulScalar(l.compatibleLoss(embeddings, labels), l.cfg.Compatible.Weight))
	}
	if l.lessons != nil {
		taught := in[3]
		if l.cfg.Network.Embedding > 0 {
			output = embeddings
		}
		loss = graph.Add(loss, graph.MulScalar(l.cfg.Teacher.match(output, taught, l.lessons.spread), l.cfg.Teacher.Weight))
	}
	norm := l.optim.Update(loss, rate, step, l.params)
	l.optim.Average(l.averaged(), step)
	return []*graph.Node{loss, norm, graph.ReduceAllMax(graph.Abs(output))}
}

// forward runs the network and lets its batch norms observe the batch.
func (l *learner) forward(x, step *graph.Node) *graph.Node {
	g := x.Graph()
	f := engine.Forward{
		Lowering: l.lowering, Half: l.cfg.Precision == precisionMixed,
		Param: func(name string) *graph.Node { return l.weight(name).NodeValue(g) },
	}
	if l.cfg.Network.BatchNorm != bnFrozen {
		f.Training = true
		f.Observe = func(layer string, mean, variance *graph.Node) {
			for suffix, value := range map[string]*graph.Node{nn.BNMean: mean, nn.BNVariance: variance} {
				v := l.weight(layer + suffix)
				v.SetNodeValue(graph.Add(graph.MulScalar(v.NodeValue(g), bnMomentum), graph.MulScalar(graph.StopGradient(value), 1-bnMomentum)))
			}
		}
	}
	if l.cfg.Network.Round {
		l.roundAll(&f, step)
		if l.cfg.Network.roundsInput() {
			x = f.RoundOutput(tailInput, x)
		}
	}
	return f.Build(l.net, x)
}

func (l *learner) weight(name string) *model.Variable {
	return l.store.GetVariable(path.Join(weightScope, name))
}

// averaged are the variables that an average is kept of: all weights, statistics of batch norms included.
func (l *learner) averaged() []*model.Variable {
	var all []*model.Variable
	for v := range l.store.Scope(weightScope).IterVariables() {
		all = append(all, v)
	}
	return all
}

// outcome is what one step came to.
type outcome struct {
	loss float64
	norm float64 // of the gradient, over all weights, before clipping
}

// step trains on one batch: x holds the inputs one after another, labels a class for each, taught the teacher's answers
// one after another, or nil. A loss or gradient that is no number is an error that wraps errDiverged.
func (l *learner) step(x []float32, labels []int32, taught []float32, rate float64) (outcome, error) {
	in := l.net.Input
	var o outcome
	var largest float64 // value of the network's output
	err := engine.Try(func() {
		args := []*tensors.Tensor{
			tensors.FromFlatDataAndDimensions(x, len(labels), in.H, in.W, in.C),
			tensors.FromFlatDataAndDimensions(labels, len(labels)), tensors.FromScalar(float32(rate)),
		}
		if l.lessons != nil {
			args = append(args, tensors.FromFlatDataAndDimensions(taught, len(labels), l.lessons.dim))
		}
		out, err := l.exec.Call(args...)
		if err != nil {
			panic(err)
		}
		for i, into := range []*float64{&o.loss, &o.norm, &largest} {
			*into = float64(tensors.ToScalar[float32](out[i]))
			out[i].MustFinalizeAll()
		}
	})
	if err != nil {
		return o, fmt.Errorf("training step: %w%s", err, exhausted(err))
	}
	switch {
	case !finite(largest):
		return o, fmt.Errorf("%w: the network's output is no number any more", errDiverged)
	case !finite(o.loss):
		return o, fmt.Errorf("%w: the loss is %g, of outputs up to %g", errDiverged, o.loss, largest)
	case !finite(o.norm):
		return o, fmt.Errorf("%w: the gradient of %s is no number, at a loss of %g", errDiverged, l.broken(), o.loss)
	}
	return o, nil
}

// weights returns a copy of the network's weights, or of their moving averages where such are kept.
func (l *learner) weights() (nn.Weights, error) {
	w := nn.Weights{}
	err := engine.Try(func() {
		for v := range l.store.Scope(weightScope).IterVariables() {
			from := v
			if l.cfg.Optimizer.EMA > 0 {
				from = l.optim.AverageOf(v)
			}
			w[v.Name()] = &nn.Tensor{Shape: v.Shape().Dimensions, Data: tensors.MustCopyFlatData[float32](from.MustValue())}
		}
	})
	return w, err
}
