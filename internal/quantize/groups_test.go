package quantize

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"xbmedge/internal/nn"
)

func TestGroups(t *testing.T) {
	conv := func(name string, in int, a nn.Activation) nn.Layer {
		return nn.Layer{Name: name, Kind: nn.Conv, Inputs: []int{in}, Channels: 4, Kernel: 1, Stride: 1, Activation: a}
	}
	depthwise := nn.Layer{Name: "dw", Kind: nn.Depthwise, Inputs: []int{0}, Channels: 4, Kernel: 3, Stride: 1, Activation: nn.Linear}
	for _, tc := range []struct {
		name   string
		layers []nn.Layer
		want   [][]int // members
	}{
		{"a chain", []nn.Layer{conv("a", nn.Input, nn.ReLU), conv("b", 0, nn.Linear), conv("c", 1, nn.Linear)}, [][]int{{0}, {1}}},
		{"an addition shares", []nn.Layer{
			conv("a", nn.Input, nn.Linear), conv("b", 0, nn.Linear),
			{Name: "sum", Kind: nn.Add, Inputs: []int{0, 1}, Channels: 4},
			conv("c", 2, nn.Linear),
		}, [][]int{{0, 1, 2}}},
		{"a hard activation keeps", []nn.Layer{conv("a", nn.Input, nn.HSwish), conv("b", 0, nn.Linear)}, nil},
		{"a gate keeps", []nn.Layer{
			conv("a", nn.Input, nn.ReLU), conv("b", 0, nn.ReLU),
			{Name: "times", Kind: nn.Mul, Inputs: []int{0, 1}, Channels: 4},
			conv("c", 2, nn.Linear),
		}, [][]int{{0, 2}}},
		{"a generalised mean keeps", []nn.Layer{
			conv("a", nn.Input, nn.ReLU), {Name: "pool", Kind: nn.GeM, Inputs: []int{0}, Channels: 4}, conv("b", 1, nn.Linear),
		}, nil},
		{"an average passes on", []nn.Layer{
			conv("a", nn.Input, nn.ReLU), {Name: "pool", Kind: nn.GlobalAvg, Inputs: []int{0}, Channels: 4}, conv("b", 1, nn.Linear),
		}, [][]int{{0, 1}}},
		{"ReLU6 before a convolution", []nn.Layer{conv("a", nn.Input, nn.ReLU6), conv("b", 0, nn.Linear)}, nil},
		{"ReLU6 before a depthwise layer", []nn.Layer{conv("a", nn.Input, nn.ReLU6), depthwise, conv("b", 1, nn.Linear)}, [][]int{{0}, {1}}},
	} {
		var got [][]int
		for _, g := range groups(&nn.Network{Name: tc.name, Layers: tc.layers}) {
			got = append(got, slices.Clone(g.members))
		}
		if diff := cmp.Diff(tc.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tc.name, diff)
		}
	}
}
