package assemble

import (
	"math"

	"xbmedge/internal/nn"
)

// uniform returns the constants of an affine that has the same for all channels.
func (n *node) uniform() (scale, shift float64, ok bool) {
	if n.Kind != affine {
		return 0, 0, false
	}
	for c := range n.weight {
		if n.weight[c] != n.weight[0] || n.bias[c] != n.bias[0] {
			return 0, 0, false
		}
	}
	return float64(n.weight[0]), float64(n.bias[0]), true
}

func isNear(a, b float64) bool { return math.Abs(a-b) <= near*max(1, math.Abs(b)) }

// forms finds the layers that are written out in smaller operators.
func forms(p *pass, i int) error {
	n := &p.nodes[i]
	before := p.before(i)
	switch {
	case n.Kind == nn.Mul:
		p.gate(i)
	case before == nil:
	case n.Kind == power:
		p.generalisedMean(i)
	case n.Kind == activate && n.Activation == nn.ReLU6:
		// relu6(x+3) is six times the hard sigmoid of x.
		if scale, shift, ok := before.uniform(); ok && scale == 1 && shift == 3 {
			n.Activation, n.gain = nn.HSigmoid, 6
			p.redirect(i, before.Inputs)
		}
	case n.Kind == affine:
		return p.factor(i)
	}
	return nil
}

// gate makes an activation of x times a sigmoid of x.
func (p *pass) gate(i int) {
	n := &p.nodes[i]
	for k, g := range n.Inputs {
		x := n.Inputs[1-k]
		if g == nn.Input || p.nodes[g].Kind != activate || p.nodes[g].Inputs[0] != x {
			continue
		}
		swish := map[nn.Activation]nn.Activation{nn.HSigmoid: nn.HSwish, nn.Sigmoid: nn.SiLU}[p.nodes[g].Activation]
		if swish == "" {
			continue
		}
		n.Kind, n.Activation, n.gain = activate, swish, p.nodes[g].gain
		p.redirect(i, []int{x})
		return
	}
}

// factor works a constant factor and shift, the same for all channels, into what comes before.
func (p *pass) factor(i int) error {
	if p.dropIdentity(i) {
		return nil
	}
	n, before := &p.nodes[i], p.before(i)
	scale, shift, ok := n.uniform()
	if !ok || !p.alone(i) {
		return nil
	}
	if _, _, also := before.uniform(); also {
		return p.compose(i)
	}
	if before.Kind == activate && shift == 0 && before.gain*scale != 0 {
		before.gain *= scale
		if isNear(before.gain, 1) {
			before.gain = 1
		}
		p.merge(i)
	}
	return nil
}

// compose makes one affine of two.
func (p *pass) compose(i int) error {
	n, before := &p.nodes[i], p.before(i)
	values, err := p.floats(2 * n.shape.C)
	if err != nil {
		return err
	}
	weight, bias := values[:n.shape.C], values[n.shape.C:]
	for c := range weight {
		weight[c] = float32(float64(n.weight[c]) * float64(before.weight[c]))
		bias[c] = float32(float64(n.weight[c])*float64(before.bias[c]) + float64(n.bias[c]))
	}
	n.weight, n.bias = weight, bias
	p.redirect(i, before.Inputs)
	p.dropIdentity(i)
	return nil
}

// dropIdentity takes an affine out that changes nothing, and reports whether it was one.
func (p *pass) dropIdentity(i int) bool {
	scale, shift, ok := p.nodes[i].uniform()
	if ok = ok && isNear(scale, 1) && isNear(shift, 0); ok {
		p.merge(i)
	}
	return ok
}

// generalisedMean makes a GeM layer of floor, power, mean and root.
func (p *pass) generalisedMean(i int) {
	n := &p.nodes[i]
	steps := []nn.Kind{nn.GlobalAvg, power, floor}
	var number [3]float64
	x := n.Inputs[0]
	for k, kind := range steps {
		if x == nn.Input || p.nodes[x].Kind != kind || p.uses[x] != 1 {
			return
		}
		number[k] = p.nodes[x].number
		x = p.nodes[x].Inputs[0]
	}
	if isNear(n.number*number[1], 1) && math.Abs(number[2]/nn.GeMFloor-1) < 0.01 {
		n.Kind, n.weight = nn.GeM, []float32{float32(number[1])}
		p.redirect(i, []int{x})
	}
}
