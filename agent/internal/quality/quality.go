// Package quality says whether a picture is good enough to learn a thing from: large enough, in focus, neither dark nor
// blown out, and with something in it.
package quality

import (
	"fmt"

	"xbmedge/internal/vision"
)

// The limits are on 8-bit brightness of the picture at the model's input size.
const (
	leastFocus   = 12  // variance of the Laplacian
	leastBright  = 25  // mean
	mostBright   = 245 // mean
	leastSpread  = 8   // standard deviation: below, there is nothing to see
	mostClipped  = 0.6 // share of pixels that are all black or all white at once
	leastOfInput = 0.5 // of the input's side that a picture's shorter side must have
)

// Measure is what was measured of a picture.
type Measure struct {
	Focus   float64 // variance of the Laplacian (Pech-Pacheco et al., ICPR 2000)
	Mean    float64
	Spread  float64
	Clipped float64
}

// CheckSize returns an error for a picture too small for a model's input.
func CheckSize(f vision.Frame, width, height int) error {
	if side, least := min(f.Width, f.Height), int(leastOfInput*float64(min(width, height))); side < least {
		return fmt.Errorf("too small: %d×%d pixels, the shorter side must have %d; come nearer or take a larger picture", f.Width, f.Height, least)
	}
	return nil
}

// Check returns an error that says what is wrong with a picture and what to do about it. The picture has the size of the
// model's input: detail that is finer than the model sees does not count.
func Check(f vision.Frame) error {
	m := Look(f)
	switch {
	case m.Mean < leastBright:
		return fmt.Errorf("too dark: mean brightness %.0f of 255, want %d; give it more light", m.Mean, leastBright)
	case m.Mean > mostBright && m.Spread < 3*leastSpread:
		return fmt.Errorf("too bright: mean brightness %.0f of 255, want at most %d; take light away", m.Mean, mostBright)
	case m.Clipped > mostClipped && m.Spread < 3*leastSpread:
		return fmt.Errorf("badly exposed: %.0f %% of it is black or white", 100*m.Clipped)
	case m.Spread < leastSpread:
		return fmt.Errorf("nothing in it: brightness varies by %.1f, want %d; fill the middle of the picture with the thing", m.Spread, leastSpread)
	case m.Focus < leastFocus:
		return fmt.Errorf("blurred: sharpness %.1f, want %d; hold the camera still and let it focus", m.Focus, leastFocus)
	}
	return nil
}

// Look measures a picture.
func Look(f vision.Frame) Measure {
	if f.Validate() != nil || f.Width < 3 || f.Height < 3 {
		return Measure{}
	}
	luma := make([]float64, f.Width*f.Height)
	var m Measure
	var squares float64
	for i := range luma {
		r, g, b := f.Pix[3*i], f.Pix[3*i+1], f.Pix[3*i+2]
		y := (float64(r) + 2*float64(g) + float64(b)) / 4
		luma[i] = y
		m.Mean += y
		squares += y * y
		if y <= 2 || y >= 253 {
			m.Clipped++
		}
	}
	n := float64(len(luma))
	m.Mean /= n
	m.Clipped /= n
	m.Spread = sqrt(squares/n - m.Mean*m.Mean)
	m.Focus = focus(luma, f.Width, f.Height)
	return m
}
