// Package optim updates weights from gradients: SGD with momentum, Adam and AdamW, with a rate and a decay of its own
// for each group of weights, clipping by the global norm, and a moving average of the weights. GoMLX's own optimisers
// treat all variables alike, biases included, which metric-learning recipes do not.
//
// The updates are part of the training graph; all state lives in variables of the store, so that a checkpoint of the
// store is a checkpoint of the optimiser.
package optim

import (
	"fmt"
	"path"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	"github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/model"
)

type node = graph.Node

// Method is how a gradient becomes a step.
type Method string

// The methods, with the formulas and the defaults of PyTorch's.
const (
	SGD   Method = "sgd"   // with momentum, which is dampened by nothing; the decay is added to the gradient
	Adam  Method = "adam"  // Kingma and Ba, ICLR 2015; the decay is added to the gradient
	AdamW Method = "adamw" // Loshchilov and Hutter, ICLR 2019: the decay is taken off the weight itself
)

// Config says how weights are updated.
type Config struct {
	Method   Method
	Momentum float64 // sgd: share of the last step that is kept
	ClipNorm float64 // gradients longer than this, all together, are shortened to it; 0: never
	EMA      float64 // share of the moving average that stays at each step; 0: no average
}

// The constants of Adam.
const (
	beta1, beta2, epsilon = 0.9, 0.999, 1e-8
)

// Scope is where the optimiser keeps its variables.
const Scope = "/optimizer"

// Names of the variables that stand beside each weight.
const (
	firstMoment  = "m"
	secondMoment = "v"
	average      = "average"
)

// Param is a weight that learns.
type Param struct {
	Variable *model.Variable
	Rate     float64 // factor on the learning rate
	Decay    float64 // weight decay
}

// Optimizer builds the updates.
type Optimizer struct {
	cfg   Config
	store *model.Store
}

// New makes an optimiser whose variables are kept in that store.
func New(cfg Config, store *model.Store) *Optimizer { return &Optimizer{cfg: cfg, store: store} }

// Update appends one step to the graph of loss, a scalar: gradients of it, clipping, updates of the parameters. Rate
// is the learning rate, a scalar, and step the number of the step, from 1, a float32 scalar. Like all of GoMLX's graph
// building it panics on faults. It returns the global norm of the gradients before clipping, a scalar.
func (o *Optimizer) Update(loss, rate, step *node, params []Param) *node {
	g := loss.Graph()
	values := make([]*node, len(params))
	for i, p := range params {
		values[i] = p.Variable.NodeValue(g)
	}
	return o.Apply(graph.Gradient(loss, values...), rate, step, params)
}

// Apply is Update with gradients, one for each parameter, that were worked out elsewhere.
func (o *Optimizer) Apply(gradients []*node, rate, step *node, params []Param) *node {
	g := rate.Graph()
	norm := globalNorm(gradients)
	if o.cfg.ClipNorm > 0 {
		factor := graph.MinScalar(graph.Div(graph.Const(g, float32(o.cfg.ClipNorm)), graph.AddScalar(norm, 1e-6)), 1.0)
		for i := range gradients {
			gradients[i] = graph.Mul(gradients[i], factor)
		}
	}
	for i, p := range params {
		value := p.Variable.NodeValue(g)
		p.Variable.SetNodeValue(o.next(p, value, gradients[i], graph.MulScalar(rate, p.Rate), step))
	}
	return norm
}

func globalNorm(gradients []*node) *node {
	var sum *node
	for _, d := range gradients {
		square := graph.ReduceAllSum(graph.Square(d))
		if sum == nil {
			sum = square
			continue
		}
		sum = graph.Add(sum, square)
	}
	return graph.Sqrt(sum)
}

// next returns the value after a step.
func (o *Optimizer) next(p Param, value, gradient, rate, step *node) *node {
	g := value.Graph()
	if p.Decay > 0 {
		if o.cfg.Method == AdamW {
			value = graph.Sub(value, graph.Mul(value, graph.MulScalar(rate, p.Decay)))
		} else {
			gradient = graph.Add(gradient, graph.MulScalar(value, p.Decay))
		}
	}
	if o.cfg.Method == SGD {
		if o.cfg.Momentum > 0 {
			velocity := o.beside(p.Variable, firstMoment)
			gradient = graph.Add(graph.MulScalar(velocity.NodeValue(g), o.cfg.Momentum), gradient)
			velocity.SetNodeValue(gradient)
		}
		return graph.Sub(value, graph.Mul(gradient, rate))
	}
	first, second := o.beside(p.Variable, firstMoment), o.beside(p.Variable, secondMoment)
	m := graph.Add(graph.MulScalar(first.NodeValue(g), beta1), graph.MulScalar(gradient, 1-beta1))
	v := graph.Add(graph.MulScalar(second.NodeValue(g), beta2), graph.MulScalar(graph.Square(gradient), 1-beta2))
	first.SetNodeValue(m)
	second.SetNodeValue(v)
	corrected := func(beta float64) *node {
		return graph.AddScalar(graph.Neg(graph.Pow(graph.Const(g, float32(beta)), step)), 1)
	}
	scale := graph.Div(rate, corrected(beta1))
	return graph.Sub(value, graph.Div(graph.Mul(m, scale), graph.AddScalar(graph.Sqrt(graph.Div(v, corrected(beta2))), epsilon)))
}

// Average moves the averages of variables towards their new values, after Update, by a share that is small at first:
// 1 − min(EMA, (1 + step) / (10 + step)), as is usual. Without EMA it does nothing.
func (o *Optimizer) Average(variables []*model.Variable, step *node) {
	if o.cfg.EMA <= 0 {
		return
	}
	keep := graph.MinScalar(graph.Div(graph.AddScalar(step, 1), graph.AddScalar(step, 10)), o.cfg.EMA)
	for _, v := range variables {
		shadow := o.AverageOf(v)
		old, value := shadow.NodeValue(step.Graph()), v.NodeValue(step.Graph())
		shadow.SetNodeValue(graph.Add(value, graph.Mul(graph.Sub(old, value), keep)))
	}
}

// AverageOf returns the variable that holds the moving average of another. It begins as a copy of it.
func (o *Optimizer) AverageOf(v *model.Variable) *model.Variable {
	where := path.Join(Scope, v.Path(), average)
	if there := o.store.GetVariable(where); there != nil {
		return there
	}
	data := tensors.MustCopyFlatData[float32](v.MustValue())
	return o.store.VariableWithValue(where, tensors.FromFlatDataAndDimensions(data, v.Shape().Dimensions...)).SetTrainable(false)
}

// beside returns a variable of zeros that accompanies another.
func (o *Optimizer) beside(v *model.Variable, name string) *model.Variable {
	where := path.Join(Scope, v.Path(), name)
	if there := o.store.GetVariable(where); there != nil {
		return there
	}
	zeros := tensors.FromShape(shapes.Make(dtypes.Float32, v.Shape().Dimensions...))
	return o.store.VariableWithValue(where, zeros).SetTrainable(false)
}

// Validate reports all settings that make no sense.
func (c *Config) Validate() []error {
	var faults []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			faults = append(faults, fmt.Errorf(format, args...))
		}
	}
	check(c.Method == SGD || c.Method == Adam || c.Method == AdamW, "optimizer.name is %q: take sgd, adam or adamw", c.Method)
	check(c.Momentum >= 0 && c.Momentum < 1, "optimizer.momentum is %g: take 0 to below 1", c.Momentum)
	check(c.ClipNorm >= 0, "optimizer.clip_norm is %g: must not be negative", c.ClipNorm)
	check(c.EMA >= 0 && c.EMA < 1, "optimizer.ema is %g: take 0 to below 1, such as 0.999", c.EMA)
	return faults
}
