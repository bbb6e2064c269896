package weightfile

import (
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"xbmedge/internal/nn"
)

func own(t *testing.T, net *nn.Network) nn.Weights {
	t.Helper()
	w, err := net.Init(rand.New(rand.NewPCG(1, 2)))
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func backbone(t *testing.T, name string, width float64) *nn.Network {
	t.Helper()
	net, err := nn.Backbone(name, width, 64, []int{8, 16})
	if err != nil {
		t.Fatal(err)
	}
	return net
}

// same holds weights against each other; they are too many for cmp.
func same(t *testing.T, name string, want, got nn.Weights) {
	t.Helper()
	if len(want) != len(got) {
		t.Errorf("%s: %d tensors, want %d", name, len(got), len(want))
	}
	for tensor, w := range want {
		if g := got[tensor]; g == nil || !slices.Equal(g.Shape, w.Shape) || !slices.Equal(g.Data, w.Data) {
			t.Errorf("%s: tensor %s differs", name, tensor)
		}
	}
}

func TestMatchKeepsOwnNames(t *testing.T) {
	for _, name := range nn.Backbones() {
		net := backbone(t, name, 1)
		w := own(t, net)
		got, err := Match(net, w)
		if err != nil {
			t.Fatal(err)
		}
		same(t, name, w, got)
	}
}

// TestMatchTakesFoldedWeights loads weights without batch norms into a network with them: the function must stay.
func TestMatchTakesFoldedWeights(t *testing.T) {
	net := backbone(t, "mobilenetv2", 0.5)
	folded := net.WithoutBatchNorm()
	w := own(t, folded)
	for name, tensor := range w {
		if strings.HasSuffix(name, ".bias") {
			w[name] = fill(name, tensor.Shape...)
		}
	}
	normed, err := Match(net, w)
	if err != nil {
		t.Fatal(err)
	}
	_, back, err := nn.Fold(net, normed)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range w {
		for i, v := range back[name].Data {
			if math.Abs(float64(v-want.Data[i])) > 1e-6 {
				t.Fatalf("%s[%d] is %g after the identity, was %g", name, i, v, want.Data[i])
			}
		}
	}
}

// paddleNames renames a timm resnet50d's tensors as PaddleClas's ResNet50_vd has them.
func paddleNames(t *testing.T, w nn.Weights) nn.Weights {
	t.Helper()
	net := backbone(t, "resnet50_vd", 1)
	theirs, ours := paddleResNet(net), torchResNet(net)
	out := nn.Weights{"backbone.fc.weight": nn.NewTensor(2048, 10)}
	for layer, m := range theirs {
		from := ours[layer]
		out["backbone."+m.conv+".weight"] = w[from.conv+".weight"]
		for a, b := range map[string]string{".weight": ".weight", ".bias": ".bias", ".running_mean": "._mean", ".running_var": "._variance"} {
			out["backbone."+m.norm+b] = w[from.norm+a]
		}
	}
	return out
}

func TestMatchPaddle(t *testing.T) {
	var timm *reference
	for _, r := range references(t) {
		if r.Network == "resnet50_vd" {
			timm = &r
		}
	}
	net := backbone(t, "resnet50_vd", 1)
	want, err := Match(net, timm.weights(t))
	if err != nil {
		t.Fatal(err)
	}
	renamed := paddleNames(t, timm.weights(t))
	for _, name := range []string{"stem.2.bn._variance", "blocks.3.short.conv.weight", "blocks.15.conv2.bn.weight", "blocks.7.conv1.conv.weight"} {
		if renamed["backbone."+name] == nil {
			t.Errorf("no tensor %s, which PaddleClas has", name)
		}
	}
	got, err := Match(net, renamed)
	if err != nil {
		t.Fatal(err)
	}
	same(t, "Paddle's names", want, got)
}

func TestMatchRefuses(t *testing.T) {
	refs := references(t)
	torchvision := refs[0].weights(t)
	cut := nn.Weights{}
	for name, tensor := range torchvision {
		if name != "features.5.conv.2.weight" {
			cut[name] = tensor
		}
	}
	for _, tt := range []struct {
		name    string
		net     *nn.Network
		weights nn.Weights
		want    string
	}{
		{"another width", backbone(t, "mobilenetv2_torch", 0.5), torchvision, `has shape [32 3 3 3], the network needs [16 3 3 3]`},
		{"another network", backbone(t, "resnet50", 1), torchvision, "not those of network resnet50_64"},
		{"a hole", backbone(t, "mobilenetv2_torch", 1), cut, `there is no tensor "features.5.conv.2.weight"`},
		{"PyTorch's into TensorFlow's", backbone(t, "mobilenetv2", 1), torchvision, "take mobilenetv2_torch"},
		{"TensorFlow's into PyTorch's", backbone(t, "mobilenetv2_torch", 1), own(t, backbone(t, "mobilenetv2", 1)), "take mobilenetv2 for TensorFlow's"},
		{"nothing", backbone(t, "smallcnn", 1), nn.Weights{}, "not those of network smallcnn"},
	} {
		if _, err := Match(tt.net, tt.weights); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: error %v, want %q", tt.name, err, tt.want)
		}
	}
}

// TestMatchMindsTheirEpsilon: torchvision's MobileNetV3 adds 1e-3 to its variances, the network here 1e-5.
func TestMatchMindsTheirEpsilon(t *testing.T) {
	for _, r := range references(t) {
		if r.Network != "mobilenetv3_small" || r.Width != 1 {
			continue
		}
		want := map[string]float64{"torchvision": 1e-3, "timm": 1e-5}[r.Maker]
		name := map[string]string{"torchvision": "features.0.1.running_var", "timm": "bn1.running_var"}[r.Maker]
		w := r.weights(t)
		w[name].Data[0] = 0
		got, err := Match(r.network(t), w)
		if err != nil {
			t.Fatal(err)
		}
		if v := float64(got["features.0"+nn.BNVariance].Data[0]) + 1e-5; math.Abs(v-want) > 1e-8 {
			t.Errorf("%v: a variance of 0 is taken for %g, want %g", &r, v, want)
		}
	}
}

func TestMatchAddsGeM(t *testing.T) {
	net, err := backbone(t, "smallcnn", 1).WithPooling(nn.GeMPooling)
	if err != nil {
		t.Fatal(err)
	}
	w := own(t, backbone(t, "smallcnn", 1))
	got, err := Match(net, w)
	if err != nil {
		t.Fatal(err)
	}
	if p := got["pool.p"].Data[0]; p != nn.GeMStart {
		t.Errorf("p is %g", p)
	}
	w["pool.p"] = &nn.Tensor{Shape: []int{1}, Data: []float32{2.5}}
	if got, err = Match(net, w); err != nil || got["pool.p"].Data[0] != 2.5 {
		t.Errorf("p of the weights was lost: %v, %v", got["pool.p"], err)
	}
}
