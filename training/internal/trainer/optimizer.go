package trainer

import (
	"fmt"
	"math"
	"slices"

	"xbmedge/internal/nn"
	"xbmedge/training/internal/optim"
)

// OptimizerConfig says how weights are updated.
type OptimizerConfig struct {
	Name         string      `yaml:"name" json:"name"` // sgd, adam or adamw
	LearningRate float64     `yaml:"learning_rate" json:"learning_rate"`
	Rates        RatesConfig `yaml:"rates" json:"rates"`
	Momentum     float64     `yaml:"momentum" json:"momentum"`         // sgd only
	WeightDecay  float64     `yaml:"weight_decay" json:"weight_decay"` // of weights; biases and batch norms have none
	ClipNorm     float64     `yaml:"clip_norm" json:"clip_norm"`       // longest gradient, over all weights; 0: any
	EMA          float64     `yaml:"ema" json:"ema"`                   // moving average of the weights that is evaluated and kept; 0: none
	Warmup       int         `yaml:"warmup" json:"warmup"`             // steps of linear growth
	Decay        string      `yaml:"decay" json:"decay"`               // cosine, step or constant
	DecaySteps   []int       `yaml:"decay_steps" json:"decay_steps"`   // step: after each of these steps …
	DecayFactor  float64     `yaml:"decay_factor" json:"decay_factor"` // … the rate is multiplied by this
}

// RatesConfig holds factors on the learning rate for parts of the network: the backbone's trunk, up to and with the
// layer TrunkEnd, its tail, and the head, which is the embedding layer.
type RatesConfig struct {
	Trunk    float64 `yaml:"trunk" json:"trunk"`
	Tail     float64 `yaml:"tail" json:"tail"`
	Head     float64 `yaml:"head" json:"head"`
	TrunkEnd string  `yaml:"trunk_end" json:"trunk_end"` // empty: all of the backbone is tail
}

// How the learning rate falls after the warm-up.
const (
	decayCosine   = "cosine"
	decayStep     = "step"
	decayConstant = "constant"
)

func (c *OptimizerConfig) optim() optim.Config {
	return optim.Config{Method: optim.Method(c.Name), Momentum: c.Momentum, ClipNorm: c.ClipNorm, EMA: c.EMA}
}

func (c *OptimizerConfig) validate() []error {
	o := c.optim()
	faults := o.Validate()
	check := func(ok bool, format string, args ...any) {
		if !ok {
			faults = append(faults, fmt.Errorf(format, args...))
		}
	}
	check(c.LearningRate > 0, "optimizer.learning_rate is %g: must be above 0", c.LearningRate)
	check(c.Rates.Trunk >= 0 && c.Rates.Tail >= 0 && c.Rates.Head >= 0, "optimizer.rates holds a factor below 0")
	check(c.WeightDecay >= 0, "optimizer.weight_decay is %g: must not be negative", c.WeightDecay)
	check(c.Warmup >= 0, "optimizer.warmup is %d: must not be negative", c.Warmup)
	check(c.Decay == decayCosine || c.Decay == decayStep || c.Decay == decayConstant,
		"optimizer.decay is %q: take cosine, step or constant", c.Decay)
	check(c.Decay != decayStep || len(c.DecaySteps) > 0, "optimizer.decay is step: say after which in optimizer.decay_steps")
	check(slices.IsSorted(c.DecaySteps), "optimizer.decay_steps is %v: must ascend", c.DecaySteps)
	check(c.DecayFactor > 0 && c.DecayFactor <= 1, "optimizer.decay_factor is %g: take above 0 to 1", c.DecayFactor)
	return faults
}

// rate is the learning rate of a step: linear growth, then a fall to zero along half a cosine (Loshchilov and Hutter,
// 2017), or in steps, or none.
func (c *OptimizerConfig) rate(step, steps int) float64 {
	if step < c.Warmup {
		return c.LearningRate * float64(step+1) / float64(c.Warmup)
	}
	switch c.Decay {
	case decayStep:
		rate := c.LearningRate
		for _, at := range c.DecaySteps {
			if step >= at {
				rate *= c.DecayFactor
			}
		}
		return rate
	case decayConstant:
		return c.LearningRate
	}
	done := float64(step-c.Warmup) / float64(max(steps-c.Warmup, 1))
	return c.LearningRate * 0.5 * (1 + math.Cos(math.Pi*min(done, 1)))
}

// of is the factor for what belongs to a layer of the network that learns, which may begin after a frozen trunk.
func (c *RatesConfig) of(net *nn.Network, layer int) float64 {
	switch end, err := net.Index(c.TrunkEnd); {
	case net.Layers[layer].Name == nn.EmbeddingLayer:
		return c.Head
	case err == nil && layer <= end:
		return c.Trunk
	}
	return c.Tail
}
