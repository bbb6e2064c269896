package report

import (
	"fmt"
	"strings"
)

// pairsChart is the drawing of how alike same and different things look.
type pairsChart struct {
	scales
	Same, Other string // outlines
	Bars        []bar
	Thresholds  []thresholdMark
	SamePairs   string // how many
	OtherPairs  string
}

// bar is the column of one range of cosines.
type bar struct {
	X, Width float64
	Text     string
}

// thresholdMark is a threshold as it is drawn and told.
type thresholdMark struct {
	X, LabelY        float64
	Left             bool // the label stands left of the line
	FalseAccepts     string
	Cosine, Accepted string
	Refused          string
	Enough           bool // false: too few pairs to tell
}

// bars is about how many columns are drawn.
const bars = 90

func newPairsChart(same, other *histogram) pairsChart {
	first, last := bounds(same, other)
	width := int(step(binStart(first), binStart(last+1), bars)/binWidth + 0.5) // bins of a column
	width = max(width, 1)
	first, last = first/width*width, (last/width+1)*width
	c := pairsChart{scales: wideDrawing(), SamePairs: count(same.total), OtherPairs: count(other.total)}
	x := c.across(binStart(first), binStart(last))
	type column struct{ same, other float64 }
	var columns []column
	highest := 0.0
	for at := first; at < last; at += width {
		c := column{same.above(at) - same.above(at+width), other.above(at) - other.above(at+width)}
		columns = append(columns, c)
		highest = max(highest, c.same, c.other)
	}
	y := c.up(0, highest*100).rounded(5)
	c.X, c.Y = x.ticks(10), y.ticks(5)
	outline := func(of func(column) float64) string {
		var path strings.Builder
		fmt.Fprintf(&path, "M%g,%d", place(x.from), c.Bottom)
		for i, col := range columns {
			from, to := x.at(binStart(first+i*width)), x.at(binStart(first+(i+1)*width))
			fmt.Fprintf(&path, "L%g,%g L%g,%g", place(from), place(y.at(100*of(col))), place(to), place(y.at(100*of(col))))
		}
		fmt.Fprintf(&path, "L%g,%d Z", place(x.to), c.Bottom)
		return path.String()
	}
	c.Same, c.Other = outline(func(c column) float64 { return c.same }), outline(func(c column) float64 { return c.other })
	for i, col := range columns {
		low, high := binStart(first+i*width), binStart(first+(i+1)*width)
		c.Bars = append(c.Bars, bar{
			X: place(x.at(low)), Width: place(x.at(high) - x.at(low)),
			Text: fmt.Sprintf("cosine %s to %s: %s of the same-class pairs, %s of the different-class pairs",
				number(low, binWidth*float64(width)), number(high, binWidth*float64(width)), percent(col.same), percent(col.other)),
		})
	}
	for i, rate := range []float64{0.01, 0.001} {
		t, enough := thresholdAt(same, other, rate)
		m := thresholdMark{FalseAccepts: fmt.Sprintf("%g %%", 100*rate), Enough: enough}
		if enough {
			m.X, m.LabelY = place(min(max(x.at(t.cosine), x.from), x.to)), float64(c.Top+20*i)
			m.Left = m.X > float64(c.Left+c.Right)/2
			m.Cosine, m.Accepted, m.Refused = fmt.Sprintf("%.3f", t.cosine), percent(t.accepted), percent(1-t.accepted)
		}
		c.Thresholds = append(c.Thresholds, m)
	}
	return c
}

// percent writes a share, with more digits where it is small or nearly all.
func percent(share float64) string {
	switch {
	case share == 0 || share == 1:
		return fmt.Sprintf("%.0f %%", 100*share)
	case share < 0.01 || share > 0.99:
		return fmt.Sprintf("%.2f %%", 100*share)
	}
	return fmt.Sprintf("%.1f %%", 100*share)
}

// count writes a number with its thousands apart.
func count(n int) string {
	text := fmt.Sprint(n)
	for at := len(text) - 3; at > 0; at -= 3 {
		text = text[:at] + "," + text[at:]
	}
	return text
}
