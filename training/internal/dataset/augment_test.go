package dataset

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"xbmedge/internal/vision"
)

// scene is a smooth picture with a bright corner, so that turning, mirroring and covering all show.
func scene(width, height int) vision.Frame {
	f := vision.NewFrame(width, height)
	for y := range height {
		for x := range width {
			p := f.Pix[3*(y*width+x):]
			p[0], p[1], p[2] = byte(x*255/width), byte(y*255/height), 60
		}
	}
	return f
}

// held is a Source of frames in memory.
type held []vision.Frame

func (h held) Len() int                                     { return len(h) }
func (h held) Frame(i int, _ *[]byte) (vision.Frame, error) { return h[i], nil }

func apply(t *testing.T, a Augment, src vision.Frame, seed uint64) vision.Frame {
	t.Helper()
	g, err := NewAugmenter(a, 48, 32)
	if err != nil {
		t.Fatal(err)
	}
	var dst vision.Frame
	if err := g.Apply(Rand(1, seed, 0), src, &dst); err != nil {
		t.Fatal(err)
	}
	return dst
}

func TestNoAugmentIsWhatTheBoardDoes(t *testing.T) {
	src := scene(100, 90)
	want, err := vision.NewPreprocessor(48, 32).Resize(src)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, apply(t, Augment{}, src, 1)); diff != "" {
		t.Error(diff)
	}
}

// distance is the mean absolute difference of all bytes.
func distance(a, b vision.Frame) float64 {
	sum := 0
	for i := range a.Pix {
		d := int(a.Pix[i]) - int(b.Pix[i])
		sum += max(d, -d)
	}
	return float64(sum) / float64(len(a.Pix))
}

// Each variation alone changes the picture, by about as much as it should, and leaves the source alone.
func TestEachVariation(t *testing.T) {
	src := scene(100, 90)
	plain := apply(t, Augment{}, src, 1)
	for name, tc := range map[string]struct {
		augment   Augment
		low, high float64
	}{
		"crop":       {Augment{CropScaleMin: 0.2, CropScaleMax: 0.5, CropAspect: 1.3}, 5, 80},
		"flip":       {Augment{Flip: 1}, 20, 80},
		"warp":       {Augment{Warp: 1, WarpDegrees: 25, WarpTilt: 0.1}, 1, 40},
		"brightness": {Augment{Jitter: 1, Brightness: 0.5}, 2, 80},
		"contrast":   {Augment{Jitter: 1, Contrast: 0.5}, 2, 80},
		"saturation": {Augment{Jitter: 1, Saturation: 0.5}, 1, 60},
		"hue":        {Augment{Jitter: 1, Hue: 40}, 2, 80},
		"gray":       {Augment{Gray: 1}, 10, 80},
		"blur":       {Augment{Blur: 1}, 0.02, 6},
		"noise":      {Augment{Noise: 1, NoiseSigma: 20}, 0.5, 20},
		"erase":      {Augment{Erase: 1, EraseScaleMax: 0.5}, 1, 60},
		"erase most": {Augment{Erase: 1, EraseScaleMin: 0.9, EraseScaleMax: 1}, 20, 120},
	} {
		before := append([]byte(nil), src.Pix...)
		sum := 0.0
		const n = 20
		for seed := range uint64(n) {
			sum += distance(plain, apply(t, tc.augment, src, seed))
		}
		if mean := sum / n; mean < tc.low || mean > tc.high {
			t.Errorf("%s: mean change %.2f, want %v to %v", name, mean, tc.low, tc.high)
		}
		if diff := cmp.Diff(before, src.Pix); diff != "" {
			t.Errorf("%s: the source was changed", name)
		}
	}
}

func TestMirrorTwiceIsNothing(t *testing.T) {
	f := scene(7, 3)
	want := append([]byte(nil), f.Pix...)
	mirror(f)
	if f.Pix[0] != want[3*6] || f.Pix[1] != want[3*6+1] {
		t.Error("the right edge did not come to the left, or its channels were swapped")
	}
	mirror(f)
	if diff := cmp.Diff(want, f.Pix); diff != "" {
		t.Error(diff)
	}
}

func TestColourMatrices(t *testing.T) {
	for name, m := range map[string]matrix{"saturation 1": saturation(1), "hue 0": hue(0), "hue 360": hue(360)} {
		f := scene(16, 16)
		want := append([]byte(nil), f.Pix...)
		recolour(f, m, 0)
		for i := range want {
			if d := int(f.Pix[i]) - int(want[i]); d < -1 || d > 1 {
				t.Fatalf("%s: byte %d became %d, should stay %d", name, i, f.Pix[i], want[i])
			}
		}
	}
	// A turn of the hue leaves gray gray, and no saturation makes it so.
	f := vision.Frame{Width: 1, Height: 1, Pix: []byte{200, 30, 90}}
	recolour(f, saturation(0), 0)
	recolour(f, hue(77), 0)
	if f.Pix[0] != 88 || max(f.Pix[0], f.Pix[1], f.Pix[2])-min(f.Pix[0], f.Pix[1], f.Pix[2]) > 1 {
		t.Errorf("gray of 200, 30, 90 is %v, want 88 three times", f.Pix)
	}
}

func TestAugmentValidate(t *testing.T) {
	if err := mixture().Validate(); err != nil {
		t.Errorf("default: %v", err)
	}
	err := Augment{CropScaleMin: 0.9, CropScaleMax: 0.5, Flip: 2, Hue: -1, CropAspect: 0.5}.Validate()
	for _, name := range []string{"crop_scale_min", "flip", "hue", "crop_aspect"} {
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%v does not name %s", err, name)
		}
	}
	if _, err := NewAugmenter(Augment{}, 0, 3); err == nil {
		t.Error("size 0 was taken")
	}
}

func TestBatcherDoesNotDependOnWorkers(t *testing.T) {
	frames := held{scene(60, 50), scene(40, 90), scene(33, 33)}
	indices := []int{2, 0, 1, 1, 0, 2, 2}
	fill := func(workers int, step uint64) []float32 {
		b, err := NewBatcher(frames, mixture(), 24, 24, workers, 9)
		if err != nil {
			t.Fatal(err)
		}
		dst := make([]float32, len(indices)*3*24*24)
		for s := range step + 1 { // the steps before must not matter either
			if err := b.Fill(s, indices, dst); err != nil {
				t.Fatal(err)
			}
		}
		return dst
	}
	want := fill(1, 3)
	for _, workers := range []int{0, 2, 5, 20} {
		if diff := cmp.Diff(want, fill(workers, 3)); diff != "" {
			t.Fatalf("%d workers: different batch", workers)
		}
	}
	if cmp.Equal(want, fill(1, 4)) {
		t.Error("the next step varies the photos in the same way")
	}
	size := len(want) / len(indices)
	if cmp.Equal(want[2*size:3*size], want[3*size:4*size]) {
		t.Error("a photo that is in the batch twice is varied in the same way")
	}
	b, err := NewBatcher(frames, Augment{}, 24, 24, 2, 9)
	if err != nil {
		t.Fatal(err)
	}
	if b.Fill(0, []int{3}, make([]float32, 3*24*24)) == nil || b.Fill(0, []int{0}, make([]float32, 5)) == nil {
		t.Error("a photo that does not exist or a wrong length was taken")
	}
}

// Odd sizes and extreme settings, under the eye of the bounds checks.
func TestApplyNeverFails(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	wild := Augment{
		CropScaleMin: 0.01, CropScaleMax: 1, CropAspect: 4, Flip: 0.5, Warp: 1, WarpDegrees: 180, WarpTilt: 0.4,
		Jitter: 1, Brightness: 1, Contrast: 1, Saturation: 1, Hue: 180, Gray: 0.5, Blur: 1, Noise: 1, NoiseSigma: 128,
		Erase: 1, EraseScaleMax: 1,
	}
	for range 300 {
		g, err := NewAugmenter(wild, 1+rng.IntN(20), 1+rng.IntN(20))
		if err != nil {
			t.Fatal(err)
		}
		var dst vision.Frame
		if err := g.Apply(rng, scene(1+rng.IntN(40), 1+rng.IntN(40)), &dst); err != nil {
			t.Fatal(err)
		}
	}
}

func BenchmarkFill(b *testing.B) {
	frames := held{scene(96, 96), scene(128, 96)}
	batcher, err := NewBatcher(frames, mixture(), 64, 64, 1, 1)
	if err != nil {
		b.Fatal(err)
	}
	indices, dst := make([]int, 32), make([]float32, 32*3*64*64)
	for i := range indices {
		indices[i] = i % 2
	}
	step := uint64(0)
	for b.Loop() {
		if err := batcher.Fill(step, indices, dst); err != nil {
			b.Fatal(err)
		}
		step++
	}
	b.ReportMetric(float64(b.N*len(indices))/b.Elapsed().Seconds(), "photos/s")
}

// mixture uses most kinds of variation at once.
func mixture() Augment {
	return Augment{
		CropScaleMin: 0.5, CropScaleMax: 1, CropAspect: 1.2,
		Warp: 0.5, WarpDegrees: 15, WarpTilt: 0.08,
		Jitter: 0.8, Brightness: 0.3, Contrast: 0.3, Saturation: 0.3, Hue: 10, Gray: 0.05,
		Blur: 0.15, Noise: 0.25, NoiseSigma: 8,
		Erase: 0.25, EraseScaleMax: 0.15,
	}
}
