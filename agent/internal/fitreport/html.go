package fitreport

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"html"
	"math"
	"strings"

	"xbmedge/internal/gallery"
)

const style = `<!doctype html><html lang="en"><meta charset="utf-8"><title>Calibration</title><style>
body{font:15px/1.5 sans-serif;max-width:60em;margin:2em auto;padding:0 1em;color:#222}
svg{width:100%;max-width:46em;height:auto}figure{display:inline-block;margin:.4em;text-align:center}
figure img{width:112px;height:112px;object-fit:cover;margin:2px}figcaption{font-size:12px;max-width:240px}
pre{background:#f4f4f4;padding:1em;white-space:pre-wrap}</style>
`

// HTML returns a fit as a web page. Pictures that cannot be read are left out.
func HTML(g *gallery.Gallery, f *gallery.Fit) []byte {
	var b strings.Builder
	b.WriteString(style)
	fmt.Fprintf(&b, "<h1>Threshold %.3f</h1><pre>%s</pre>\n", f.Threshold, html.EscapeString(Text(g, f)))
	b.WriteString("<h2>What strangers and enrolled things score</h2>\n")
	histogram(&b, f)
	b.WriteString("<h2>Rates by threshold</h2><p>Red: strangers with a name (false accepts). Blue: enrolled pictures taken for unknown " +
		"(false rejects). The dashed line is the threshold; the scale is logarithmic.</p>\n")
	curves(&b, f)
	b.WriteString("<h2>The closest pictures of different things</h2>\n")
	for _, p := range f.Closest {
		of := "background"
		if p.Of != "" {
			of = fmt.Sprintf("%s, %d", p.Of, p.Vector)
		}
		fmt.Fprintf(&b, "<figure>%s%s<figcaption>%s<br>%s, %d<br>%.3f</figcaption></figure>\n",
			picture(g, p.Vector), picture(g, p.Near), html.EscapeString(of), html.EscapeString(p.Taken), p.Near, p.Score)
	}
	b.WriteString("</html>\n")
	return []byte(b.String())
}

func picture(g *gallery.Gallery, vector uint64) string {
	if vector == 0 {
		return ""
	}
	crop, err := g.Crop(vector)
	if err != nil {
		return ""
	}
	kind := "image/jpeg"
	if bytes.HasPrefix(crop, []byte("\x89PNG")) {
		kind = "image/png"
	}
	return fmt.Sprintf(`<img alt="picture %d" src="data:%s;base64,%s">`, vector, kind, base64.StdEncoding.EncodeToString(crop))
}

const (
	width, height = 700.0, 220.0
	bins          = 70
	lowest        = -0.2 // cosine at the left edge
)

func x(score float64) float64 { return width * (min(max(score, lowest), 1) - lowest) / (1 - lowest) }

func frame(b *strings.Builder, f *gallery.Fit, inside func()) {
	fmt.Fprintf(b, `<svg viewBox="-30 -10 %.0f %.0f" font-size="11">`, width+50, height+40)
	inside()
	for tick := 0; tick <= 10; tick += 2 {
		fmt.Fprintf(b, `<text x="%.1f" y="%.0f" text-anchor="middle">%.1f</text>`, x(float64(tick)/10), height+16, float64(tick)/10)
	}
	at := x(float64(f.Threshold))
	fmt.Fprintf(b, `<line x1="%.1f" x2="%.1f" y1="0" y2="%.0f" stroke="#222" stroke-dasharray="5 4"/>`, at, at, height)
	fmt.Fprintf(b, "<line x1=\"0\" x2=\"%.0f\" y1=\"%.0f\" y2=\"%.0f\" stroke=\"#888\"/></svg>\n", width, height, height)
}

// histogram draws the share of scores in each bin.
func histogram(b *strings.Builder, f *gallery.Fit) {
	frame(b, f, func() {
		for i, s := range []struct {
			name, colour string
			scores       []float32
		}{{"enrolled, other things", "#d62728", f.EnrolledScores}, {"background", "#ff9f40", f.BackgroundScores}, {"enrolled, own thing", "#1f77b4", f.GenuineScores}} {
			var counts [bins]float64
			top := 1.0
			for _, v := range s.scores {
				at := min(int(x(float64(v))/width*bins), bins-1)
				counts[at]++
				top = max(top, counts[at])
			}
			for n, c := range counts {
				h := height * 0.85 * c / top
				fmt.Fprintf(b, `<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" fill="%s" opacity=".5"/>`,
					float64(n)*width/bins, height-h, width/bins, h, s.colour)
			}
			fmt.Fprintf(b, `<text x="4" y="%d" fill="%s">%s (%d)</text>`, 12+14*i, s.colour, s.name, len(s.scores))
		}
	})
}

// curves draws the rates by threshold, from 1 down to 1 in 10,000.
func curves(b *strings.Builder, f *gallery.Fit) {
	y := func(rate float64) float64 { return height * -math.Log10(max(rate, 1e-4)) / 4 }
	frame(b, f, func() {
		for decade := range 5 {
			fmt.Fprintf(b, `<text x="-4" y="%.1f" text-anchor="end">%g</text>`, y(math.Pow10(-decade))+4, math.Pow10(-decade))
		}
		for _, c := range []struct {
			colour string
			rate   func(Point) float64
		}{{"#d62728", func(p Point) float64 { return p.FAR }}, {"#1f77b4", func(p Point) float64 { return p.FRR }}} {
			var path []string
			for _, p := range roc(f) {
				path = append(path, fmt.Sprintf("%.1f,%.1f", x(float64(p.Threshold)), y(c.rate(p))))
			}
			fmt.Fprintf(b, `<polyline points="%s" fill="none" stroke="%s" stroke-width="2"/>`, strings.Join(path, " "), c.colour)
		}
	})
}
