package quantize

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"xbmedge/internal/embed"
	"xbmedge/internal/nn"
	"xbmedge/internal/photos"
	"xbmedge/internal/testdata"
	"xbmedge/internal/tflite"
	"xbmedge/internal/tflitefile"
	"xbmedge/internal/vision"
)

func TestChooseParams(t *testing.T) {
	for _, tc := range []struct {
		low, high float32
		want      params
	}{
		{0, 6, params{6.0 / 255, -128}},
		{-1, 1, params{2.0 / 255, -1}}, // −0.5 rounds away from zero, one end loses half a step
		{2, 255, params{1, -128}},      // zero must be in the range
		{-255, -3, params{1, 127}},
		{0, 0, params{1.0 / 127, 0}},
	} {
		got, err := chooseParams(tc.low, tc.high)
		if err != nil {
			t.Fatal(err)
		}
		if math.Abs(float64(got.scale-tc.want.scale)) > 1e-7 || got.zero != tc.want.zero {
			t.Errorf("%g to %g: %+v, want %+v", tc.low, tc.high, got, tc.want)
		}
	}
	if _, err := chooseParams(0, float32(math.Inf(1))); err == nil {
		t.Error("an infinite range was taken")
	}
}

// randomFrames are pictures of a few coloured rectangles: random pixels would all look the same to a network.
func randomFrames(n, size int, seed uint64) []vision.Frame {
	rng := rand.New(rand.NewPCG(seed, 1))
	frames := make([]vision.Frame, n)
	for i := range frames {
		f := vision.NewFrame(size, size)
		for range 5 {
			x, y, w, h := rng.IntN(size), rng.IntN(size), 1+rng.IntN(size), 1+rng.IntN(size)
			colour := [3]byte{byte(rng.IntN(256)), byte(rng.IntN(256)), byte(rng.IntN(256))}
			for row := y; row < min(y+h, size); row++ {
				for col := x; col < min(x+w, size); col++ {
					copy(f.Pix[3*(row*size+col):], colour[:])
				}
			}
		}
		frames[i] = f
	}
	return frames
}

func calibrate(t *testing.T, net *nn.Network, w nn.Weights, frames []vision.Frame) *Calibration {
	t.Helper()
	cal, err := Calibrate(context.Background(), net, w, frames)
	if errors.Is(err, tflite.ErrUnavailable) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return cal
}

func encode(t *testing.T, m *tflitefile.Model) []byte {
	t.Helper()
	file, err := tflitefile.Encode(m)
	if err != nil {
		t.Fatal(err)
	}
	return file
}

func embedAll(t *testing.T, model []byte, frames []vision.Frame, plain bool) [][]float32 {
	t.Helper()
	e, err := embed.New(model, embed.Options{Plain: plain})
	if err != nil {
		t.Fatal(err)
	}
	out := make([][]float32, len(frames))
	for i, f := range frames {
		out[i] = make([]float32, e.Dim())
		if err := e.Embed(out[i], f); err != nil {
			t.Fatal(err)
		}
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	return out
}

// meanCosine of vectors of length one; their lengths are checked on the way.
func meanCosine(t *testing.T, a, b [][]float32) float64 {
	t.Helper()
	sum := 0.0
	for i := range a {
		var dot, length float64
		for k := range a[i] {
			dot += float64(a[i][k]) * float64(b[i][k])
			length += float64(a[i][k]) * float64(a[i][k])
		}
		if math.Abs(length-1) > 1e-4 {
			t.Fatalf("embedding %d has length² %g", i, length)
		}
		sum += dot
	}
	return sum / float64(len(a))
}

func floatModel(t *testing.T, net *nn.Network, w nn.Weights) []byte {
	t.Helper()
	m, err := tflitefile.FromNetwork(net, w, tflitefile.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return encode(t, m)
}

// A small network with plain ReLU, as it is trained from scratch, with batch norms folded.
func smallNetwork(t *testing.T) (*nn.Network, nn.Weights) {
	t.Helper()
	net := nn.SmallCNN(32, 8, 16, 32, 32).WithEmbedding(16)
	w, err := net.Init(rand.New(rand.NewPCG(7, 8)))
	if err != nil {
		t.Fatal(err)
	}
	net, w, err = nn.Fold(net, w)
	if err != nil {
		t.Fatal(err)
	}
	return net, w
}

func TestSmallNetwork(t *testing.T) {
	net, w := smallNetwork(t)
	cal := calibrate(t, net, w, randomFrames(60, 32, 1))
	test := randomFrames(40, 32, 2)
	want := embedAll(t, floatModel(t, net, w), test, false)
	for _, opt := range []Options{{}, {Method: MinMax}, {BiasCorrection: NoCorrection}, {Rounding: Nearest}, {BiasCorrection: Empirical}} {
		m, report, err := Quantize(net, w, cal, opt)
		if err != nil {
			t.Fatal(err)
		}
		if len(report.Layers) != len(net.Layers) {
			t.Errorf("report on %d layers, want %d", len(report.Layers), len(net.Layers))
		}
		file := encode(t, m)
		got := embedAll(t, file, test, false)
		if c := meanCosine(t, want, got); c < 0.995 {
			t.Errorf("%+v: mean cosine %.4f, want at least 0.995", opt, c)
		}
		if c := meanCosine(t, got, embedAll(t, file, test, true)); c < 0.999 {
			t.Errorf("%+v: XNNPACK and the plain kernels have mean cosine %.4f", opt, c)
		}
	}
}

// TestEveryBackbone quantises fresh networks with everything that published ones have: hard activations, squeezes,
// pools, symmetric padding, the normalising layer, and a generalised mean.
func TestEveryBackbone(t *testing.T) {
	if testing.Short() {
		t.Skip("takes minutes with the race detector")
	}
	for _, name := range nn.Backbones() {
		if name == "resnet50" {
			continue // resnet50_vd has all of its layers
		}
		t.Run(name, func(t *testing.T) {
			size := 64
			if strings.HasPrefix(name, "resnet") { // large enough
				size = 32
			}
			net, err := nn.Backbone(name, 0.35, size, []int{8, 16})
			if err != nil {
				t.Fatal(err)
			}
			if net, err = net.WithPooling(nn.GeMPooling); err != nil {
				t.Fatal(err)
			}
			net = net.WithEmbedding(16)
			w, err := net.Init(rand.New(rand.NewPCG(7, 8)))
			if err != nil {
				t.Fatal(err)
			}
			if net, w, err = nn.Fold(net, w); err != nil {
				t.Fatal(err)
			}
			cal := calibrate(t, net, w, randomFrames(20, size, 1))
			m, report, err := Quantize(net, w, cal, Options{})
			if err != nil {
				t.Fatal(err)
			}
			if len(report.Layers) != len(net.Layers) {
				t.Errorf("report on %d layers, want %d", len(report.Layers), len(net.Layers))
			}
			file, test := encode(t, m), randomFrames(10, size, 2)
			got := embedAll(t, file, test, false)
			c := meanCosine(t, embedAll(t, floatModel(t, net, w), test, false), got)
			plain := meanCosine(t, got, embedAll(t, file, test, true))
			t.Logf("mean cosine %.4f with float, %.4f between XNNPACK and the plain kernels", c, plain)
			if c < 0.98 || plain < 0.98 { // rounding adds up over the 60 layers of the deeper ones
				t.Error("too far apart")
			}
			errs, err := Diagnose(t.Context(), net, w, cal, Options{}, test[:2])
			if err != nil || len(errs) != len(net.Layers) {
				t.Errorf("diagnosis of %d layers, %v", len(errs), err)
			}
		})
	}
}

func TestMobileNetV2(t *testing.T) {
	if testing.Short() {
		t.Skip("runs a full MobileNetV2 on photos: not with -short")
	}
	w, err := nn.ReadSafetensors(testdata.File(t, "mobilenetv2/mobilenetv2_1.0_224_tf_folded.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	net := nn.MobileNetV2(1, 224)
	frames := readFrames(t, testdata.Dir(t, "grocery/train"), 224, 80)
	cal := calibrate(t, net, w, frames[:40])
	want := embedAll(t, floatModel(t, net, w), frames[40:], false)
	cosines := map[Rounding]float64{}
	for _, r := range []Rounding{Nearest, Feedback} {
		m, _, err := Quantize(net, w, cal, Options{Rounding: r})
		if err != nil {
			t.Fatal(err)
		}
		cosines[r] = meanCosine(t, want, embedAll(t, encode(t, m), frames[40:], false))
	}
	t.Logf("mean cosines %v", cosines)
	if cosines[Feedback] < 0.995 || cosines[Feedback] <= cosines[Nearest] {
		t.Errorf("mean cosines %v, want at least 0.995 with feedback, and more than without", cosines)
	}
}

// readFrames returns n photos spread over the folder.
func readFrames(t *testing.T, root string, size, n int) []vision.Frame {
	t.Helper()
	all, err := photos.List(root)
	if err != nil {
		t.Fatal(err)
	}
	rand.New(rand.NewPCG(1, 1)).Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	prepare := vision.NewPreprocessor(size, size)
	frames := make([]vision.Frame, n)
	for i := range frames {
		photo, err := vision.DecodeFile(all[i].Path)
		if err != nil {
			t.Fatal(err)
		}
		f, err := prepare.Resize(photo)
		if err != nil {
			t.Fatal(err)
		}
		frames[i] = vision.Frame{Width: size, Height: size, Pix: append([]byte(nil), f.Pix...)}
	}
	return frames
}

// The bias of the first layer takes up the half step between pixel − 128 at scale 1/127.5 and x/127.5−1: without it
// the mean of many outputs would be off by 0.0039 times the sum of the weights.
func TestHalfStep(t *testing.T) {
	net := &nn.Network{Name: "sum", Input: nn.Shape{H: 2, W: 2, C: 3}, Layers: []nn.Layer{
		{Name: "sum", Kind: nn.Conv, Inputs: []int{nn.Input}, Channels: 1, Kernel: 1, Stride: 1},
	}}
	w := nn.Weights{
		"sum.weight": {Shape: []int{1, 3, 1, 1}, Data: []float32{1, 1, 1}},
		"sum.bias":   {Shape: []int{1}, Data: []float32{0}},
	}
	// Calibrated up to 200, so that the output's steps do not fall on the pixels'.
	const brightest = 200
	frames := []vision.Frame{vision.NewFrame(2, 2), vision.NewFrame(2, 2)}
	for k := range frames[1].Pix {
		frames[1].Pix[k] = brightest
	}
	cal := calibrate(t, net, w, frames)
	m, _, err := Quantize(net, w, cal, Options{Method: MinMax, BiasCorrection: NoCorrection, Rounding: Nearest})
	if err != nil {
		t.Fatal(err)
	}
	i, in := open(t, encode(t, m), tflite.Options{Plain: true})
	info, bias := i.Outputs()[0], 0.0
	for p := range brightest + 1 {
		for k := range in {
			in[k] = int8(p - 128)
		}
		if err := i.Invoke(); err != nil {
			t.Fatal(err)
		}
		out, err := i.OutputInt8(0)
		if err != nil {
			t.Fatal(err)
		}
		want := 3 * (float64(p)/127.5 - 1)
		got := float64(info.Scale) * float64(int(out[0])-info.ZeroPoint)
		if math.Abs(got-want) > 0.51*float64(info.Scale) {
			t.Errorf("pixel %d: %g, want %g within half a step of %g", p, got, want, info.Scale)
		}
		bias += (got - want) / (brightest + 1)
	}
	if math.Abs(bias) > 0.2*3*halfStep {
		t.Errorf("mean error %g; the half step alone would be %g", bias, 3*halfStep)
	}
}

// Channels that training has switched off, and a bias far larger than its weights, must stay within what int32 and
// the kernels can hold.
func TestDeadChannels(t *testing.T) {
	net, w := smallNetwork(t)
	weight := w["conv1.weight"]
	per := len(weight.Data) / 16
	for k := range per {
		weight.Data[0*per+k] = 0     // all zero
		weight.Data[1*per+k] = 1e-20 // as good as zero
		weight.Data[2*per+k] = 1e-9
	}
	w["conv1.bias"].Data[1], w["conv1.bias"].Data[2] = 0.5, 2
	cal := calibrate(t, net, w, randomFrames(30, 32, 1))
	m, _, err := Quantize(net, w, cal, Options{})
	if err != nil {
		t.Fatal(err)
	}
	file, test := encode(t, m), randomFrames(20, 32, 2)
	i, err := tflite.Open(file, tflite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if !i.Delegated() {
		t.Error("XNNPACK does not take the model")
	}
	if err := i.Close(); err != nil {
		t.Error(err)
	}
	if c := meanCosine(t, embedAll(t, floatModel(t, net, w), test, false), embedAll(t, file, test, false)); c < 0.995 {
		t.Errorf("mean cosine %.4f, want at least 0.995", c)
	}
}

func TestCalibrateRefuses(t *testing.T) {
	net, w := smallNetwork(t)
	if _, err := Calibrate(context.Background(), net, w, nil); err == nil {
		t.Error("calibrated on nothing")
	}
	calibrate(t, net, w, randomFrames(1, 32, 1)) // skips without TensorFlow Lite
	if _, err := Calibrate(context.Background(), net, w, randomFrames(1, 16, 1)); err == nil {
		t.Error("took frames of the wrong size")
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Calibrate(ctx, net, w, randomFrames(1, 32, 1)); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	w["conv0.bias"].Data[0] = float32(math.NaN())
	if _, err := Calibrate(context.Background(), net, w, randomFrames(1, 32, 1)); err == nil {
		t.Error("calibrated weights that are no numbers")
	}
	other := nn.SmallCNN(32, 4)
	if _, _, err := Quantize(other, nn.Weights{}, &Calibration{}, Options{}); err == nil {
		t.Error("took the calibration of another network")
	}
}

// spoilt is the small network with a layer whose weights one huge outlier spoils, on a channel that is always zero.
func spoilt(t *testing.T) (*nn.Network, nn.Weights) {
	t.Helper()
	net, w := smallNetwork(t)
	weight := w["conv2.weight"]
	per, in := len(weight.Data)/32, 16
	for c := range 32 {
		weight.Data[c*per] = 3000
	}
	prev := w["conv1.weight"]
	for k := range len(prev.Data) / in {
		prev.Data[k] = 0
	}
	return net, w
}

// The spoilt layer must show up as the one that adds most noise.
func TestDiagnoseNamesTheWorstLayer(t *testing.T) {
	net, w := spoilt(t)
	cal := calibrate(t, net, w, randomFrames(30, 32, 1))
	errs, err := Diagnose(context.Background(), net, w, cal, Options{}, randomFrames(8, 32, 2))
	if err != nil {
		t.Fatal(err)
	}
	worst := errs[0]
	for _, e := range errs {
		if math.Abs(e.SQNR+20*math.Log10(e.Noise)) > 1e-6 {
			t.Errorf("%s: noise %g of the signal is not %g dB", e.Name, e.Noise, e.SQNR)
		}
		if e.Added > worst.Added {
			worst = e
		}
	}
	if worst.Name != "conv2" {
		t.Errorf("worst layer %+v, want conv2 (all: %+v)", worst, errs)
	}
}
