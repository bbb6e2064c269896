package weightfile

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"xbmedge/internal/nn"
)

// Match returns the weights a network needs, under its own names, out of w, whose names may be this project's,
// torchvision's, timm's or PaddleClas's. Batch norms are folded where the network has none, and where it has one that
// the weights have not, it starts as the identity. It fails, saying what is wrong, where a tensor is missing or of
// another shape, and where the weights expect other pixels or padding than the network has.
//
// Values are shared with w where nothing had to be worked out. What a Normalize layer and a generalised mean need is
// added.
func Match(net *nn.Network, w nn.Weights) (nn.Weights, error) {
	ps, err := net.Parameters()
	if err != nil {
		return nil, err
	}
	w = unprefixed(w)
	c, modules := recognise(net, w)
	if c == nil {
		names := slices.Sorted(maps.Keys(w))
		return nil, fmt.Errorf("the weights (%s, …) are not those of network %s, by any naming known here: take the network they belong to",
			strings.Join(names[:min(len(names), 3)], ", "), net.Name)
	}
	if err := samePixels(net, w, c); err != nil {
		return nil, err
	}
	out := nn.Weights{}
	maps.Copy(out, net.Constants())
	for i := range net.Layers {
		l := &net.Layers[i]
		if l.Kind == nn.GeM {
			out[l.Name+nn.GeMPower] = power(l, w)
		}
		if !l.Weighted() || l.Name == nn.NormalizeLayer {
			continue
		}
		m, ok := modules[l.Name]
		if !ok {
			return nil, fmt.Errorf("%s's naming has no tensor for layer %s", c.name, l.Name)
		}
		s := source{weights: w, module: m, norm: c.norm, epsilon: c.epsilon}
		if err := s.copy(l, shapeOf(ps, l.Name+".weight"), out); err != nil {
			return nil, fmt.Errorf("weights named as %s names them: %w", c.name, err)
		}
	}
	return out, net.Check(out)
}

func shapeOf(ps []nn.Parameter, name string) []int {
	return ps[slices.IndexFunc(ps, func(p nn.Parameter) bool { return p.Name == name })].Shape
}

func power(l *nn.Layer, w nn.Weights) *nn.Tensor {
	if p, err := w.Get(l.Name+nn.GeMPower, 1); err == nil {
		return p
	}
	return &nn.Tensor{Shape: []int{1}, Data: []float32{nn.GeMStart}}
}

// samePixels refuses weights that were trained on other pixels, or padding, than the network has.
func samePixels(net *nn.Network, w nn.Weights, c *convention) error {
	has := net.Layers[0].Name == nn.NormalizeLayer
	want := c.normalized
	if c.name == ownName {
		_, want = w[nn.NormalizeLayer+".weight"]
	}
	switch {
	case has && !want:
		return fmt.Errorf("network %s pads as PyTorch does and takes ImageNet's normalised pixels; these weights do not: "+
			"take mobilenetv2 for TensorFlow's", net.Name)
	case want && !has:
		return fmt.Errorf("these weights are named as %s names them, and expect PyTorch's padding and ImageNet's normalised pixels; "+
			"network %s has neither: take mobilenetv2_torch", c.name, net.Name)
	}
	return nil
}

// unprefixed takes away what wrappers put before most names.
func unprefixed(w nn.Weights) nn.Weights {
	for {
		found := false
		for _, prefix := range []string{"module.", "model.", "backbone.", "encoder.", "net."} {
			count := 0
			for name := range w {
				if strings.HasPrefix(name, prefix) {
					count++
				}
			}
			if 2*count <= len(w) {
				continue
			}
			found = true
			shorter := nn.Weights{}
			for name, t := range w {
				shorter[strings.TrimPrefix(name, prefix)] = t
			}
			w = shorter
		}
		if !found {
			return w
		}
	}
}

// source is where the tensors of one layer are.
type source struct {
	weights nn.Weights
	module  module
	norm    normNames
	epsilon float64
}

// copy puts the layer's tensors into out, under its own names.
func (s *source) copy(l *nn.Layer, shape []int, out nn.Weights) error {
	weight, err := s.get(s.module.conv+".weight", shape)
	if err != nil {
		return err
	}
	channels := []int{l.Channels}
	_, folded := s.weights[s.module.conv+".bias"]
	if s.module.norm == "" || folded && s.weights[s.module.norm+s.norm.variance] == nil {
		bias, err := s.get(s.module.conv+".bias", channels)
		if err != nil {
			return err
		}
		out[l.Name+".weight"] = weight
		if !l.BatchNorm {
			out[l.Name+".bias"] = bias
			return nil
		}
		out[l.Name+nn.BNScale], out[l.Name+nn.BNOffset] = constant(l.Channels, 1), bias
		out[l.Name+nn.BNMean], out[l.Name+nn.BNVariance] = constant(l.Channels, 0), constant(l.Channels, float32(1-l.NormEpsilon()))
		return nil
	}
	n := s.norm
	var scale, offset, mean, variance *nn.Tensor
	for suffix, t := range map[string]**nn.Tensor{n.scale: &scale, n.offset: &offset, n.mean: &mean, n.variance: &variance} {
		if *t, err = s.get(s.module.norm+suffix, channels); err != nil {
			return err
		}
	}
	epsilon := s.epsilon
	if epsilon == 0 {
		epsilon = l.NormEpsilon()
	}
	if !l.BatchNorm {
		out[l.Name+".weight"], out[l.Name+".bias"] = fold(weight, scale, offset, mean, variance, epsilon)
		return nil
	}
	// The network's own epsilon comes on top of the variance; what differs is taken off here.
	own := nn.NewTensor(l.Channels)
	for c, v := range variance.Data {
		own.Data[c] = v + float32(epsilon-l.NormEpsilon())
	}
	out[l.Name+".weight"], out[l.Name+nn.BNScale], out[l.Name+nn.BNOffset] = weight, scale, offset
	out[l.Name+nn.BNMean], out[l.Name+nn.BNVariance] = mean, own
	return nil
}

// get returns a tensor of that shape, or of one that differs in ones at its end: a dense layer is a 1×1 convolution.
func (s *source) get(name string, shape []int) (*nn.Tensor, error) {
	t, ok := s.weights[name]
	if !ok {
		return nil, fmt.Errorf("there is no tensor %q", name)
	}
	if !slices.Equal(trimOnes(t.Shape), trimOnes(shape)) {
		return nil, fmt.Errorf("tensor %q has shape %v, the network needs %v: its width or its kind is another", name, t.Shape, shape)
	}
	return &nn.Tensor{Shape: shape, Data: t.Data}, nil
}

func trimOnes(shape []int) []int {
	n := len(shape)
	for n > 1 && shape[n-1] == 1 {
		n--
	}
	return shape[:n]
}

func constant(n int, v float32) *nn.Tensor {
	t := nn.NewTensor(n)
	for i := range t.Data {
		t.Data[i] = v
	}
	return t
}

// fold works a batch norm into the weight and bias before it.
func fold(weight, scale, offset, mean, variance *nn.Tensor, epsilon float64) (folded, bias *nn.Tensor) {
	folded, bias = nn.NewTensor(weight.Shape...), nn.NewTensor(len(scale.Data))
	per := len(weight.Data) / len(scale.Data)
	for c := range scale.Data {
		factor := float64(scale.Data[c]) / math.Sqrt(float64(variance.Data[c])+epsilon)
		bias.Data[c] = float32(float64(offset.Data[c]) - factor*float64(mean.Data[c]))
		for k := c * per; k < (c+1)*per; k++ {
			folded.Data[k] = float32(factor * float64(weight.Data[k]))
		}
	}
	return folded, bias
}
