package report

import (
	"fmt"
	"math"
	"strings"

	"xbmedge/internal/htmlpage"
)

// chart is a drawing of values over the steps.
type chart struct {
	htmlpage.Scales
	Title  string
	Lines  []line
	Best   *mark  // the best checkpoint, nil where it is not known
	Latest string // the last values, for those who cannot see the drawing
}

// line is one measure.
type line struct {
	Name string // empty where the chart shows only one
	Kind int    // how it is drawn
	Last string
	Path string
	Dots []mark
}

// mark is a place in a drawing and what is said about it.
type mark struct {
	X, Y float64
	Text string
}

// measure is what a line shows of a step.
type measure struct {
	name  string
	value func(s *Step) float64
}

// maxDots is how many steps a line shows; of more every second, third and so on.
const maxDots = 200

// charts returns the drawings that the run has values for.
func (in *Input) charts() []chart {
	steps := thinned(in.Steps)
	if len(steps) == 0 {
		return nil
	}
	one := func(title string, value func(s *Step) float64) chart {
		return newChart(title, steps, []measure{{"", value}}, math.Inf(1), math.Inf(-1))
	}
	all := []chart{
		newChart("Retrieval while training", steps, []measure{
			{"recall@1", func(s *Step) float64 { return s.RecallAt1 }},
			{"recall@5", func(s *Step) float64 { return s.RecallAt5 }},
			{"mAP", func(s *Step) float64 { return s.MAP }},
		}, math.Inf(1), math.Inf(-1)),
		one("Loss", func(s *Step) float64 { return s.Loss }),
		one("Learning rate", func(s *Step) float64 { return s.LearningRate }),
	}
	if in.MemorySize > 0 {
		filled := func(s *Step) float64 { return 100 * float64(s.Memory) / float64(in.MemorySize) }
		all = append(all, newChart("Memory filled, %", steps, []measure{{"", filled}}, 0, 100))
	}
	if steps[len(steps)-1].GradientNorm > 0 { // older runs did not record it
		all = append(all, one("Gradient norm, before clipping", func(s *Step) float64 { return s.GradientNorm }))
	}
	return all
}

// thinned leaves steps away where there are more than can be told apart, never the last and never the best.
func thinned(steps []Step) []Step {
	every := (len(steps) + maxDots - 1) / maxDots
	best := bestOf(steps)
	var kept []Step
	for i, s := range steps {
		if i%max(every, 1) == 0 || i == len(steps)-1 || i == best {
			kept = append(kept, s)
		}
	}
	return kept
}

// bestOf returns the index of the best step, -1 for none.
func bestOf(steps []Step) int {
	for i := len(steps) - 1; i >= 0; i-- {
		if steps[i].Best {
			return i
		}
	}
	return -1
}

// newChart draws the measures on an axis that reaches at least from low to high.
func newChart(title string, steps []Step, measures []measure, low, high float64) chart {
	c := chart{Scales: htmlpage.SmallDrawing(), Title: title}
	x := c.Across(0, float64(steps[len(steps)-1].Step))
	y := c.Up(low, high)
	for _, m := range measures {
		for i := range steps {
			v := m.value(&steps[i])
			y.Low, y.High = min(y.Low, v), max(y.High, v)
		}
	}
	y = y.Rounded(4)
	c.X, c.Y = x.Ticks(5), y.Ticks(4)
	best := bestOf(steps)
	var latest []string
	for kind, m := range measures {
		l := line{Name: m.name, Kind: kind, Last: value(m.value(&steps[len(steps)-1]))}
		var path strings.Builder
		for i := range steps {
			s := &steps[i]
			d := mark{X: htmlpage.Place(x.At(float64(s.Step))), Y: htmlpage.Place(y.At(m.value(s)))}
			d.Text = fmt.Sprintf("%s %s at %s", m.name, value(m.value(s)), s.when())
			if i == best {
				d.Text += ", the best checkpoint"
				if kind == 0 {
					c.Best = &d
				}
			}
			d.Text = strings.TrimSpace(d.Text)
			fmt.Fprintf(&path, "%g,%g ", d.X, d.Y)
			l.Dots = append(l.Dots, d)
		}
		l.Path = strings.TrimSpace(path.String())
		c.Lines = append(c.Lines, l)
		latest = append(latest, strings.TrimSpace(m.name+" "+l.Last))
	}
	c.Latest = strings.Join(latest, ", ") + " at " + steps[len(steps)-1].when()
	return c
}

func (s *Step) when() string {
	if s.Epoch > 0 {
		return fmt.Sprintf("step %d (epoch %.1f)", s.Step, s.Epoch)
	}
	return fmt.Sprintf("step %d", s.Step)
}

func value(v float64) string { return fmt.Sprintf("%.4g", v) }
