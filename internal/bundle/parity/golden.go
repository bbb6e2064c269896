package parity

import (
	"errors"
	"fmt"

	"xbmedge/internal/bundle"
	"xbmedge/internal/embed"
	"xbmedge/internal/vision"
)

// Compute begins a bundle of a model: it runs the frames, which may have any size, and keeps each at the model's input
// size with the model's output as a golden image. Name, Version and Created are left to the caller.
func Compute(model []byte, frames []vision.Frame) (m bundle.Manifest, parts bundle.Parts, err error) {
	e, err := embed.New(model, embed.Options{})
	if err != nil {
		return m, parts, err
	}
	defer func() { err = errors.Join(err, e.Close()) }()
	width, height := e.InputSize()
	m = bundle.Manifest{
		Input: bundle.Input{Width: width, Height: height, Normalisation: bundle.Normalisation}, Dim: e.Dim(), Quantisation: e.Model().Quant,
	}
	parts = bundle.Parts{Model: model, Output: bundle.Output(e.Output())}
	prepare := vision.NewPreprocessor(width, height)
	for i, f := range frames {
		small, err := prepare.Resize(f)
		if err != nil {
			return m, parts, fmt.Errorf("golden image %d: %w", i, err)
		}
		kept := vision.NewFrame(width, height)
		copy(kept.Pix, small.Pix)
		output := make([]float32, e.Dim())
		if err := e.Raw(output, kept); err != nil {
			return m, parts, fmt.Errorf("golden image %d: %w", i, err)
		}
		parts.Golden = append(parts.Golden, bundle.Golden{Image: kept, Output: output})
	}
	return m, parts, nil
}
