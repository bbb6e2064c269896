package quantize

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"

	"xbmedge/internal/nn"
	"xbmedge/internal/tflite"
	"xbmedge/internal/tflitefile"
	"xbmedge/internal/vision"
)

// Calibration is what a network's values were on the calibration pictures.
type Calibration struct {
	Samples    int
	layers     []statistics          // in the network's order
	inner      map[string]statistics // of values inside layers, by the names that tflitefile has for them
	inputMeans []float64
}

// statistics describes one value: the output of a layer, or one inside it.
type statistics struct {
	min, max  float32
	means     []float64 // of each channel
	histogram histogram
}

// Calibrate runs a network without batch norms on pictures and notes the range and distribution of every layer. The
// frames must have the network's input size (vision.Preprocessor); 100 to 500 that look like what the board will see
// are enough. It needs TensorFlow Lite and reads the frames twice.
func Calibrate(ctx context.Context, net *nn.Network, w nn.Weights, frames []vision.Frame) (*Calibration, error) {
	if len(frames) == 0 {
		return nil, errors.New("calibrate: no pictures")
	}
	if net.Input.C != 3 {
		return nil, fmt.Errorf("calibrate: network %s takes %d channels, not a picture's 3", net.Name, net.Input.C)
	}
	p, err := newProbe(net, w)
	if err != nil {
		return nil, fmt.Errorf("calibrate: %w", err)
	}
	cal := &Calibration{Samples: len(frames), inner: map[string]statistics{}, inputMeans: make([]float64, 3)}
	for _, c := range p.channels { // the inner values are among the layers until all is known
		cal.layers = append(cal.layers, statistics{
			min: float32(math.Inf(1)), max: float32(math.Inf(-1)), means: make([]float64, c),
		})
	}
	err = p.each(ctx, frames, cal.addRanges)
	if err == nil {
		cal.finishRanges()
		err = p.each(ctx, frames, func(_ []float32, values [][]float32) error {
			for i := range cal.layers {
				cal.layers[i].histogram.add(values[i])
			}
			return nil
		})
	}
	if err := errors.Join(err, p.interpreter.Close()); err != nil {
		return nil, fmt.Errorf("calibrate: %w", err)
	}
	for i, name := range p.names[len(net.Layers):] {
		cal.inner[name] = cal.layers[len(net.Layers)+i]
	}
	cal.layers = cal.layers[:len(net.Layers)]
	return cal, nil
}

func (c *Calibration) addRanges(input []float32, values [][]float32) error {
	addMeans(c.inputMeans, input, c.Samples)
	for i := range c.layers {
		s := &c.layers[i]
		low, high := s.min, s.max
		for _, v := range values[i] {
			low, high = min(low, v), max(high, v)
		}
		if math.IsNaN(float64(low)) || math.IsNaN(float64(high)) {
			return fmt.Errorf("layer %d gives values that are no numbers: the weights are broken", i)
		}
		s.min, s.max = low, high
		addMeans(s.means, values[i], c.Samples)
	}
	return nil
}

func (c *Calibration) finishRanges() {
	for i := range c.layers {
		c.layers[i].histogram = newHistogram(c.layers[i].min, c.layers[i].max)
	}
}

// addMeans adds the mean of each channel of one of that many samples.
func addMeans(means []float64, values []float32, samples int) {
	channels := len(means)
	factor := float64(channels) / float64(len(values)) / float64(samples)
	sums := make([]float64, channels)
	for at := 0; at < len(values); at += channels {
		for c, v := range values[at : at+channels] {
			sums[c] += float64(v)
		}
	}
	for c, s := range sums {
		means[c] += s * factor
	}
}

// probe is the float network with every layer's value as an output, and after them the values inside layers that int8
// needs a range for.
type probe struct {
	interpreter *tflite.Interpreter
	names       []string
	channels    []int
}

func newProbe(net *nn.Network, w nn.Weights) (*probe, error) {
	// Asked here because a ReLU hides them: XNNPACK clamps a NaN to zero.
	for name, t := range w {
		for _, v := range t.Data {
			if math.IsNaN(float64(v)) || math.IsInf(float64(v), 0) {
				return nil, fmt.Errorf("tensor %q holds values that are no numbers: training has diverged", name)
			}
		}
	}
	m, err := tflitefile.FromNetwork(net, w, tflitefile.Options{})
	if err != nil {
		return nil, err
	}
	p := &probe{names: append(layerNames(net), innerNames(m)...)}
	m.Outputs = nil
	for _, name := range p.names {
		t := m.Find(name)
		m.Outputs = append(m.Outputs, t)
		p.channels = append(p.channels, m.Tensors[t].Shape[3])
	}
	file, err := tflitefile.Encode(m)
	if err != nil {
		return nil, err
	}
	if p.interpreter, err = tflite.Open(file, tflite.Options{}); err != nil {
		return nil, err
	}
	return p, nil
}

// innerNames returns the values inside layers that become int8 with a range of their own.
func innerNames(m *tflitefile.Model) []string {
	var names []string
	for i := range m.Operators {
		name := m.Tensors[m.Operators[i].Outputs[0]].Name
		if strings.HasSuffix(name, "/linear") || strings.HasSuffix(name, "/shifted") {
			names = append(names, name)
		}
	}
	return names
}

func layerNames(net *nn.Network) []string {
	names := make([]string, len(net.Layers))
	for i := range net.Layers {
		names[i] = net.Layers[i].Name
	}
	return names
}

// each calls use with the input and the values of every frame, in the order of names; both are only valid during the call.
func (p *probe) each(ctx context.Context, frames []vision.Frame, use func(input []float32, values [][]float32) error) error {
	input, err := p.interpreter.InputFloat32(0)
	if err != nil {
		return err
	}
	values := make([][]float32, len(p.names))
	for i := range values {
		if values[i], err = p.interpreter.OutputFloat32(i); err != nil {
			return err
		}
	}
	for _, f := range frames {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := vision.Float32(input, f); err != nil {
			return err
		}
		if err := p.interpreter.Invoke(); err != nil {
			return err
		}
		if err := use(input, values); err != nil {
			return err
		}
	}
	return nil
}
