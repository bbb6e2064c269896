package report

import (
	"fmt"

	"xbmedge/internal/htmlpage"
)

// cosineChart is the histogram of the cosines between float and int8.
type cosineChart struct {
	htmlpage.Scales
	Mean, P1, Min string
	Columns       []column
}

type column struct {
	X, Y, Width, Height float64
	Text                string
}

// newCosineChart returns nil where there are no cosines.
func newCosineChart(r *Report) *cosineChart {
	s := r.Cosines
	if s == nil || r.CosineMean == nil {
		return nil
	}
	c := &cosineChart{Scales: htmlpage.WideDrawing()}
	c.Mean, c.P1, c.Min = fmt.Sprintf("%.4f", *r.CosineMean), fmt.Sprintf("%.4f", *r.CosineP1), fmt.Sprintf("%.4f", *r.CosineMin)
	highest := 0
	for _, n := range s.Counts {
		highest = max(highest, n)
	}
	x, y := c.Across(s.From, s.To), c.Up(0, float64(highest)).Rounded(5)
	c.X, c.Y = x.Ticks(8), y.Ticks(5)
	width := (s.To - s.From) / float64(len(s.Counts))
	for i, n := range s.Counts {
		if n == 0 {
			continue
		}
		low, high := s.From+float64(i)*width, s.From+float64(i+1)*width
		top := htmlpage.Place(y.At(float64(n)))
		c.Columns = append(c.Columns, column{
			X: htmlpage.Place(x.At(low)), Y: top, Width: htmlpage.Place(x.At(high) - x.At(low)),
			Height: htmlpage.Place(float64(c.Bottom) - top), Text: fmt.Sprintf("%.4f to %.4f: %d photos", low, high, n),
		})
	}
	return c
}

type namedProfile struct {
	Name string
	*Profile
}

type costRow struct {
	Name   string
	Values []string
}

// costs puts the profiles side by side.
func (p *page) costs() {
	for _, n := range []namedProfile{{"float", p.Float}, {"int8", p.Int8}} {
		if n.Profile != nil {
			p.Profiles = append(p.Profiles, n)
		}
	}
	row := func(name string, value func(*Profile) string) {
		r := costRow{Name: name}
		for _, n := range p.Profiles {
			r.Values = append(r.Values, value(n.Profile))
		}
		p.Costs = append(p.Costs, r)
	}
	if len(p.Profiles) == 0 {
		return
	}
	for k, t := range p.Profiles[0].Timings {
		row(fmt.Sprintf("a frame on %s", threads(t.Threads)), func(f *Profile) string {
			if k >= len(f.Timings) {
				return ""
			}
			return fmt.Sprintf("%.2f ms (%.2f)", f.Timings[k].Median, f.Timings[k].Fastest)
		})
	}
	row("file", func(f *Profile) string { return megabytes(f.Bytes) })
	row("held when opened", func(f *Profile) string { return known(f.Memory.Held) })
	row("values alive at once", func(f *Profile) string { return megabytes(f.Memory.Live) })
	row("arena", func(f *Profile) string { return known(f.Memory.Arena) })
	row("operators XNNPACK computes", func(f *Profile) string {
		taken, all := 0, 0
		for _, o := range f.Operators {
			taken, all = taken+o.Taken, all+o.Count
		}
		return fmt.Sprintf("%d of %d", taken, all)
	})
}

func threads(n int) string {
	if n == 1 {
		return "one thread"
	}
	return fmt.Sprintf("%d threads", n)
}

func known(bytes int) string {
	if bytes == 0 {
		return "not known"
	}
	return megabytes(bytes)
}

func megabytes(n int) string { return fmt.Sprintf("%.2f MB", float64(n)/1e6) }

// millions writes a number of operations or parameters, as people compare them.
func millions(n int64) string {
	switch {
	case n == 0:
		return ""
	case n < 10_000:
		return htmlpage.Count(int(n))
	case n < 10_000_000:
		return fmt.Sprintf("%.2f M", float64(n)/1e6)
	}
	return fmt.Sprintf("%.1f M", float64(n)/1e6)
}
