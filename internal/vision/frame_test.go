package vision

import (
	"image"
	"image/color"
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func rect(x0, y0, x1, y1 int) image.Rectangle { return image.Rect(x0, y0, x1, y1) }

func TestInputs(t *testing.T) {
	f := Frame{Width: 2, Height: 1, Pix: []byte{0, 1, 127, 128, 254, 255}}
	i8, f32, u8 := make([]int8, 6), make([]float32, 6), make([]uint8, 6)
	if err := Int8(i8, f); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]int8{-128, -127, -1, 0, 126, 127}, i8); diff != "" {
		t.Error(diff)
	}
	if err := Float32(f32, f); err != nil {
		t.Fatal(err)
	}
	if f32[0] != -1 || f32[5] != 1 || f32[2] >= 0 || f32[3] <= 0 || math.Abs(float64(f32[2]+1.0/255)) > 1e-6 || math.Abs(float64(f32[3]-1.0/255)) > 1e-6 {
		t.Errorf("float32 input %v", f32)
	}
	if err := Uint8(u8, f); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(f.Pix, u8); diff != "" {
		t.Error(diff)
	}
	for name, err := range map[string]error{
		"int8": Int8(i8[:5], f), "float32": Float32(nil, f), "uint8": Uint8(make([]byte, 7), f),
	} {
		if err == nil {
			t.Errorf("%s: a wrong length was taken", name)
		}
	}
}

func TestCrop(t *testing.T) {
	f := formula(5, 4)
	got, err := f.Crop(rect(1, 2, 3, 4))
	if err != nil {
		t.Fatal(err)
	}
	want := Frame{Width: 2, Height: 2, Pix: append(append([]byte(nil), f.Pix[33:39]...), f.Pix[48:54]...)}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	for _, r := range []image.Rectangle{rect(0, 0, 6, 4), rect(-1, 0, 2, 2), rect(2, 2, 2, 3), {}} {
		if _, err := f.Crop(r); err == nil {
			t.Errorf("crop %v was taken", r)
		}
	}
}

// Every fast path must agree with the plain one, which asks for pixel after pixel.
func TestFromImage(t *testing.T) {
	bounds := rect(3, 5, 20, 16) // an odd corner: chroma samples are counted from 0, 0
	images := map[string]image.Image{}
	gray, rgba, nrgba := image.NewGray(bounds), image.NewRGBA(bounds), image.NewNRGBA(bounds)
	deep, palette := image.NewRGBA64(bounds), image.NewPaletted(bounds, color.Palette{color.Black, color.White})
	for y := bounds.Min.Y; y < bounds.Max.Y; y++ {
		for x := bounds.Min.X; x < bounds.Max.X; x++ {
			c := color.RGBA{byte(11 * x), byte(7 * y), byte(5 * x * y), 255}
			gray.Set(x, y, c)
			rgba.Set(x, y, c)
			nrgba.Set(x, y, c)
			deep.Set(x, y, c)
			palette.SetColorIndex(x, y, uint8((x+y)%2))
		}
	}
	images["gray"], images["rgba"], images["nrgba"], images["rgba64"], images["palette"] = gray, rgba, nrgba, deep, palette
	images["part of an rgba"] = rgba.SubImage(rect(6, 7, 10, 12))
	images["part of a gray"] = gray.SubImage(rect(6, 7, 10, 12))

	for name, m := range images {
		want := NewFrame(m.Bounds().Dx(), m.Bounds().Dy())
		i := 0
		for y := m.Bounds().Min.Y; y < m.Bounds().Max.Y; y++ {
			for x := m.Bounds().Min.X; x < m.Bounds().Max.X; x++ {
				c := color.RGBAModel.Convert(m.At(x, y)).(color.RGBA)
				want.Pix[i], want.Pix[i+1], want.Pix[i+2] = c.R, c.G, c.B
				i += 3
			}
		}
		got := FromImage(m)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
		if diff := cmp.Diff(got, FromImage(got.Image())); diff != "" {
			t.Errorf("%s, there and back: %s", name, diff)
		}
	}
}

func TestTransparentBecomesWhite(t *testing.T) {
	bounds := rect(0, 0, 3, 1)
	colours := []color.NRGBA{{10, 20, 30, 0}, {10, 20, 30, 255}, {0, 0, 0, 128}}
	nrgba, rgba, deep := image.NewNRGBA(bounds), image.NewRGBA(bounds), image.NewNRGBA64(bounds)
	for x, c := range colours {
		nrgba.Set(x, 0, c)
		rgba.Set(x, 0, c)
		deep.Set(x, 0, c)
	}
	want := Frame{Width: 3, Height: 1, Pix: []byte{255, 255, 255, 10, 20, 30, 127, 127, 127}}
	for name, m := range map[string]image.Image{"nrgba": nrgba, "rgba": rgba, "nrgba64": deep} {
		if diff := cmp.Diff(want, FromImage(m)); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}
