// Package backbone holds the weights that a network starts from when none are given: a MobileNetV2 of width 0.35 that
// this trainer has made itself (scripts/backbone.sh) by distillation, on photos of groceries and of objects of all
// kinds. It is part of the program, so that a first training needs no download and still does not start from nothing.
package backbone

import (
	_ "embed"
	"fmt"

	"xbmedge/internal/nn"
)

// file is safetensors in half precision, under this project's names, with batch norms.
//
//go:embed mobilenetv2_0.35.safetensors
var file []byte

// Of the network the weights are for.
const (
	Name  = "mobilenetv2"
	Width = 0.35
)

// Fits reports whether there are weights for that network.
func Fits(name string, width float64) bool { return name == Name && width == Width }

// Weights returns them, for weightfile.Match; the caller may change them.
func Weights() (nn.Weights, error) {
	w, _, err := nn.ParseSafetensors(file)
	if err != nil {
		return nil, fmt.Errorf("the backbone inside this program: %w", err)
	}
	return w, nil
}
