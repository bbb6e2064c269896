package htmlpage

import (
	"math"
	"strconv"
	"strings"
)

// Axis maps values to places in a drawing.
type Axis struct {
	Low, High float64 // values at its ends
	From, To  float64 // places of its ends, in the drawing's units
}

// At returns the place of a value.
func (a Axis) At(v float64) float64 {
	if a.High == a.Low {
		return (a.From + a.To) / 2
	}
	return a.From + (v-a.Low)/(a.High-a.Low)*(a.To-a.From)
}

// Scales are the two axes of a drawing and where they lie, in its own units.
type Scales struct {
	X, Y                     []Tick
	Width, Height            int
	Left, Right, Top, Bottom int
}

// SmallDrawing is the size of one of several drawings side by side, in its own units, which are about pixels.
func SmallDrawing() Scales {
	return Scales{Width: 350, Height: 216, Left: 46, Right: 336, Top: 18, Bottom: 172}
}

// WideDrawing is one alone.
func WideDrawing() Scales {
	return Scales{Width: 760, Height: 320, Left: 46, Right: 740, Top: 20, Bottom: 274}
}

// Across returns an axis that fills the drawing from left to right.
func (s *Scales) Across(low, high float64) Axis {
	return Axis{Low: low, High: high, From: float64(s.Left), To: float64(s.Right)}
}

// Up returns an axis that fills the drawing from bottom to top.
func (s *Scales) Up(low, high float64) Axis {
	return Axis{Low: low, High: high, From: float64(s.Bottom), To: float64(s.Top)}
}

// Tick is a mark of an axis.
type Tick struct {
	At    float64
	Label string
}

// Step returns the distance of about n ticks over a range: 1, 2 or 5 times a power of ten.
func Step(low, high float64, n int) float64 {
	rough := (high - low) / float64(n)
	if !(rough > 0) || math.IsInf(rough, 0) {
		return 1
	}
	power := math.Pow(10, math.Floor(math.Log10(rough)))
	for _, m := range []float64{1, 2, 5} {
		if m*power >= rough*0.999 {
			return m * power
		}
	}
	return 10 * power
}

// Rounded returns the axis widened to whole steps of about n ticks.
func (a Axis) Rounded(n int) Axis {
	if a.High == a.Low { // one value: some room around it
		room := max(math.Abs(a.High)*0.1, 1e-9)
		a.Low, a.High = a.Low-room, a.High+room
	}
	s := Step(a.Low, a.High, n)
	low, high := math.Floor(a.Low/s+1e-9)*s, math.Ceil(a.High/s-1e-9)*s
	if !math.IsInf(low, 0) && !math.IsInf(high, 0) {
		a.Low, a.High = low, high
	}
	return a
}

// Ticks returns about n marks on round values.
func (a Axis) Ticks(n int) []Tick {
	s := Step(a.Low, a.High, n)
	first := math.Ceil(a.Low/s - 1e-9)
	var marks []Tick
	for i := range 3 * n { // values too large to differ by a step would make no end
		v := (first + float64(i)) * s
		if v-a.High > s*1e-6 {
			break
		}
		marks = append(marks, Tick{At: Place(a.At(v)), Label: Number(v, s)})
	}
	return marks
}

// Number writes a value with the digits that tell it from its neighbours a step away.
func Number(v, step float64) string {
	if math.Abs(v) < step/1e3 { // rounding, and the minus of -0
		v = 0
	}
	if v != 0 && (step < 1e-3 || math.Abs(v) >= 1e5) { // 2e-4
		return strings.NewReplacer("e-0", "e-", "e+0", "e", "e+", "e").Replace(strconv.FormatFloat(v, 'e', exponentDigits(v, step), 64))
	}
	if v == 0 {
		return "0"
	}
	digits := max(0, -int(math.Floor(math.Log10(step)+1e-9)))
	return strconv.FormatFloat(v, 'f', digits, 64)
}

// exponentDigits is how many digits after the point tell v from its neighbours a step away, in the form 1.2e3.
func exponentDigits(v, step float64) int {
	digits := math.Floor(math.Log10(math.Abs(v))+1e-9) - math.Floor(math.Log10(step)+1e-9)
	return int(min(max(0, digits), 3)) // there is no room for more
}

// Place rounds a coordinate to what can be seen.
func Place(v float64) float64 { return math.Round(v*10) / 10 }
