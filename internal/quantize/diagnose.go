package quantize

import (
	"context"
	"errors"
	"fmt"
	"math"

	"xbmedge/internal/nn"
	"xbmedge/internal/tflite"
	"xbmedge/internal/tflitefile"
	"xbmedge/internal/vision"
)

// maxSQNR is far above what int8 reaches, some 50 dB.
const maxSQNR = 120

// sqnr returns the signal-to-quantisation-noise ratio in decibels, given noise power ÷ signal power.
func sqnr(power float64) float64 {
	if power <= math.Pow(10, -maxSQNR/10) {
		return maxSQNR
	}
	return -10 * math.Log10(power)
}

// LayerError says how well the int8 model follows the float network up to a layer.
type LayerError struct {
	Name  string
	Noise float64 // error ÷ signal, as the ratio of their root mean squares, of the layer's output
	SQNR  float64 // the same in decibels: 10·log10(signal power ÷ noise power); at most maxSQNR, at which there is no noise
	Added float64 // by how much the layer's noise power exceeds the largest of its inputs', as a root
}

// Diagnose runs the float network and its quantised model side by side on frames (a few dozen are enough) and compares
// every layer's values. The options must be those the calibration is meant to be used with.
func Diagnose(ctx context.Context, net *nn.Network, w nn.Weights, cal *Calibration, opt Options, frames []vision.Frame) ([]LayerError, error) {
	opt.Outputs = layerNames(net)
	m, _, err := Quantize(net, w, cal, opt)
	if err != nil {
		return nil, err
	}
	file, err := tflitefile.Encode(m)
	if err != nil {
		return nil, err
	}
	p, err := newProbe(net, w)
	if err != nil {
		return nil, fmt.Errorf("diagnose: %w", err)
	}
	ints, err := tflite.Open(file, tflite.Options{})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("diagnose: %w", err), p.interpreter.Close())
	}
	powers, err := compare(ctx, p, ints, frames)
	if err := errors.Join(err, p.interpreter.Close(), ints.Close()); err != nil {
		return nil, fmt.Errorf("diagnose: %w", err)
	}
	out := make([]LayerError, len(net.Layers))
	for i := range net.Layers {
		before := 0.0
		for _, j := range net.Layers[i].Inputs {
			if j != nn.Input {
				before = max(before, powers[j])
			}
		}
		out[i] = LayerError{
			Name: net.Layers[i].Name, Noise: math.Sqrt(powers[i]), SQNR: sqnr(powers[i]), Added: math.Sqrt(max(powers[i]-before, 0)),
		}
	}
	return out, nil
}

// compare returns the noise power over the signal power of every layer.
func compare(ctx context.Context, p *probe, ints *tflite.Interpreter, frames []vision.Frame) ([]float64, error) {
	input, err := ints.InputInt8(0)
	if err != nil {
		return nil, err
	}
	outputs := ints.Outputs()
	signal, noise := make([]float64, len(outputs)), make([]float64, len(outputs))
	err = p.each(ctx, frames, func(i int, _ []float32, values [][]float32) error {
		if err := vision.Int8(input, frames[i]); err != nil {
			return err
		}
		if err := ints.Invoke(); err != nil {
			return err
		}
		for i := range outputs {
			got, err := output(ints, i)
			if err != nil {
				return err
			}
			for k, want := range values[i] {
				d := float64(got[k]) - float64(want)
				signal[i] += float64(want) * float64(want)
				noise[i] += d * d
			}
		}
		return nil
	})
	for i := range noise {
		if signal[i] > 0 {
			noise[i] /= signal[i]
		}
	}
	return noise, err
}
