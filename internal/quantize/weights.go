package quantize

import (
	"math"

	"xbmedge/internal/nn"
	"xbmedge/internal/tflitefile"
)

// The limits of what kernels can rescale: XNNPACK refuses a ratio input scale × weight scale ÷ output scale below
// 2⁻³², and the accumulator has 32 bits, of which the bias may take half the range.
const (
	lowestRatio = 1.0 / (1 << 30)
	highestBias = 1 << 30
)

// weights quantises the weight and bias of layer i in place; the activations around it have their scales.
func (q *quantizer) weights(i int, op *tflitefile.Operator) {
	m := q.model
	in, out := q.activations[op.Inputs[0]], q.activations[op.Outputs[0]]
	weight, bias := &m.Tensors[op.Inputs[1]], &m.Tensors[op.Inputs[2]]
	values := tflitefile.ToFloat32s(m.Data(op.Inputs[1]))
	biases := tflitefile.ToFloat32s(m.Data(op.Inputs[2]))
	k := newKernel(q.net.Layers[i].Kind, weight.Shape)
	scales := make([]float32, k.outputs)
	for c := range k.outputs {
		scales[c] = float32(k.scale(values, c, math.Abs(float64(biases[c])), float64(in.scale), float64(out.scale)))
	}
	ints := q.round(op, k, values, scales)
	weight.Type = tflitefile.Int8
	weight.Quant = &tflitefile.Quantization{Scale: scales, ZeroPoint: make([]int64, k.outputs), Axis: k.axis}
	m.Buffers[weight.Buffer] = bytesOf(ints)

	want, got := q.inputMeans(i)
	units, sums := make([]float32, k.outputs), make([]int32, k.outputs)
	for c := range k.outputs {
		b := float64(biases[c])
		for p := range k.perOutput {
			at, channel := k.index(c, p), k.input(c, p)
			rounded := float64(ints[at]) * float64(scales[c])
			if q.opt.BiasCorrection == NoCorrection {
				b -= rounded * (got[channel] - want[channel])
			} else {
				b += float64(values[at])*want[channel] - rounded*got[channel]
			}
		}
		units[c] = in.scale * scales[c]
		sums[c] = int32(math.Round(min(max(b/(float64(in.scale)*float64(scales[c])), -highestBias), highestBias)))
	}
	bias.Type = tflitefile.Int32
	bias.Quant = &tflitefile.Quantization{Scale: units, ZeroPoint: make([]int64, k.outputs)}
	m.Buffers[bias.Buffer] = tflitefile.Int32s(sums)
}

// inputMeans returns the mean of each channel of the input of layer i as the float network has it and as the int8
// model is taken to have it.
func (q *quantizer) inputMeans(i int) (want, got []float64) {
	stats, tensor := q.cal.input, q.model.Inputs[0]
	if j := q.net.Layers[i].Inputs[0]; j != nn.Input {
		stats, tensor = q.cal.layers[j], q.ints[q.model.Find(q.net.Layers[j].Name)] // as it is before a PAD
	}
	if q.opt.BiasCorrection == Empirical && q.steps != nil {
		return stats.tuneMeans, q.steps.means[tensor]
	}
	want, got = stats.means, stats.means
	if q.net.Layers[i].Inputs[0] == nn.Input {
		got = make([]float64, len(want))
		for c := range got {
			got[c] = want[c] + halfStep
		}
	}
	return want, got
}

// kernel finds its way through a weight as tflitefile lays it out: [out, k, k, in], or [1, k, k, channels].
type kernel struct {
	outputs, perOutput int
	inputs             int // input channels of one output
	depthwise          bool
	axis               int // of the output channels
}

func newKernel(kind nn.Kind, shape []int) kernel {
	if kind == nn.Depthwise {
		return kernel{outputs: shape[3], perOutput: shape[1] * shape[2], inputs: 1, depthwise: true, axis: 3}
	}
	return kernel{outputs: shape[0], perOutput: shape[1] * shape[2] * shape[3], inputs: shape[3]}
}

// index returns where value p of output c lies.
func (k kernel) index(c, p int) int {
	if k.depthwise {
		return p*k.outputs + c
	}
	return c*k.perOutput + p
}

// input returns which input channel value p of output c is multiplied with.
func (k kernel) input(c, p int) int {
	if k.depthwise {
		return c
	}
	return p % k.inputs
}

// scale returns the scale of output c: its largest weight becomes 127, unless that is so small that the kernels could
// not rescale the sum or the bias would overflow. Channels that training has switched off are like that.
func (k kernel) scale(values []float32, c int, bias, in, out float64) float64 {
	largest := 0.0
	for p := range k.perOutput {
		largest = max(largest, math.Abs(float64(values[k.index(c, p)])))
	}
	return max(largest/127, lowestRatio*out/in, bias/(in*highestBias))
}
