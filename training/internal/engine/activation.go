package engine

import (
	"github.com/gomlx/gomlx/core/graph"

	"xbmedge/internal/nn"
)

func hardSigmoid(y *node) *node {
	return graph.MulScalar(graph.ClipScalar(graph.AddScalar(y, 3), 0, 6), 1.0/6)
}

func activate(a nn.Activation, y *node) *node {
	switch a {
	case nn.ReLU:
		return graph.MaxScalar(y, 0.0)
	case nn.ReLU6:
		return graph.ClipScalar(y, 0, 6)
	case nn.HSigmoid:
		return hardSigmoid(y)
	case nn.HSwish:
		return graph.Mul(y, hardSigmoid(y))
	case nn.Sigmoid:
		return graph.Sigmoid(y)
	case nn.SiLU:
		return graph.Mul(y, graph.Sigmoid(y))
	}
	return y
}
