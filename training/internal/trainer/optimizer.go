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
	Decay        string      `yaml:"decay" json:"decay"`               // cosine, step, plateau or constant
	DecaySteps   []int       `yaml:"decay_steps" json:"decay_steps"`   // step: after each of these steps …
	DecayFactor  float64     `yaml:"decay_factor" json:"decay_factor"` // … the rate is multiplied by this

	Plateau PlateauConfig `yaml:"plateau" json:"plateau"`
}

// PlateauConfig says when recall@1 counts as standing still: the rate is then multiplied by DecayFactor.
type PlateauConfig struct {
	Patience  int     `yaml:"patience" json:"patience"`   // evaluations without a gain that are borne with
	Threshold float64 `yaml:"threshold" json:"threshold"` // a gain is a rise by this share
	Cooldown  int     `yaml:"cooldown" json:"cooldown"`   // evaluations after a fall of the rate that are not counted
	MinRate   float64 `yaml:"min_rate" json:"min_rate"`   // the rate does not fall below
}

// plateau is what a run remembers for it, in its checkpoints.
type plateau struct {
	Best     float64 `json:"best"`
	Bad      int     `json:"bad"`      // evaluations without a gain in a row
	Cooldown int     `json:"cooldown"` // evaluations left that are not counted
	Falls    int     `json:"falls"`    // how often the rate has fallen
}

// evaluated takes the recall of an evaluation in, by the rules of PyTorch's ReduceLROnPlateau (mode max, relative
// threshold).
func (p *plateau) evaluated(c *PlateauConfig, recall float64) {
	if recall > p.Best*(1+c.Threshold) {
		p.Best, p.Bad = recall, 0
	} else {
		p.Bad++
	}
	if p.Cooldown > 0 {
		p.Cooldown--
		p.Bad = 0
	}
	if p.Bad > c.Patience {
		p.Falls++
		p.Cooldown, p.Bad = c.Cooldown, 0
	}
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
	decayPlateau  = "plateau"
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
	check(c.Rates.Trunk > 0 || c.Rates.Tail > 0 || c.Rates.Head > 0, "optimizer.rates are all 0: nothing would be learned")
	check(c.WeightDecay >= 0, "optimizer.weight_decay is %g: must not be negative", c.WeightDecay)
	check(c.Warmup >= 0, "optimizer.warmup is %d: must not be negative", c.Warmup)
	check(slices.Contains([]string{decayCosine, decayStep, decayConstant, decayPlateau}, c.Decay),
		"optimizer.decay is %q: take cosine, step, plateau or constant", c.Decay)
	check(c.Plateau.Patience >= 0 && c.Plateau.Cooldown >= 0 && c.Plateau.Threshold >= 0 && c.Plateau.MinRate >= 0,
		"optimizer.plateau holds a value below 0")
	check(c.Decay != decayStep || len(c.DecaySteps) > 0, "optimizer.decay is step: say after which in optimizer.decay_steps")
	check(slices.IsSorted(c.DecaySteps), "optimizer.decay_steps is %v: must ascend", c.DecaySteps)
	check(c.DecayFactor > 0 && c.DecayFactor <= 1, "optimizer.decay_factor is %g: take above 0 to 1", c.DecayFactor)
	return faults
}

// rate is the learning rate of a step: linear growth, then a fall to zero along half a cosine (Loshchilov and Hutter,
// 2017), or in steps, or as often as recall has stood still, or none.
func (c *OptimizerConfig) rate(step, steps int, p *plateau) float64 {
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
	case decayPlateau:
		return max(c.LearningRate*math.Pow(c.DecayFactor, float64(p.Falls)), min(c.Plateau.MinRate, c.LearningRate))
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
