package quantize

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"

	"xbmedge/internal/nn"
	"xbmedge/internal/tflite"
	"xbmedge/internal/tflitefile"
	"xbmedge/internal/vision"
)

// probe is the float network with every layer's value as an output, and after them the values inside layers that int8
// needs a range for.
type probe struct {
	interpreter *tflite.Interpreter
	names       []string
	channels    []int
}

// probeFile returns the file of a probe, the names of its outputs and their channels.
func probeFile(net *nn.Network, w nn.Weights) (file []byte, names []string, channels []int, err error) {
	if err := checkFinite(w); err != nil {
		return nil, nil, nil, err
	}
	m, err := tflitefile.FromNetwork(net, w, tflitefile.Options{})
	if err != nil {
		return nil, nil, nil, err
	}
	names = append(layerNames(net), innerNames(m)...)
	m.Outputs = nil
	for _, name := range names {
		t := m.Find(name)
		m.Outputs = append(m.Outputs, t)
		channels = append(channels, m.Tensors[t].Shape[3])
	}
	file, err = tflitefile.Encode(m)
	return file, names, channels, err
}

func newProbe(net *nn.Network, w nn.Weights) (*probe, error) {
	file, names, channels, err := probeFile(net, w)
	if err != nil {
		return nil, err
	}
	return openProbe(file, names, channels)
}

func openProbe(file []byte, names []string, channels []int) (*probe, error) {
	interpreter, err := tflite.Open(file, tflite.Options{})
	if err != nil {
		return nil, err
	}
	return &probe{interpreter: interpreter, names: names, channels: channels}, nil
}

// checkFinite names the first tensor, by name, that holds values that are no numbers. It is asked before anything runs
// because a ReLU hides them: XNNPACK clamps a NaN to zero.
func checkFinite(w nn.Weights) error {
	bad := ""
	for name, t := range w {
		broken := slices.ContainsFunc(t.Data, func(v float32) bool {
			return math.IsNaN(float64(v)) || math.IsInf(float64(v), 0)
		})
		if broken && (bad == "" || name < bad) {
			bad = name
		}
	}
	if bad != "" {
		return fmt.Errorf("tensor %q holds values that are no numbers: training has diverged", bad)
	}
	return nil
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

// each calls use with the input and the values of every frame, in the order of names; both are only valid during the
// call.
func (p *probe) each(ctx context.Context, frames []vision.Frame, use func(i int, input []float32, values [][]float32) error) error {
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
	for i, f := range frames {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := vision.Float32(input, f); err != nil {
			return err
		}
		if err := p.interpreter.Invoke(); err != nil {
			return err
		}
		if err := use(i, input, values); err != nil {
			return err
		}
	}
	return nil
}
