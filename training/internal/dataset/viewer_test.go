package dataset

import (
	"math"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"xbmedge/internal/vision"
)

// resize 1 is what the board does; more is scaling to a larger size and cutting out the centre.
func TestViewerResize(t *testing.T) {
	src := scene(200, 150)
	for _, tc := range []struct {
		resize        float64
		width, height int // that the photo is scaled to before its centre of 48×32 is cut out
	}{{1, 48, 36}, {1.5, 72, 54}, {2, 96, 72}} {
		v, err := NewViewer(held{src}, tc.resize, 48, 32)
		if err != nil {
			t.Fatal(err)
		}
		got := make([]float32, 3*48*32)
		if err := v.Fill(0, got); err != nil {
			t.Fatal(err)
		}
		big, err := vision.NewPreprocessor(tc.width, tc.height).Resize(src)
		if err != nil {
			t.Fatal(err)
		}
		left, top := (tc.width-48)/2, (tc.height-32)/2
		worst := 0.0
		for y := range 32 {
			for x := range 48 {
				for c := range 3 {
					want := float64(big.Pix[3*((top+y)*tc.width+left+x)+c])/127.5 - 1
					worst = max(worst, math.Abs(want-float64(got[3*(y*48+x)+c])))
				}
			}
		}
		if worst > 1.01/127.5 { // a step of rounding
			t.Errorf("resize %g: differs from scaling and cutting by %.1f steps of 255", tc.resize, worst*127.5)
		}
	}
	exact := make([]float32, 3*48*32)
	small, err := vision.NewPreprocessor(48, 32).Resize(src)
	if err != nil {
		t.Fatal(err)
	}
	if err := vision.Float32(exact, small); err != nil {
		t.Fatal(err)
	}
	v, err := NewViewer(held{src}, 1, 48, 32)
	if err != nil {
		t.Fatal(err)
	}
	got := make([]float32, len(exact))
	if err := v.Fill(0, got); err != nil || !cmp.Equal(exact, got) {
		t.Errorf("with 1 the input is not the board's (%v)", err)
	}
	for _, resize := range []float64{0, 0.9, math.NaN()} {
		if _, err := NewViewer(held{src}, resize, 48, 32); err == nil {
			t.Errorf("resize %g was taken", resize)
		}
	}
}

// Variations depend on seed, round and photo, not on the goroutine or on what came before.
func TestVariationsRepeat(t *testing.T) {
	photos := held{scene(40, 30), scene(30, 30), scene(33, 44), scene(20, 28)}
	const size = 3 * 16 * 16
	run := func(goroutines int, seed, round uint64) [][]float32 {
		v, err := NewVariations(photos, mixture(), 16, 16, seed)
		if err != nil {
			t.Fatal(err)
		}
		out := make([][]float32, len(photos))
		var group sync.WaitGroup
		for g := range goroutines {
			group.Go(func() {
				for i := g; i < len(photos); i += goroutines {
					out[i] = make([]float32, size)
					if err := v.Fill(round, i, out[i]); err != nil {
						t.Error(err)
					}
				}
			})
		}
		group.Wait()
		return out
	}
	want := run(1, 3, 1)
	for _, goroutines := range []int{2, 4} {
		if diff := cmp.Diff(want, run(goroutines, 3, 1)); diff != "" {
			t.Errorf("%d goroutines: %s", goroutines, diff)
		}
	}
	if cmp.Equal(want, run(1, 3, 2)) || cmp.Equal(want, run(1, 4, 1)) {
		t.Error("another round or seed gives the same variations")
	}
	if _, err := NewVariations(photos, Augment{Flip: 2}, 16, 16, 1); err == nil {
		t.Error("a probability of 2 was taken")
	}
}
