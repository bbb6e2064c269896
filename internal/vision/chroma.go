package vision

import "image"

// fromYCbCr converts what JPEG decodes to. Where chroma has half the resolution it is interpolated with libjpeg's
// triangle filter ("fancy upsampling"): OpenCV, Pillow and the pictures a pretrained network learned from all went that
// way, and the standard library's repeated samples shift a network's features by several percent.
func fromYCbCr(out Frame, m *image.YCbCr) {
	b := m.Rect
	across, down := chromaScale(m.SubsampleRatio)
	cb := chromaPlane{
		pix: m.Cb, stride: m.CStride, across: across, down: down,
		cols: (b.Dx() + across - 1) / across, rows: (b.Dy() + down - 1) / down,
	}
	cr := cb
	cr.pix = m.Cr
	cb.init(out.Width)
	cr.init(out.Width)
	for y := range out.Height {
		row := out.row(y)
		luma := m.Y[m.YOffset(b.Min.X, b.Min.Y+y):]
		blue, red := cb.row(y), cr.row(y)
		for x := range out.Width {
			d := row[3*x : 3*x+3 : 3*x+3]
			d[0], d[1], d[2] = rgb(luma[x], blue[x], red[x])
		}
	}
}

// rgb is the conversion of the JFIF standard (ITU-T T.871), rounded to nearest as libjpeg does.
func rgb(luma, blue, red byte) (r, g, b byte) {
	const half, bits = 1 << 15, 16 // 16 bits of fraction
	y, cb, cr := int32(luma), int32(blue)-128, int32(red)-128
	return clamp(y + (91881*cr+half)>>bits), clamp(y + (half-22554*cb-46802*cr)>>bits), clamp(y + (116130*cb+half)>>bits)
}

func clamp(v int32) byte { return byte(max(0, min(v, 255))) }

// chromaScale returns how many luma columns and rows one chroma sample stands for.
func chromaScale(ratio image.YCbCrSubsampleRatio) (across, down int) {
	switch ratio {
	case image.YCbCrSubsampleRatio422:
		return 2, 1
	case image.YCbCrSubsampleRatio420:
		return 2, 2
	case image.YCbCrSubsampleRatio440:
		return 1, 2
	case image.YCbCrSubsampleRatio411:
		return 4, 1
	case image.YCbCrSubsampleRatio410:
		return 4, 2
	}
	return 1, 1
}

// chromaPlane yields one chroma plane at the luma's resolution, row by row.
type chromaPlane struct {
	pix          []byte
	stride       int
	across, down int // luma columns and rows a sample stands for
	cols, rows   int // samples that belong to the picture
	sums         []int
	out          []byte
}

func (p *chromaPlane) init(width int) {
	p.sums = make([]int, p.cols)
	p.out = make([]byte, width+1) // one more: an odd width still gets whole pairs
}

// row returns the samples of luma row y; the slice is valid until the next call.
func (p *chromaPlane) row(y int) []byte {
	near := y / p.down
	line := p.line(near)
	if p.across != 2 { // rare layouts: repeated samples, as libjpeg has them
		for x := range p.out[:len(p.out)-1] {
			p.out[x] = line[x/p.across]
		}
		return p.out
	}
	if p.down == 1 {
		for i, v := range line {
			p.sums[i] = 4 * int(v)
		}
		p.spread(4, 8) // weights 3 and 1 of 4, in units of 1/16
		return p.out
	}
	far := p.line(min(max(near-1+y%2*2, 0), p.rows-1))
	for i := range line {
		p.sums[i] = 3*int(line[i]) + int(far[i])
	}
	p.spread(8, 7)
	return p.out
}

func (p *chromaPlane) line(i int) []byte { return p.pix[i*p.stride : i*p.stride+p.cols] }

// spread writes two outputs for each of the sums, which are in units of a quarter: three parts of the sum itself and
// one of its neighbour on that side. The two rounding terms, in sixteenths, alternate so that there is no bias.
func (p *chromaPlane) spread(left, right int) {
	last := len(p.sums) - 1
	for i, s := range p.sums {
		p.out[min(2*i, len(p.out)-1)] = byte((3*s + p.sums[max(i-1, 0)] + left) >> 4)
		p.out[min(2*i+1, len(p.out)-1)] = byte((3*s + p.sums[min(i+1, last)] + right) >> 4)
	}
}
