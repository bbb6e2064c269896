package quantize

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"

	"xbmedge/internal/tflitefile"
)

// Weights in steps of the scale 1, of one output; what they round to by the way their inputs go together.
func TestFeedBack(t *testing.T) {
	for _, tc := range []struct {
		name    string
		values  []float32
		moments [][]float64 // upper triangle, from the diagonal on
		want    []int8
	}{
		{"inputs that have nothing to do with each other", []float32{0.4, 0.4, -1.6}, [][]float64{{1, 0, 0}, {1, 0}, {1}}, []int8{0, 0, -2}},
		{"inputs that are the same", []float32{0.4, 0.4}, [][]float64{{1, 0.999}, {1}}, []int8{1, 0}},
		{"inputs that are opposite", []float32{0.4, 0.4}, [][]float64{{1, -0.999}, {1}}, []int8{0, 0}},
		{"never beyond 127", []float32{127, 140}, [][]float64{{1, 0.5}, {1}}, []int8{127, 127}},
	} {
		ints := make([]int8, len(tc.values))
		feedBack(ints, tc.values, []float32{1}, 0, 1, kernel{outputs: 1, perOutput: len(tc.values), inputs: len(tc.values)}, factor(tc.moments, true))
		if diff := cmp.Diff(tc.want, ints); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tc.name, diff)
		}
	}
}

// Moments are those of the inputs as integers from the zero point, of which padding has none, at the pixels looked at: of
// so small a map at all of them.
func TestMoments(t *testing.T) {
	const height, width, frames, zero = 5, 3, 3, -7
	rng := rand.New(rand.NewPCG(4, 4))
	for _, depthwise := range []bool{false, true} {
		const channels, outputs, c = 3, 2, 1
		k := kernel{outputs: outputs, perOutput: 9 * channels, inputs: channels}
		op := tflitefile.Operator{Op: tflitefile.Conv2D, Inputs: []int{0, 1}, Outputs: []int{2}}
		if depthwise {
			k = kernel{outputs: channels, perOutput: 9, inputs: 1, depthwise: true}
			op.Op = tflitefile.DepthwiseConv2D
		}
		op.Options.StrideH, op.Options.StrideW = 1, 1
		s := &stepper{numbers: []int{0, 1, 2}, values: map[int][][]byte{}, model: &tflitefile.Model{Tensors: []tflitefile.Tensor{
			{Shape: []int{1, height, width, channels}, Quant: &tflitefile.Quantization{Scale: []float32{1}, ZeroPoint: []int64{zero}}},
			{Shape: []int{outputs, 3, 3, channels}},
			{Shape: []int{1, height, width, outputs}},
		}}}
		want := make([][]float64, k.perOutput)
		for i := range want {
			want[i] = make([]float64, k.perOutput-i)
		}
		for range frames {
			data := make([]byte, height*width*channels)
			for i := range data {
				data[i] = byte(rng.IntN(256))
			}
			s.values[0] = append(s.values[0], data)
			for y := range height {
				for x := range width {
					column := make([]float64, k.perOutput)
					for p := range column {
						tap, channel := p/k.inputs, p%k.inputs
						if depthwise {
							tap, channel = p, c
						}
						if iy, ix := y+tap/3-1, x+tap%3-1; iy >= 0 && iy < height && ix >= 0 && ix < width {
							column[p] = float64(int8(data[(iy*width+ix)*channels+channel])) - zero
						}
					}
					for i := range want {
						for j := range want[i] {
							want[i][j] += column[i] * column[i+j] / (frames * height * width)
						}
					}
				}
			}
		}
		trace := 0.0
		for i := range want {
			trace += want[i][0]
		}
		got := s.moments(&op, k, c)
		for i := range want {
			want[i][0] += damping * trace / float64(k.perOutput)
			for j := range want[i] {
				if math.Abs(got[i][j]-want[i][j]) > 1e-6*trace {
					t.Fatalf("depthwise %v: moment of %d and %d: %g, want %g", depthwise, i, i+j, got[i][j], want[i][j])
				}
			}
		}
	}
}

func TestFactor(t *testing.T) {
	got := factor([][]float64{{4, 2, -2}, {10, 5}, {21}}, true)
	want := [][]float64{{2, 1, -1}, {3, 2}, {4}} // RᵀR of these is what was given
	for i := range want {
		for j := range want[i] {
			if math.Abs(got[i][j]-want[i][j]) > 1e-12 {
				t.Errorf("row %d: %v, want %v", i, got[i], want[i])
			}
		}
	}
}

// Ranges that cut a tenth of the values shift the means of all that follows. The empirical correction must take most of
// it back, the analytic one cannot; the network pads symmetrically, so the maps its convolutions see are wider than
// those whose means are known.
func TestEmpiricalBias(t *testing.T) {
	net, w := unevenBackbone(t, "mobilenetv2_torch", 64)
	frames := randomFrames(32, 64, 1)
	cal := calibrate(t, net, w, frames)
	want := cal.layers[len(cal.layers)-1].means
	shift := map[BiasCorrection]float64{}
	for _, b := range []BiasCorrection{Analytic, Empirical} {
		m, _, err := Quantize(net, w, cal, Options{Method: Percentile, Percentile: 95, Rounding: Nearest, BiasCorrection: b})
		if err != nil {
			t.Fatal(err)
		}
		got := make([]float64, len(want))
		k := m.Outputs[0]
		quant := m.Tensors[k].Quant
		for _, out := range outputs(t, encode(t, m), frames) {
			for c, v := range out {
				got[c] += float64(quant.Scale[0]) * float64(int64(v)-quant.ZeroPoint[0]) / float64(len(frames))
			}
		}
		for c := range want {
			shift[b] += math.Abs(got[c] - want[c])
		}
	}
	t.Log(shift)
	if shift[Empirical] > shift[Analytic]/2 {
		t.Errorf("shifts of the embedding's means %v, want the empirical one's half of the analytic one's or less", shift)
	}
}
