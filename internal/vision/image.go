package vision

import (
	"image"
	"image/draw"
)

// FromImage converts any image. Transparent parts are laid over white, as product pictures without a background expect.
func FromImage(src image.Image) Frame {
	b := src.Bounds()
	out := NewFrame(b.Dx(), b.Dy())
	if len(out.Pix) == 0 {
		return out
	}
	switch m := src.(type) {
	case *image.YCbCr:
		fromYCbCr(out, m)
	case *image.Gray:
		for y := range out.Height {
			row := out.row(y)
			for x, v := range m.Pix[y*m.Stride : y*m.Stride+out.Width] {
				row[3*x], row[3*x+1], row[3*x+2] = v, v, v
			}
		}
	case *image.RGBA:
		fromRGBA(out, m)
	case *image.NRGBA:
		fromNRGBA(out, m)
	default:
		canvas := image.NewRGBA(b)
		draw.Draw(canvas, b, image.White, image.Point{}, draw.Src)
		draw.Draw(canvas, b, src, b.Min, draw.Over)
		fromRGBA(out, canvas)
	}
	return out
}

// Image returns a copy of the frame as an *image.RGBA, which the standard encoders have fast paths for.
func (f Frame) Image() image.Image { return f.rgba() }

func (f Frame) rgba() *image.RGBA {
	m := image.NewRGBA(image.Rect(0, 0, f.Width, f.Height))
	for i, j := 0, 0; j+3 <= len(f.Pix); i, j = i+4, j+3 {
		d, s := m.Pix[i:i+4:i+4], f.Pix[j:j+3:j+3]
		d[0], d[1], d[2], d[3] = s[0], s[1], s[2], 0xff
	}
	return m
}

func fromRGBA(out Frame, m *image.RGBA) {
	for y := range out.Height {
		row, src := out.row(y), m.Pix[y*m.Stride:]
		for x := range out.Width {
			d, s := row[3*x:3*x+3:3*x+3], src[4*x:4*x+4:4*x+4]
			// Premultiplied alpha: what is missing to 255 is the share of white.
			white := 255 - s[3]
			d[0], d[1], d[2] = s[0]+white, s[1]+white, s[2]+white
		}
	}
}

func fromNRGBA(out Frame, m *image.NRGBA) {
	for y := range out.Height {
		row, src := out.row(y), m.Pix[y*m.Stride:]
		for x := range out.Width {
			d, s := row[3*x:3*x+3:3*x+3], src[4*x:4*x+4:4*x+4]
			if s[3] == 255 {
				d[0], d[1], d[2] = s[0], s[1], s[2]
				continue
			}
			a := uint32(s[3])
			for c := range d {
				d[c] = byte((uint32(s[c])*a + 255*(255-a) + 127) / 255)
			}
		}
	}
}
