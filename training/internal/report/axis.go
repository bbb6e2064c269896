package report

import (
	"math"
	"strconv"
	"strings"
)

// axis maps values to places in a drawing.
type axis struct {
	low, high float64 // values at its ends
	from, to  float64 // places of its ends, in the drawing's units
}

func (a axis) at(v float64) float64 {
	if a.high == a.low {
		return (a.from + a.to) / 2
	}
	return a.from + (v-a.low)/(a.high-a.low)*(a.to-a.from)
}

// scales are the two axes of a drawing and where they lie, in its own units.
type scales struct {
	X, Y                     []tick
	Width, Height            int
	Left, Right, Top, Bottom int
}

// The sizes of drawings in their own units, which are about pixels: one of several side by side, and one alone.
func smallDrawing() scales {
	return scales{Width: 350, Height: 216, Left: 46, Right: 336, Top: 18, Bottom: 172}
}

func wideDrawing() scales {
	return scales{Width: 760, Height: 320, Left: 46, Right: 740, Top: 20, Bottom: 274}
}

// across and up return axes that fill the drawing.
func (s *scales) across(low, high float64) axis {
	return axis{low: low, high: high, from: float64(s.Left), to: float64(s.Right)}
}

func (s *scales) up(low, high float64) axis {
	return axis{low: low, high: high, from: float64(s.Bottom), to: float64(s.Top)}
}

// tick is a mark of an axis.
type tick struct {
	At    float64
	Label string
}

// step returns the distance of about n ticks over a range: 1, 2 or 5 times a power of ten.
func step(low, high float64, n int) float64 {
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

// rounded returns the axis widened to whole steps of about n ticks.
func (a axis) rounded(n int) axis {
	if a.high == a.low { // one value: some room around it
		room := max(math.Abs(a.high)*0.1, 1e-9)
		a.low, a.high = a.low-room, a.high+room
	}
	s := step(a.low, a.high, n)
	low, high := math.Floor(a.low/s+1e-9)*s, math.Ceil(a.high/s-1e-9)*s
	if !math.IsInf(low, 0) && !math.IsInf(high, 0) {
		a.low, a.high = low, high
	}
	return a
}

// ticks returns about n marks on round values.
func (a axis) ticks(n int) []tick {
	s := step(a.low, a.high, n)
	first := math.Ceil(a.low/s - 1e-9)
	var marks []tick
	for i := range 3 * n { // values too large to differ by a step would make no end
		v := (first + float64(i)) * s
		if v-a.high > s*1e-6 {
			break
		}
		marks = append(marks, tick{At: place(a.at(v)), Label: number(v, s)})
	}
	return marks
}

// number writes a value with the digits that tell it from its neighbours a step away.
func number(v, step float64) string {
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

// place rounds a coordinate to what can be seen.
func place(v float64) float64 { return math.Round(v*10) / 10 }
