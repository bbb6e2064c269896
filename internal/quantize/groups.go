package quantize

import (
	"slices"

	"xbmedge/internal/nn"
)

// group is a set of values whose channels must have the same factors.
type group struct {
	members          []int // layers that give the values
	writers, readers []int // layers with weights among the members, and those that take a member in
}

// groups returns the groups whose channels may be scaled, in the network's order.
func groups(net *nn.Network) []group {
	n := len(net.Layers)
	parent := make([]int, n+1) // the input is the last
	for i := range parent {
		parent[i] = i
	}
	var root func(i int) int
	root = func(i int) int {
		if parent[i] != i {
			parent[i] = root(parent[i])
		}
		return parent[i]
	}
	at := func(j int) int {
		if j == nn.Input {
			return n
		}
		return j
	}
	fixed := map[int]bool{n: true, n - 1: true}
	for i := range net.Layers {
		l := &net.Layers[i]
		switch l.Kind {
		case nn.Add, nn.MaxPool, nn.AvgPool, nn.GlobalAvg:
			for _, j := range l.Inputs {
				parent[root(at(j))] = root(i)
			}
		case nn.Mul:
			parent[root(at(l.Inputs[0]))] = root(i)
			fixed[at(l.Inputs[1])] = true
		case nn.GeM:
			fixed[i], fixed[at(l.Inputs[0])] = true, true
		}
		if l.Activation == nn.HSwish || l.Activation == nn.HSigmoid {
			fixed[i] = true
		}
	}
	blocked := map[int]bool{}
	for i := range fixed {
		blocked[root(i)] = true
	}
	byRoot := map[int]*group{}
	var order []*group
	for i := range net.Layers {
		r := root(i)
		if blocked[r] {
			continue
		}
		if byRoot[r] == nil {
			byRoot[r] = &group{}
			order = append(order, byRoot[r])
		}
		byRoot[r].members = append(byRoot[r].members, i)
		if net.Layers[i].Weighted() {
			byRoot[r].writers = append(byRoot[r].writers, i)
		}
	}
	for i := range net.Layers {
		if l := &net.Layers[i]; l.Weighted() {
			if g := byRoot[root(at(l.Inputs[0]))]; g != nil {
				g.readers = append(g.readers, i)
			}
		}
	}
	out := make([]group, len(order))
	for k, g := range order {
		out[k] = *g
	}
	return slices.DeleteFunc(out, func(g group) bool { return g.clipped(net) && !g.freelyRead(net) })
}

// clipped reports whether the values go through a ReLU6.
func (g *group) clipped(net *nn.Network) bool {
	return slices.ContainsFunc(g.members, func(i int) bool { return net.Layers[i].Activation == nn.ReLU6 })
}

// freelyRead reports whether only depthwise layers take the values, whose weights have a scale for each channel.
func (g *group) freelyRead(net *nn.Network) bool {
	return !slices.ContainsFunc(g.readers, func(i int) bool { return net.Layers[i].Kind != nn.Depthwise })
}
