package quantize

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"xbmedge/internal/tflite"
	"xbmedge/internal/tflitefile"
	"xbmedge/internal/vision"
)

// Fidelity says how well a quantised model's embeddings agree with those of the float network.
type Fidelity struct {
	Mean float64 // of the cosines of the pictures
	P1   float64 // 1st percentile: what 99 of 100 pictures exceed
}

// fidelity compares a model, on that many threads, with the vectors that the float network gives for the frames. A model
// that XNNPACK does not take whole would be several times slower, and is refused.
func fidelity(ctx context.Context, m *tflitefile.Model, threads int, frames []vision.Frame, want [][]float32) (Fidelity, error) {
	file, err := tflitefile.Encode(m)
	if err != nil {
		return Fidelity{}, err
	}
	i, err := tflite.Open(file, tflite.Options{Threads: threads})
	if err != nil {
		return Fidelity{}, err
	}
	cosines := make([]float64, 0, len(frames))
	if !i.Delegated() {
		err = errors.New("XNNPACK does not take the model")
	}
	for k := 0; k < len(frames) && err == nil; k++ {
		var v []float32
		if v, err = embedFrame(ctx, i, frames[k]); err == nil {
			cosines = append(cosines, cosine(v, want[k]))
		}
	}
	if err := errors.Join(err, i.Close()); err != nil {
		return Fidelity{}, err
	}
	f := Fidelity{}
	for _, c := range cosines {
		f.Mean += c / float64(len(cosines))
	}
	slices.Sort(cosines)
	f.P1 = cosines[len(cosines)/100]
	return f, nil
}

// embedFrame returns the real values of the last output.
func embedFrame(ctx context.Context, i *tflite.Interpreter, f vision.Frame) ([]float32, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	in, err := i.InputInt8(0)
	if err != nil {
		return nil, err
	}
	if err := vision.Int8(in, f); err != nil {
		return nil, err
	}
	if err := i.Invoke(); err != nil {
		return nil, err
	}
	return output(i, len(i.Outputs())-1)
}

// output returns the real values of output k, int8 or float.
func output(i *tflite.Interpreter, k int) ([]float32, error) {
	info := i.Outputs()[k]
	if info.Type == tflitefile.Float32 {
		return i.OutputFloat32(k)
	}
	ints, err := i.OutputInt8(k)
	if err != nil {
		return nil, fmt.Errorf("output %s: %w", info.Name, err)
	}
	out := make([]float32, len(ints))
	for j, v := range ints {
		out[j] = info.Scale * float32(int(v)-info.ZeroPoint)
	}
	return out, nil
}

// cosine of two vectors; 0 where one has no direction.
func cosine(a, b []float32) float64 {
	var dot, aa, bb float64
	for k, x := range a {
		y := float64(b[k])
		dot += float64(x) * y
		aa += float64(x) * float64(x)
		bb += y * y
	}
	if aa == 0 || bb == 0 {
		return 0
	}
	return dot / math.Sqrt(aa*bb)
}
