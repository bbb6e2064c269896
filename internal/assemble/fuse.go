package assemble

import (
	"slices"

	"xbmedge/internal/nn"
)

// near is how far a constant may be from the one it is taken for.
const near = 1e-5

// rewrite calls rule for every node that the output needs, in order. A rule changes its node, or has another take its
// place by merge.
func (b *Builder) rewrite(out int, rule func(p *pass, i int) error) (int, error) {
	p := &pass{Builder: b, same: make([]int, len(b.nodes)), uses: b.uses(out)}
	for i := range b.nodes {
		p.same[i] = i
		n := &b.nodes[i]
		for k, j := range n.Inputs {
			if j != nn.Input {
				n.Inputs[k] = p.same[j]
			}
		}
		if p.uses[i] > 0 {
			if err := rule(p, i); err != nil {
				return 0, err
			}
		}
	}
	return p.same[out], nil
}

// uses counts who needs each node: other nodes, and the one who asked for the output.
func (b *Builder) uses(out int) []int {
	uses := make([]int, len(b.nodes))
	uses[out] = 1
	for i := out; i >= 0; i-- {
		if uses[i] == 0 {
			continue
		}
		for _, j := range b.nodes[i].Inputs {
			if j != nn.Input {
				uses[j]++
			}
		}
	}
	return uses
}

// pass is one way through the nodes.
type pass struct {
	*Builder
	same []int // what stands in for a node
	uses []int
}

// before returns the node that is the first input of node i, or nil where that is the picture.
func (p *pass) before(i int) *node {
	if j := p.nodes[i].Inputs[0]; j != nn.Input {
		return &p.nodes[j]
	}
	return nil
}

// alone reports whether node i is the only one that uses its first input.
func (p *pass) alone(i int) bool {
	j := p.nodes[i].Inputs[0]
	return j != nn.Input && p.uses[j] == 1
}

// merge lets the first input of node i take its place, and its name where nobody else knows the old one.
func (p *pass) merge(i int) {
	j := p.nodes[i].Inputs[0]
	p.same[i] = j
	if j == nn.Input {
		return
	}
	if p.uses[j] == 1 {
		p.nodes[j].Name = p.nodes[i].Name
	}
	p.uses[j] += p.uses[i] - 1
}

// redirect gives node i other inputs.
func (p *pass) redirect(i int, inputs []int) {
	for _, j := range inputs {
		if j != nn.Input {
			p.uses[j]++
		}
	}
	old := p.nodes[i].Inputs
	p.nodes[i].Inputs = inputs
	for _, j := range old {
		p.release(j)
	}
}

// release says that one node fewer uses node j.
func (p *pass) release(j int) {
	for j != nn.Input {
		if p.uses[j]--; p.uses[j] > 0 || len(p.nodes[j].Inputs) == 0 {
			return
		}
		for _, other := range p.nodes[j].Inputs[1:] {
			if other != nn.Input {
				p.uses[other]-- // what only that one needed stays counted, which merely keeps it from being fused
			}
		}
		j = p.nodes[j].Inputs[0]
	}
}

// fold works what a batch norm does to each channel into the weights before it.
func fold(p *pass, i int) error {
	n, before := &p.nodes[i], p.before(i)
	if n.Kind != affine {
		return nil
	}
	switch {
	case !p.alone(i) || before.Activation != nn.Linear:
	case before.Kind == affine:
		return p.compose(i)
	case before.Weighted():
		weight, err := p.floats(len(before.weight) + len(before.bias))
		if err != nil {
			return err
		}
		bias := weight[len(before.weight):]
		per := len(before.weight) / before.shape.C
		for k, v := range before.weight {
			weight[k] = float32(float64(n.weight[k/per]) * float64(v))
		}
		for c, v := range before.bias {
			bias[c] = float32(float64(n.weight[c])*float64(v) + float64(n.bias[c]))
		}
		before.weight, before.bias = weight[:len(before.weight)], bias
		p.merge(i)
		return nil
	}
	p.dropIdentity(i)
	return nil
}

// activations gives every layer the function that is applied to it.
func activations(p *pass, i int) error {
	n, before := &p.nodes[i], p.before(i)
	if n.Kind != activate || before == nil {
		return nil
	}
	carries := []nn.Kind{nn.Conv, nn.Depthwise, nn.Dense, nn.Add, nn.Mul, nn.MaxPool, nn.AvgPool, affine}
	switch {
	case n.gain != 1:
		if !p.alone(i) || before.Activation != nn.Linear || !slices.Contains(carries, before.Kind) {
			return nil
		}
		weight, bias, err := p.constant(n.shape.C, float32(n.gain))
		if err != nil {
			return err
		}
		before.Activation = n.Activation
		n.Kind, n.Activation, n.gain, n.weight, n.bias = affine, nn.Linear, 1, weight, bias
	case n.Activation == nn.ReLU && p.neverNegative(n.Inputs[0]):
		p.merge(i)
	case n.Activation == nn.ReLU6 && before.rectified() && p.alone(i):
		before.Activation = nn.ReLU6
		p.merge(i)
	case p.alone(i) && before.Activation == nn.Linear && slices.Contains(carries, before.Kind):
		before.Activation = n.Activation
		p.merge(i)
	}
	return nil
}

// neverNegative reports what tflitefile sees the same way.
func (b *Builder) neverNegative(i int) bool {
	for i != nn.Input {
		n := &b.nodes[i]
		switch {
		case n.gain == 1 && (n.Activation == nn.ReLU || n.Activation == nn.ReLU6):
			return true
		case n.Kind == nn.Concat:
			return !slices.ContainsFunc(n.Inputs, func(j int) bool { return j == nn.Input || !b.nodes[j].rectified() })
		case n.Kind != nn.MaxPool:
			return false
		}
		i = n.Inputs[0]
	}
	return false
}

func (n *node) rectified() bool {
	return n.gain == 1 && (n.Activation == nn.ReLU || n.Activation == nn.ReLU6)
}

// padding moves zeros added by an operator of their own into the window that slides over them.
func padding(p *pass, i int) error {
	n, before := &p.nodes[i], p.before(i)
	if before == nil || before.Kind != nn.Pad {
		return nil
	}
	a := before.Around
	switch n.Kind {
	case nn.Conv, nn.Depthwise:
	case nn.MaxPool: // whose own padding is no zero, which makes no difference where nothing is less
		if max(a.Top, a.Bottom, a.Left, a.Right) >= n.Kernel || n.top+n.left > 0 || !p.neverNegative(before.Inputs[0]) {
			return nil
		}
	default:
		return nil
	}
	n.top, n.left = n.top+a.Top, n.left+a.Left
	p.redirect(i, before.Inputs)
	return nil
}
