package pipeline

import (
	"fmt"

	"xbmedge/internal/vision"
)

// GateConfig says which pictures are not worth the model's time. 0 leaves a gate open.
type GateConfig struct {
	Blur   float64 // least sharpness: mean difference of a pixel from its four neighbours, of 255
	Size   int     // least shorter side of a region, in pixels
	Dark   float64 // least mean brightness, of 255
	Bright float64 // greatest mean brightness
}

// Check returns nil for settings that can be used.
func (c GateConfig) Check() error {
	if !(c.Blur >= 0 && c.Blur <= 255) || c.Size < 0 || !(c.Dark >= 0 && c.Dark <= 255) || !(c.Bright >= 0 && c.Bright <= 255) {
		return fmt.Errorf("blur %v, size %d, dark %v, bright %v; want 0 (off) or more, brightness and sharpness up to 255", c.Blur, c.Size, c.Dark, c.Bright)
	}
	if c.Bright > 0 && c.Bright <= c.Dark {
		return fmt.Errorf("dark %v, bright %v; want bright above dark", c.Dark, c.Bright)
	}
	return nil
}

// The gates' names, for counting and people.
const (
	gateBlur     = "blur"
	gateSize     = "size"
	gateExposure = "exposure"
)

// closed returns the gate that a picture does not pass, "" for none.
func (c GateConfig) closed(size int, sharpness, brightness float64) string {
	switch {
	case size < c.Size:
		return gateSize
	case brightness < c.Dark || c.Bright > 0 && brightness > c.Bright:
		return gateExposure
	case sharpness < c.Blur:
		return gateBlur
	}
	return ""
}

// measure returns how sharp and how bright a picture is, see GateConfig, by looking at a grid of its pixels. A picture of
// fewer than 3 pixels a side has no sharpness.
func measure(f vision.Frame) (sharpness, brightness float64) {
	const across, down = 64, 48
	if f.Width < 3 || f.Height < 3 {
		return 0, float64(luma(f.Pix, 0)) / 4
	}
	sharp, bright := 0, 0
	stride := 3 * f.Width
	for sy := range down {
		y := 1 + (2*sy+1)*(f.Height-2)/(2*down)
		for sx := range across {
			at := y*stride + 3*(1+(2*sx+1)*(f.Width-2)/(2*across))
			here := luma(f.Pix, at)
			edge := 4*here - luma(f.Pix, at-3) - luma(f.Pix, at+3) - luma(f.Pix, at-stride) - luma(f.Pix, at+stride)
			sharp += max(edge, -edge)
			bright += here
		}
	}
	const scale = 4 * across * down // luma is fourfold
	return float64(sharp) / (4 * scale), float64(bright) / scale
}

// luma returns four times the brightness of the pixel whose bytes begin at i.
func luma(pix []byte, i int) int {
	p := pix[i : i+3 : i+3]
	return int(p[0]) + 2*int(p[1]) + int(p[2])
}
