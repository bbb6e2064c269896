package trainer

import (
	"context"
	"errors"
	"fmt"
	"os"

	"xbmedge/internal/atomicfile"
	"xbmedge/internal/nn"
	"xbmedge/internal/quantize"
	"xbmedge/internal/tflitefile"
	"xbmedge/internal/vision"
	"xbmedge/training/internal/dataset"
)

// In what numbers a frozen trunk is run.
const (
	trunkFloat = "float"
	trunkInt8  = "int8" // as the board will run it, so that the tail learns to live with its rounding
)

// trunkOutputs are what a frozen trunk makes of each view of each photo, computed once.
type trunkOutputs struct {
	views  *viewSet
	size   int       // values of one output
	values []float32 // [views][photos][size]
}

// newTrunkOutputs runs the trunk on every view. Done is called now and then with the share that is done.
func newTrunkOutputs(ctx context.Context, v *viewSet, m *parts, cfg *Config, done func(share float64)) (*trunkOutputs, error) {
	trunk, err := floatModel(m.trunk, m.weights)
	if err != nil {
		return nil, fmt.Errorf("frozen trunk: %w", err)
	}
	t := &trunkOutputs{views: v, size: m.tail.Input.Size()}
	if t.values, err = v.floats(ctx, trunk, cfg.Network.Size, t.size, cfg.workers(), done); err != nil {
		return nil, fmt.Errorf("frozen trunk: %w", err)
	}
	return t, nil
}

func (t *trunkOutputs) Fill(step uint64, indices []int, dst []float32) error {
	for place, i := range indices {
		at := t.views.at(step, place, i)
		copy(dst[place*t.size:(place+1)*t.size], t.values[at*t.size:])
	}
	return nil
}

func (t *trunkOutputs) Plain(i int, dst []float32) error {
	copy(dst[:t.size], t.values[i*t.size:])
	return nil
}

// int8Outputs are trunkOutputs of an int8 trunk, at a quarter of the memory.
type int8Outputs struct {
	views  *viewSet
	size   int    // values of one output
	values []int8 // [views][photos][size]
	real   [256]float32
}

func newInt8Outputs(ctx context.Context, v *viewSet, m *parts, trunk []byte, cfg *Config, done func(share float64)) (*int8Outputs, error) {
	model, err := tflitefile.Decode(trunk)
	if err != nil {
		return nil, fmt.Errorf("frozen int8 trunk: %w", err)
	}
	out := &model.Tensors[model.Outputs[0]]
	if out.Quant == nil || len(out.Quant.Scale) != 1 {
		return nil, fmt.Errorf("frozen int8 trunk: its output %q has no scale: it is not one that xbm-train wrote", out.Name)
	}
	t := &int8Outputs{views: v, size: m.tail.Input.Size()}
	for k := range t.real {
		t.real[k] = out.Quant.Scale[0] * float32(k-128-int(out.Quant.ZeroPoint[0]))
	}
	if t.values, err = v.int8s(ctx, trunk, cfg.Network.Size, t.size, cfg.workers(), done); err != nil {
		return nil, fmt.Errorf("frozen int8 trunk: %w", err)
	}
	return t, nil
}

func (t *int8Outputs) Fill(step uint64, indices []int, dst []float32) error {
	for place, i := range indices {
		t.output(t.views.at(step, place, i), dst[place*t.size:(place+1)*t.size])
	}
	return nil
}

func (t *int8Outputs) Plain(i int, dst []float32) error {
	t.output(i, dst[:t.size])
	return nil
}

// output writes the values that one output stands for.
func (t *int8Outputs) output(at int, dst []float32) {
	for k, v := range t.values[at*t.size : (at+1)*t.size] {
		dst[k] = t.real[int(v)+128]
	}
}

// trunkPhotos is how many photos an int8 trunk is calibrated on.
const trunkPhotos = 200

// int8Trunk returns the frozen trunk as an int8 model: that of the run where it goes on, or else one calibrated on photos
// that are learned from.
func (f *fitting) int8Trunk(ctx context.Context, photos dataset.Source) ([]byte, error) {
	if f.folder.empty() != nil { // the run has begun
		file, err := os.ReadFile(f.folder.path(nn.TrunkFile))
		if errors.Is(err, os.ErrNotExist) {
			return nil, fmt.Errorf("%s has lost its %s, which it was trained on: put it back, or start anew with another --out", f.folder, nn.TrunkFile)
		}
		return file, err
	}
	size := f.cfg.Network.Size
	viewer, err := dataset.NewViewer(photos, f.cfg.Data.Resize, size, size)
	if err != nil {
		return nil, err
	}
	count := min(trunkPhotos, len(f.learned))
	pictures := make([]vision.Frame, count)
	x := make([]float32, 3*size*size)
	for k := range pictures {
		if err := viewer.Fill(f.learned[k*len(f.learned)/count], x); err != nil {
			return nil, err
		}
		pictures[k] = vision.NewFrame(size, size)
		for p, v := range x {
			pictures[k].Pix[p] = pixel(v)
		}
	}
	file, err := int8Model(ctx, f.parts.trunk, f.parts.weights, pictures)
	if err != nil {
		return nil, fmt.Errorf("frozen int8 trunk: %w", err)
	}
	return file, nil
}

// int8Model returns the folded network as an int8 TFLite file, calibrated on pictures of its input's size.
func int8Model(ctx context.Context, net *nn.Network, w nn.Weights, pictures []vision.Frame) ([]byte, error) {
	net, w, err := nn.Fold(net, w)
	if err != nil {
		return nil, err
	}
	cal, err := quantize.Calibrate(ctx, net, w, pictures)
	if err != nil {
		return nil, err
	}
	m, _, err := quantize.Quantize(net, w, cal, quantize.Options{})
	if err != nil {
		return nil, err
	}
	return tflitefile.Encode(m)
}

// writeTrunk keeps the int8 trunk for the converter, which takes it over as it is, and for going on.
func (f folder) writeTrunk(file []byte) error {
	if file == nil {
		return nil
	}
	return atomicfile.WriteBytes(f.path(nn.TrunkFile), 0o644, file)
}
