package quantize

import (
	"fmt"
	"maps"
	"math"
	"slices"

	"xbmedge/internal/nn"
)

const (
	// relu6Margin is by how much a channel may exceed its largest value in calibration before a scaled ReLU6 clips it.
	relu6Margin = 1.5
	// scaleRounds is how often the scales of a group are chosen again, each time with the steps that the last gave.
	scaleRounds = 8
	// largestScale bounds what a channel is multiplied with, and divided by.
	largestScale = 64
)

// Equalize returns weights with which the network computes the same in float, but whose channels use the range of int8
// more evenly: a channel's values are multiplied by a factor where they are made and its weights divided by it where
// they are used (cross-layer equalisation; Nagel et al., ICCV 2019, arXiv 1906.04721). As weights have a scale for each
// output here, the factor is not the paper's: it makes the rounding error of the values, which a larger factor makes
// smaller, and that of the weights they meet, which it makes larger, add up to the least.
//
// Channels that additions and pools pass on share their factors. A channel goes through a ReLU6 with a factor only where
// a depthwise layer takes it, which has a scale for each of its channels (elsewhere it measured as a loss), and where
// the calibration pictures leave room below the 6: what exceeds them by half is clipped where it was not before. Values that go through a hard activation, a generalised mean or a gate, or leave the network, keep
// their scale.
func Equalize(net *nn.Network, w nn.Weights, cal *Calibration) (nn.Weights, error) {
	if len(cal.layers) != len(net.Layers) {
		return nil, fmt.Errorf("equalise %s: the calibration is for a network of %d layers, not %d", net.Name, len(cal.layers), len(net.Layers))
	}
	if err := net.Check(w); err != nil {
		return nil, fmt.Errorf("equalise: %w", err)
	}
	out := maps.Clone(w)
	for i := range net.Layers {
		for _, name := range []string{net.Layers[i].Name + ".weight", net.Layers[i].Name + ".bias"} {
			if t, ok := w[name]; ok {
				out[name] = &nn.Tensor{Shape: slices.Clone(t.Shape), Data: slices.Clone(t.Data)}
			}
		}
	}
	for _, g := range groups(net) {
		e := equalizer{net: net, w: out, cal: cal, group: g}
		e.apply(e.factors())
	}
	return out, nil
}

// equalizer scales the channels of one group.
type equalizer struct {
	net   *nn.Network
	w     nn.Weights
	cal   *Calibration
	group group
}

// factors returns the factor of each channel.
func (e *equalizer) factors() []float64 {
	channels := e.net.Layers[e.group.members[0]].Channels
	s, peaks, powers := make([]float64, channels), make([]float64, channels), make([]float64, channels)
	limits := e.limits()
	for c := range s {
		for _, i := range e.group.members {
			peaks[c] = max(peaks[c], float64(e.cal.layers[i].peak(c)))
			powers[c] += e.cal.layers[i].powers[c] / float64(len(e.group.members))
		}
		if s[c] = 1; peaks[c] > 0 && limits == nil {
			s[c] = 1 / peaks[c]
		}
	}
	uses := e.uses(channels)
	for range scaleRounds {
		values, weights, reach := e.steps(s, peaks, limits != nil)
		for c := range s {
			if peaks[c] == 0 {
				continue
			}
			limit := reach / peaks[c]
			if limits != nil {
				limit = limits[c]
			}
			if limit != 1 || limits == nil { // 1: the ReLU6 clips it as it is
				s[c] = min(limit, math.Pow(values*uses[c]/max(powers[c]*weights, 1e-30), 0.25))
			}
		}
	}
	bound(s, peaks, limits == nil)
	return s
}

// bound keeps factors within largestScale; where all may be scaled together, their geometric mean becomes 1, so that the
// kernels have the ratios of scales they had. Channels that are always zero stay.
func bound(s, peaks []float64, together bool) {
	sum, live := 0.0, 0.0
	for c := range s {
		if peaks[c] > 0 && together {
			sum += math.Log(s[c])
			live++
		}
	}
	mean := math.Exp(sum / max(live, 1))
	for c := range s {
		if peaks[c] == 0 {
			s[c] = 1
			continue
		}
		s[c] = min(max(s[c]/mean, 1.0/largestScale), largestScale)
	}
}

// limits returns the largest factor of each channel that a ReLU6 of the group leaves alone, 1 where it is to stay as it
// is; nil where there is no ReLU6.
func (e *equalizer) limits() []float64 {
	var limits []float64
	for _, i := range e.group.members {
		if e.net.Layers[i].Activation != nn.ReLU6 {
			continue
		}
		if limits == nil {
			limits = slices.Repeat([]float64{math.Inf(1)}, e.net.Layers[i].Channels)
		}
		for c := range limits {
			limits[c] = min(limits[c], max(6/(relu6Margin*max(float64(e.cal.layers[i].peak(c)), 1e-6)), 1))
		}
	}
	return limits
}

// uses returns for each channel the sum of the squares of the weights that it meets.
func (e *equalizer) uses(channels int) []float64 {
	uses := make([]float64, channels)
	for _, i := range e.group.readers {
		e.eachWeight(i, func(c, _ int, v *float32) { uses[c] += float64(*v) * float64(*v) })
	}
	return uses
}

// steps returns the squared steps that the values and the weights they meet are rounded to, summed over the group's
// values and over the readers' outputs, with these factors, and the largest value.
func (e *equalizer) steps(s, peaks []float64, relu6 bool) (values, weights, reach float64) {
	for c := range s {
		reach = max(reach, s[c]*peaks[c])
	}
	if relu6 {
		reach = 6
	}
	for range e.group.members {
		values += reach * reach / (255 * 255)
	}
	for _, i := range e.group.readers {
		if e.net.Layers[i].Kind == nn.Depthwise {
			continue // its weights have a scale for each channel
		}
		largest := make([]float64, e.net.Layers[i].Channels)
		e.eachWeight(i, func(c, o int, v *float32) { largest[o] = max(largest[o], math.Abs(float64(*v))/s[c]) })
		kernel := float64(max(e.net.Layers[i].Kernel, 1))
		for _, l := range largest {
			weights += kernel * kernel * l * l / (127 * 127)
		}
	}
	return values, weights, reach
}

// eachWeight calls use with every weight of a reader, its input channel in the group and its output channel.
func (e *equalizer) eachWeight(i int, use func(c, o int, v *float32)) {
	t := e.w[e.net.Layers[i].Name+".weight"]
	if e.net.Layers[i].Kind == nn.Depthwise {
		per := len(t.Data) / t.Shape[0]
		for k := range t.Data {
			use(k/per, k/per, &t.Data[k])
		}
		return
	}
	inputs := t.Shape[1]
	per := len(t.Data) / t.Shape[0] / inputs
	for k := range t.Data {
		use(k/per%inputs, k/per/inputs, &t.Data[k])
	}
}

// apply multiplies what the writers give and divides what the readers take.
func (e *equalizer) apply(s []float64) {
	for _, i := range e.group.writers {
		weight, bias := e.w[e.net.Layers[i].Name+".weight"], e.w[e.net.Layers[i].Name+".bias"]
		per := len(weight.Data) / weight.Shape[0]
		for k := range weight.Data {
			weight.Data[k] = float32(float64(weight.Data[k]) * s[k/per])
		}
		for c := range bias.Data {
			bias.Data[c] = float32(float64(bias.Data[c]) * s[c])
		}
	}
	for _, i := range e.group.readers {
		e.eachWeight(i, func(c, _ int, v *float32) { *v = float32(float64(*v) / s[c]) })
	}
}
