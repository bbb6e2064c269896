package trainer

import (
	"fmt"
	"math"
	"path"

	"github.com/gomlx/compute"
	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	"github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/model"
	"github.com/gomlx/gomlx/ml/train/optimizer"

	"xbmedge/internal/nn"
	"xbmedge/training/internal/engine"
	"xbmedge/training/internal/xbm"
)

// Scopes of the store.
const (
	weightScope = "/weights"
	memoryScope = "/memory"
	lossScope   = "/loss"
)

// bnMomentum is how much of a batch norm's running statistics stays at each step.
const bnMomentum = 0.9

// learner is the part that trains: a network, the memory and the optimiser, all held on the backend.
type learner struct {
	net      *nn.Network
	lowering engine.Lowering
	loss     xbm.Contrastive
	memory   MemoryConfig
	store    *model.Store
	exec     *model.Exec
	rate     *model.Variable
	adam     optimizer.Interface
}

func newLearner(backend compute.Backend, lowering engine.Lowering, net *nn.Network, w nn.Weights, cfg *Config) (*learner, error) {
	dim, err := net.Output()
	if err != nil {
		return nil, err
	}
	l := &learner{
		net: net, lowering: lowering, memory: cfg.XBM, store: model.NewStore(), loss: cfg.Loss.contrastive(),
		adam: optimizer.Adam().WeightDecay(cfg.Optimizer.WeightDecay).Done(),
	}
	err = engine.Try(func() {
		parameters, err := net.Parameters()
		if err != nil {
			panic(err)
		}
		for _, p := range parameters {
			t := w[p.Name]
			v := l.store.VariableWithValue(path.Join(weightScope, p.Name), tensors.FromFlatDataAndDimensions(t.Data, t.Shape...))
			layer := net.Layers[p.Layer].Name
			v.SetTrainable(p.Name != layer+nn.BNMean && p.Name != layer+nn.BNVariance)
		}
		if m := l.memory.Size; m > 0 {
			for name, value := range map[string]*tensors.Tensor{
				"embeddings": tensors.FromShape(shapes.Make(dtypes.Float32, m, dim.C)),
				"labels":     tensors.FromShape(shapes.Make(dtypes.Int32, m)),
				"head":       tensors.FromScalar(int32(0)),
				"filled":     tensors.FromScalar(int32(0)),
			} {
				l.store.VariableWithValue(path.Join(memoryScope, name), value).SetTrainable(false)
			}
		}
		l.rate = optimizer.LearningRateVar(l.store.RootScope(), dtypes.Float32, cfg.Optimizer.LearningRate)
		optimizer.GetGlobalStepVar(l.store)
		l.exec = model.MustNewExec(backend, l.store, l.build)
	})
	if err != nil {
		return nil, fmt.Errorf("set up the training graph: %w", err)
	}
	return l, nil
}

// build appends one training step to the graph: forward, memory, loss, gradients, update.
func (l *learner) build(scope *model.Scope, x, labels *graph.Node) *graph.Node {
	g := x.Graph()
	weight := func(name string) *model.Variable { return l.store.GetVariable(path.Join(weightScope, name)) }
	forward := engine.Forward{
		Lowering: l.lowering, Training: true,
		Param: func(name string) *graph.Node { return weight(name).NodeValue(g) },
		Observe: func(layer string, mean, variance *graph.Node) {
			for suffix, value := range map[string]*graph.Node{nn.BNMean: mean, nn.BNVariance: variance} {
				v := weight(layer + suffix)
				v.SetNodeValue(graph.Add(graph.MulScalar(v.NodeValue(g), bnMomentum), graph.MulScalar(graph.StopGradient(value), 1-bnMomentum)))
			}
		},
	}
	embeddings := graph.L2Normalize(forward.Build(l.net, x), -1)
	batch := x.Shape().Dimensions[0]
	loss := l.loss.Loss(embeddings, labels, embeddings, labels, xbm.OtherMembers(g, batch))
	if l.memory.Size > 0 {
		loss = graph.Add(loss, graph.MulScalar(l.memoryLoss(g, embeddings, labels), l.memory.Weight))
	}
	l.adam.UpdateGraph(scope, g, loss)
	return loss
}

// memoryLoss enqueues the batch, once start_iter steps are done, and compares it with the memory, itself included.
func (l *learner) memoryLoss(g *graph.Graph, embeddings, labels *graph.Node) *graph.Node {
	variable := func(name string) *model.Variable { return l.store.GetVariable(path.Join(memoryScope, name)) }
	vars := [4]*model.Variable{variable("embeddings"), variable("labels"), variable("head"), variable("filled")}
	before := xbm.Memory{Embeddings: vars[0].NodeValue(g), Labels: vars[1].NodeValue(g), Head: vars[2].NodeValue(g), Filled: vars[3].NodeValue(g)}
	after, slots := before.Enqueue(embeddings, labels)
	if l.memory.StartIter > 0 {
		step := optimizer.GetGlobalStepVar(l.store).NodeValue(g) // steps done before this one
		after = after.When(graph.GreaterOrEqual(step, graph.Const(g, int64(l.memory.StartIter))), before)
	}
	for i, value := range []*graph.Node{after.Embeddings, after.Labels, after.Head, after.Filled} {
		vars[i].SetNodeValue(value)
	}
	return l.loss.Loss(embeddings, labels, after.Embeddings, after.Labels, after.Pairs(embeddings.Shape().Dimensions[0], slots))
}

// step trains on one batch: x holds the inputs one after another, labels a class for each. It returns the loss.
func (l *learner) step(x []float32, labels []int32, rate float64) (loss float64, err error) {
	in := l.net.Input
	err = engine.Try(func() {
		if err := l.rate.SetValue(tensors.FromScalar(float32(rate))); err != nil {
			panic(err)
		}
		out := l.exec.MustCall(tensors.FromFlatDataAndDimensions(x, len(labels), in.H, in.W, in.C), labels)
		loss = float64(tensors.ToScalar[float32](out[0]))
		out[0].MustFinalizeAll()
	})
	if err != nil {
		return 0, fmt.Errorf("training step: %w", err)
	}
	if math.IsNaN(loss) || math.IsInf(loss, 0) {
		return loss, fmt.Errorf("the loss is %g: lower optimizer.learning_rate", loss)
	}
	return loss, nil
}

// filled returns how many entries the memory holds.
func (l *learner) filled() int {
	v := l.store.GetVariable(path.Join(memoryScope, "filled"))
	if v == nil {
		return 0
	}
	return int(tensors.ToScalar[int32](v.MustValue()))
}

// weights returns a copy of the network's weights.
func (l *learner) weights() (nn.Weights, error) {
	w := nn.Weights{}
	err := engine.Try(func() {
		for v := range l.store.Scope(weightScope).IterVariables() {
			w[v.Name()] = &nn.Tensor{Shape: v.Shape().Dimensions, Data: tensors.MustCopyFlatData[float32](v.MustValue())}
		}
	})
	return w, err
}

// exactInt is the first integer that float32 cannot count up to.
const exactInt = 1 << 24

// state returns every variable by its path: weights, optimiser, memory and step. Counters and labels are whole numbers
// below 2²⁴ and stand as floats.
func (l *learner) state() (nn.Weights, error) {
	s := nn.Weights{}
	err := engine.Try(func() {
		for v := range l.store.IterVariables() {
			if !saved(v) {
				continue
			}
			t := &nn.Tensor{Shape: v.Shape().Dimensions}
			switch v.DType() {
			case dtypes.Float32:
				t.Data = tensors.MustCopyFlatData[float32](v.MustValue())
			case dtypes.Int32:
				t.Data = toFloats(v.Path(), tensors.MustCopyFlatData[int32](v.MustValue()))
			case dtypes.Int64:
				t.Data = toFloats(v.Path(), tensors.MustCopyFlatData[int64](v.MustValue()))
			}
			s[v.Path()] = t
		}
	})
	return s, err
}

// saved reports whether a variable belongs to the state. The random state does not: nothing in the graph draws from it.
func saved(v *model.Variable) bool {
	return v.DType() == dtypes.Float32 || v.DType() == dtypes.Int32 || v.DType() == dtypes.Int64
}

func toFloats[T int32 | int64](name string, in []T) []float32 {
	out := make([]float32, len(in))
	for i, v := range in {
		if v >= exactInt || v <= -exactInt {
			panic(fmt.Errorf("variable %s: %d is too large to be saved", name, v))
		}
		out[i] = float32(v)
	}
	return out
}

// restore puts back what state returned.
func (l *learner) restore(s nn.Weights) error {
	return engine.Try(func() {
		for v := range l.store.IterVariables() {
			if _, ok := s[v.Path()]; !ok && saved(v) {
				panic(fmt.Errorf("the checkpoint has no %s: resume with the run's own configuration", v.Path()))
			}
		}
		for name, t := range s {
			v := l.store.GetVariable(name)
			var value *tensors.Tensor
			dtype := dtypes.Float32
			if v != nil {
				dtype = v.DType()
			}
			switch dtype {
			case dtypes.Int32:
				value = fromFloats[int32](t)
			case dtypes.Int64:
				value = fromFloats[int64](t)
			default:
				value = tensors.FromFlatDataAndDimensions(t.Data, t.Shape...)
			}
			if v == nil { // the optimiser's, which its graph has not made yet
				l.store.VariableWithValue(name, value).SetTrainable(false)
				continue
			}
			if !v.Shape().Equal(value.Shape()) {
				panic(fmt.Errorf("the checkpoint's %s is %s, this configuration needs %s: resume with the run's own configuration",
					name, value.Shape(), v.Shape()))
			}
			if err := v.SetValue(value); err != nil {
				panic(err)
			}
		}
	})
}

func fromFloats[T int32 | int64](t *nn.Tensor) *tensors.Tensor {
	out := make([]T, len(t.Data))
	for i, v := range t.Data {
		out[i] = T(v)
	}
	return tensors.FromFlatDataAndDimensions(out, t.Shape...)
}
