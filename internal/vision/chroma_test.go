package vision

import (
	"image"
	"math"
	"testing"
)

// TestChromaIsInterpolated holds the chroma planes against linear interpolation between the samples' centres, clamped
// at the border. Repeated samples would be off by up to 96 here.
func TestChromaIsInterpolated(t *testing.T) {
	for _, ratio := range []image.YCbCrSubsampleRatio{image.YCbCrSubsampleRatio444, image.YCbCrSubsampleRatio422, image.YCbCrSubsampleRatio420} {
		for _, size := range []image.Point{{16, 12}, {15, 11}, {1, 1}, {2, 3}} {
			m := image.NewYCbCr(image.Rectangle{Max: size}, ratio)
			for i := range m.Cb {
				m.Cb[i], m.Cr[i] = byte(i*i*17+i), byte(i*i*13+i*5)
			}
			across, down := chromaScale(ratio)
			cols, rows := (size.X+across-1)/across, (size.Y+down-1)/down
			plane := chromaPlane{pix: m.Cb, stride: m.CStride, across: across, down: down, cols: cols, rows: rows}
			plane.init(size.X)
			at := func(x, y int) float64 {
				return float64(m.Cb[max(0, min(y, rows-1))*m.CStride+max(0, min(x, cols-1))])
			}
			for y := range size.Y {
				got := plane.row(y)
				for x := range size.X {
					cx, cy := (float64(x)+0.5)/float64(across)-0.5, (float64(y)+0.5)/float64(down)-0.5
					x0, y0 := math.Floor(cx), math.Floor(cy)
					fx, fy := cx-x0, cy-y0
					ix, iy := int(x0), int(y0)
					want := (1-fy)*((1-fx)*at(ix, iy)+fx*at(ix+1, iy)) + fy*((1-fx)*at(ix, iy+1)+fx*at(ix+1, iy+1))
					if math.Abs(float64(got[x])-want) > 0.5 {
						t.Fatalf("%v %v: chroma at %d,%d is %d, want %.2f", ratio, size, x, y, got[x], want)
					}
				}
			}
		}
	}
}

func TestColourConversionIsRounded(t *testing.T) {
	for _, c := range [][3]byte{{0, 128, 128}, {255, 128, 128}, {76, 85, 255}, {150, 44, 21}, {29, 255, 107}, {10, 200, 30}, {128, 1, 255}} {
		y, cb, cr := float64(c[0]), float64(c[1])-128, float64(c[2])-128
		want := [3]float64{y + 1.402*cr, y - 0.344136*cb - 0.714136*cr, y + 1.772*cb}
		r, g, b := rgb(c[0], c[1], c[2])
		for i, got := range []byte{r, g, b} {
			if w := math.Round(max(0, min(want[i], 255))); float64(got) != w {
				t.Errorf("YCbCr %v, channel %d: %d, want %g", c, i, got, w)
			}
		}
	}
}
