// Package cost says what a model asks of the machine it runs on, from its file alone: multiply-accumulates (MACs),
// parameters and the memory its values need.
package cost

import "xbmedge/internal/tflitefile"

// Operator is what one operator of a model costs, for one sample where the model takes one.
type Operator struct {
	Index      int    // in the file
	Name       string // such as CONV_2D
	Output     string // name of the tensor it writes, which is that of the layer in models made here
	Kind       string // the types it works on, such as int8, or int8→float32
	MACs       int64  // of convolutions and fully connected layers; what others compute is not counted
	Parameters int    // numbers in its constant inputs, where it multiplies with them
	Bytes      int    // of the values it writes
}

// Of returns the costs of a model's operators, in their order.
func Of(m *tflitefile.Model) []Operator {
	all := make([]Operator, len(m.Operators))
	for i := range m.Operators {
		o := &m.Operators[i]
		c := Operator{Index: i, Name: o.Name(), Kind: kind(m, o), MACs: macs(m, o)}
		if len(o.Outputs) > 0 {
			c.Output = m.Tensors[o.Outputs[0]].Name
		}
		for _, t := range o.Outputs {
			c.Bytes += size(&m.Tensors[t])
		}
		if c.MACs > 0 {
			for _, t := range o.Inputs {
				if t >= 0 && len(m.Data(t)) > 0 {
					c.Parameters += m.Tensors[t].Len()
				}
			}
		}
		all[i] = c
	}
	return all
}

// Total returns the sums over all operators.
func Total(all []Operator) (macs int64, parameters int) {
	for i := range all {
		macs += all[i].MACs
		parameters += all[i].Parameters
	}
	return macs, parameters
}

// macs counts those of operators with a weight tensor: each value of the output takes as many as one output channel
// has weights.
func macs(m *tflitefile.Model, o *tflitefile.Operator) int64 {
	if len(o.Inputs) < 2 || o.Inputs[1] < 0 || len(o.Outputs) == 0 {
		return 0
	}
	weight, out := &m.Tensors[o.Inputs[1]], &m.Tensors[o.Outputs[0]]
	outputs := int64(out.Len())
	switch o.Op {
	case tflitefile.Conv2D: // [out, k, k, in]
		if len(weight.Shape) == 4 {
			return outputs * int64(weight.Shape[1]*weight.Shape[2]*weight.Shape[3])
		}
	case tflitefile.DepthwiseConv2D: // [1, k, k, out]
		if len(weight.Shape) == 4 {
			return outputs * int64(weight.Shape[1]*weight.Shape[2])
		}
	case tflitefile.FullyConnected: // [out, in]
		if len(weight.Shape) == 2 {
			return outputs * int64(weight.Shape[1])
		}
	}
	return 0
}

func kind(m *tflitefile.Model, o *tflitefile.Operator) string {
	if len(o.Outputs) == 0 {
		return ""
	}
	out := m.Tensors[o.Outputs[0]].Type.String()
	if len(o.Inputs) == 0 || o.Inputs[0] < 0 {
		return out
	}
	if in := m.Tensors[o.Inputs[0]].Type.String(); in != out {
		return in + "→" + out
	}
	return out
}

func size(t *tflitefile.Tensor) int { return t.Len() * t.Type.Size() }

// PeakLive returns the bytes of the values that exist at once, at most: of every value from the operator that writes it
// to the last that reads it, the model's inputs from the start and its outputs to the end. It is what a runtime needs
// that never computes in place and never copies; weights are not in it.
func PeakLive(m *tflitefile.Model) int {
	steps := len(m.Operators)
	first, last := map[int]int{}, map[int]int{} // by tensor; steps count from 0
	for _, t := range m.Inputs {
		first[t] = 0
	}
	for i := range m.Operators {
		for _, t := range m.Operators[i].Outputs {
			first[t], last[t] = i, i
		}
		for _, t := range m.Operators[i].Inputs {
			last[t] = i
		}
	}
	for _, t := range m.Outputs {
		last[t] = steps - 1
	}
	change := make([]int, steps+1)
	for t, from := range first {
		change[from] += size(&m.Tensors[t])
		change[max(last[t], from)+1] -= size(&m.Tensors[t])
	}
	peak, live := 0, 0
	for _, c := range change[:steps] {
		live += c
		peak = max(peak, live)
	}
	return peak
}
