package report

import (
	"fmt"
	"strings"

	"xbmedge/internal/htmlpage"
)

// pairsChart is the drawing of how alike same and different things look.
type pairsChart struct {
	htmlpage.Scales
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
	width := int(htmlpage.Step(binStart(first), binStart(last+1), bars)/binWidth + 0.5) // bins of a column
	width = max(width, 1)
	first, last = first/width*width, (last/width+1)*width
	c := pairsChart{Scales: htmlpage.WideDrawing(), SamePairs: htmlpage.Count(same.total), OtherPairs: htmlpage.Count(other.total)}
	x := c.Across(binStart(first), binStart(last))
	type column struct{ same, other float64 }
	var columns []column
	highest := 0.0
	for at := first; at < last; at += width {
		c := column{same.above(at) - same.above(at+width), other.above(at) - other.above(at+width)}
		columns = append(columns, c)
		highest = max(highest, c.same, c.other)
	}
	y := c.Up(0, highest*100).Rounded(5)
	c.X, c.Y = x.Ticks(10), y.Ticks(5)
	outline := func(of func(column) float64) string {
		var path strings.Builder
		fmt.Fprintf(&path, "M%g,%d", htmlpage.Place(x.From), c.Bottom)
		for i, col := range columns {
			from, to := x.At(binStart(first+i*width)), x.At(binStart(first+(i+1)*width))
			fmt.Fprintf(&path, "L%g,%g L%g,%g", htmlpage.Place(from), htmlpage.Place(y.At(100*of(col))), htmlpage.Place(to), htmlpage.Place(y.At(100*of(col))))
		}
		fmt.Fprintf(&path, "L%g,%d Z", htmlpage.Place(x.To), c.Bottom)
		return path.String()
	}
	c.Same, c.Other = outline(func(c column) float64 { return c.same }), outline(func(c column) float64 { return c.other })
	for i, col := range columns {
		low, high := binStart(first+i*width), binStart(first+(i+1)*width)
		c.Bars = append(c.Bars, bar{
			X: htmlpage.Place(x.At(low)), Width: htmlpage.Place(x.At(high) - x.At(low)),
			Text: fmt.Sprintf("cosine %s to %s: %s of the same-class pairs, %s of the different-class pairs",
				htmlpage.Number(low, binWidth*float64(width)), htmlpage.Number(high, binWidth*float64(width)), htmlpage.Percent(col.same), htmlpage.Percent(col.other)),
		})
	}
	for i, rate := range []float64{0.01, 0.001} {
		t, enough := thresholdAt(same, other, rate)
		m := thresholdMark{FalseAccepts: fmt.Sprintf("%g %%", 100*rate), Enough: enough}
		if enough {
			m.X, m.LabelY = htmlpage.Place(min(max(x.At(t.cosine), x.From), x.To)), float64(c.Top+20*i)
			m.Left = m.X > float64(c.Left+c.Right)/2
			m.Cosine, m.Accepted, m.Refused = fmt.Sprintf("%.3f", t.cosine), htmlpage.Percent(t.accepted), htmlpage.Percent(1-t.accepted)
		}
		c.Thresholds = append(c.Thresholds, m)
	}
	return c
}
