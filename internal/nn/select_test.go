package nn

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestSelect(t *testing.T) {
	conv := func(name string, channels, input int) Layer {
		return Layer{Name: name, Kind: Conv, Inputs: []int{input}, Channels: channels, Kernel: 1, Stride: 1}
	}
	wide := &Network{Name: "wide", Input: Shape{1, 1, 2}, Layers: []Layer{conv("a", 4, Input), conv("b", 6, 0)}}
	narrow := &Network{Name: "narrow", Input: Shape{1, 1, 2}, Layers: []Layer{conv("a", 2, Input), conv("b", 3, 0), conv("own", 1, 1)}}
	w := Weights{
		"a.weight": {Shape: []int{4, 2, 1, 1}, Data: []float32{0, 1, 10, 11, 20, 21, 30, 31}},
		"a.bias":   {Shape: []int{4}, Data: []float32{0, 1, 2, 3}},
		"b.weight": NewTensor(6, 4, 1, 1),
		"b.bias":   {Shape: []int{6}, Data: []float32{0, 1, 2, 3, 4, 5}},
	}
	for i := range w["b.weight"].Data {
		w["b.weight"].Data[i] = float32(10*(i/4) + i%4)
	}
	got, err := Select(wide, w, narrow)
	if err != nil {
		t.Fatal(err)
	}
	want := Weights{
		"a.weight": {Shape: []int{2, 2, 1, 1}, Data: []float32{0, 1, 20, 21}},
		"a.bias":   {Shape: []int{2}, Data: []float32{0, 2}},
		"b.weight": {Shape: []int{3, 2, 1, 1}, Data: []float32{0, 2, 20, 22, 40, 42}}, // b's inputs are the channels that a kept
		"b.bias":   {Shape: []int{3}, Data: []float32{0, 2, 4}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if _, err := Select(narrow, Weights{}, wide); err == nil {
		t.Error("weights that are not there were selected")
	}
	fresh, err := narrow.Init(rand.New(rand.NewPCG(1, 1)))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Select(narrow, fresh, wide); err == nil || !strings.Contains(err.Error(), "does not contain") {
		t.Errorf("a wide network of a narrow one: %v", err)
	}
}
