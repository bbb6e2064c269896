package vision

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The vector instructions must give the bytes of the plain loops, whatever the reduction and wherever the box.
func TestVectorUnitGivesTheSameBytes(t *testing.T) {
	if !vectorUnit() {
		t.Skip("built without GOEXPERIMENT=simd, or the processor has no AVX2")
	}
	for n, tc := range []struct {
		width, height, ow, oh int
		box                   Box
	}{
		{640, 480, 224, 224, Box{80, 0, 560, 480}},
		{1920, 1080, 224, 224, Box{420, 0, 1500, 1080}},
		{640, 360, 96, 96, Box{0.25, 0.5, 639.75, 359.5}},
		{31, 47, 224, 224, Box{0, 0, 31, 47}},
		{224, 224, 223, 225, Box{0, 0, 224, 224}},
		{5, 4, 6, 8, Box{1, 0, 5, 4}},
		{300, 1, 7, 1, Box{0, 0, 300, 1}},
		{1, 1, 3, 2, Box{0, 0, 1, 1}},
	} {
		t.Run(fmt.Sprintf("%dx%d to %dx%d", tc.width, tc.height, tc.ow, tc.oh), func(t *testing.T) {
			f := noise(tc.width, tc.height, uint64(n))
			for i := range f.Pix[:len(f.Pix)/2] { // saturated parts, too
				f.Pix[i] |= 0xf0
			}
			p := NewPreprocessor(tc.ow, tc.oh)
			got, err := p.ResizeBox(f, tc.box)
			if err != nil {
				t.Fatal(err)
			}
			h, v := &p.horizontal, &p.vertical
			first, last := v.reach()
			stride := 3 * tc.ow
			between, want, sums := make([]byte, stride*(last-first)), NewFrame(tc.ow, tc.oh), make([]int32, stride)
			for y := first; y < last; y++ {
				rowPlain(h, between[(y-first)*stride:(y-first+1)*stride], f.row(y))
			}
			for y := range tc.oh {
				from, weights := v.taps(y)
				columnPlain(want.row(y), between[(from-first)*stride:], weights, sums)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}
