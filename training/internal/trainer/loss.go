package trainer

import (
	"fmt"

	"github.com/gomlx/gomlx/core/graph"

	"xbmedge/training/internal/xbm"
)

// LossConfig says how classes are learned. Only the section of the loss that is named is used.
type LossConfig struct {
	Name            string                `yaml:"name" json:"name"`     // contrastive, triplet, multi_similarity or proxy_anchor
	Weight          float64               `yaml:"weight" json:"weight"` // 0 with a teacher: labels are not learned from
	Contrastive     ContrastiveConfig     `yaml:"contrastive" json:"contrastive"`
	Triplet         TripletConfig         `yaml:"triplet" json:"triplet"`
	MultiSimilarity MultiSimilarityConfig `yaml:"multi_similarity" json:"multi_similarity"`
	ProxyAnchor     ProxyAnchorConfig     `yaml:"proxy_anchor" json:"proxy_anchor"`
}

// ContrastiveConfig is xbm.Contrastive's.
type ContrastiveConfig struct {
	PositiveMargin float64 `yaml:"positive_margin" json:"positive_margin"`
	NegativeMargin float64 `yaml:"negative_margin" json:"negative_margin"`
	Reduction      string  `yaml:"reduction" json:"reduction"` // nonzero, mean or per_anchor
}

// TripletConfig is xbm.Triplet's.
type TripletConfig struct {
	Margin float64 `yaml:"margin" json:"margin"`
	Mining string  `yaml:"mining" json:"mining"` // hard or semihard
}

// MultiSimilarityConfig is xbm.MultiSimilarity's.
type MultiSimilarityConfig struct {
	Alpha   float64 `yaml:"alpha" json:"alpha"`
	Beta    float64 `yaml:"beta" json:"beta"`
	Base    float64 `yaml:"base" json:"base"`
	Epsilon float64 `yaml:"epsilon" json:"epsilon"` // of the mining; below 0: none
}

// ProxyAnchorConfig is xbm.ProxyAnchor's.
type ProxyAnchorConfig struct {
	Margin float64 `yaml:"margin" json:"margin"`
	Alpha  float64 `yaml:"alpha" json:"alpha"`
	Rate   float64 `yaml:"rate" json:"rate"` // factor on the learning rate for the proxies
}

// The losses.
const (
	lossContrastive     = "contrastive"
	lossTriplet         = "triplet"
	lossMultiSimilarity = "multi_similarity"
	lossProxyAnchor     = "proxy_anchor"
)

// defaultLoss has the values of the papers, but for the negative margin, which on photos of products is better lower.
func defaultLoss() LossConfig {
	return LossConfig{
		Name: lossContrastive, Weight: 1,
		Contrastive:     ContrastiveConfig{PositiveMargin: 1, NegativeMargin: 0.3, Reduction: string(xbm.NonZero)},
		Triplet:         TripletConfig{Margin: 0.1, Mining: string(xbm.BatchHard)},
		MultiSimilarity: MultiSimilarityConfig{Alpha: 2, Beta: 50, Base: 0.5, Epsilon: 0.1},
		ProxyAnchor:     ProxyAnchorConfig{Margin: 0.1, Alpha: 32, Rate: 100},
	}
}

func (c *LossConfig) validate() []error {
	var faults []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			faults = append(faults, fmt.Errorf(format, args...))
		}
	}
	check(c.Weight >= 0, "loss.weight is %g: must not be negative", c.Weight)
	switch c.Name {
	case lossContrastive:
		o := &c.Contrastive
		r := xbm.Reduction(o.Reduction)
		check(r == xbm.NonZero || r == xbm.Mean || r == xbm.PerAnchor, "loss.contrastive.reduction is %q: take nonzero, mean or per_anchor", r)
		check(o.PositiveMargin > o.NegativeMargin, "loss.contrastive.positive_margin %g must be above negative_margin %g", o.PositiveMargin, o.NegativeMargin)
	case lossTriplet:
		m := xbm.Mining(c.Triplet.Mining)
		check(m == xbm.BatchHard || m == xbm.SemiHard, "loss.triplet.mining is %q: take hard or semihard", m)
		check(c.Triplet.Margin > 0 && c.Triplet.Margin < 2, "loss.triplet.margin is %g: take above 0, below 2", c.Triplet.Margin)
	case lossMultiSimilarity:
		o := &c.MultiSimilarity
		check(o.Alpha > 0 && o.Alpha <= 40, "loss.multi_similarity.alpha is %g: take above 0 to 40", o.Alpha)
		check(o.Beta > 0 && o.Beta <= 80, "loss.multi_similarity.beta is %g: take above 0 to 80", o.Beta)
		check(o.Base >= 0 && o.Base <= 1, "loss.multi_similarity.base is %g: take 0 to 1", o.Base)
	case lossProxyAnchor:
		o := &c.ProxyAnchor
		check(o.Alpha > 0 && o.Alpha <= 64, "loss.proxy_anchor.alpha is %g: take above 0 to 64", o.Alpha)
		check(o.Margin >= 0 && o.Margin < 0.3, "loss.proxy_anchor.margin is %g: take 0 to below 0.3", o.Margin)
		check(o.Rate > 0, "loss.proxy_anchor.rate is %g: must be above 0", o.Rate)
	default:
		check(false, "loss.name is %q: take contrastive, triplet, multi_similarity or proxy_anchor", c.Name)
	}
	return faults
}

// semiHard reports whether triplets are mined semi-hard.
func (c *LossConfig) semiHard() bool {
	return c.Name == lossTriplet && xbm.Mining(c.Triplet.Mining) == xbm.SemiHard
}

// pairs returns the loss over pairs, or nil for proxy-anchor, which has none.
func (c *LossConfig) pairs() xbm.Loss {
	switch c.Name {
	case lossTriplet:
		return xbm.Triplet{Margin: c.Triplet.Margin, Mining: xbm.Mining(c.Triplet.Mining)}
	case lossMultiSimilarity:
		o := &c.MultiSimilarity
		return xbm.MultiSimilarity{Alpha: o.Alpha, Beta: o.Beta, Base: o.Base, Epsilon: o.Epsilon}
	case lossProxyAnchor:
		return nil
	}
	o := &c.Contrastive
	return xbm.Contrastive{Positive: o.PositiveMargin, Negative: o.NegativeMargin, Reduction: xbm.Reduction(o.Reduction)}
}

// classLoss appends the loss by labels: of the batch with itself and with the memory, or with the proxies.
func (l *learner) classLoss(embeddings, labels, step *graph.Node) *graph.Node {
	g := embeddings.Graph()
	if l.pairs == nil {
		p := &l.cfg.Loss.ProxyAnchor
		return xbm.ProxyAnchor{Margin: p.Margin, Alpha: p.Alpha}.Loss(embeddings, labels, l.store.GetVariable(proxyVariable).NodeValue(g))
	}
	loss := l.pairs.Loss(embeddings, labels, embeddings, labels, xbm.OtherMembers(g, labels.Shape().Dimensions[0]))
	if l.cfg.XBM.Size > 0 {
		loss = graph.Add(loss, graph.MulScalar(l.memoryLoss(embeddings, labels, step), l.cfg.XBM.Weight))
	}
	return loss
}
