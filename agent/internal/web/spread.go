package web

import (
	"fmt"
	"sync"

	"xbmedge/internal/gallery"
	"xbmedge/internal/htmlpage"
)

const (
	// maxSpread is the largest gallery, in embeddings, whose scores are worked out for the page: the work grows with the
	// square, and the model waits for the processor meanwhile.
	maxSpread = 1500
	bins      = 50
)

// thresholds is the present threshold and what it rests on.
type thresholds struct {
	Threshold   float32
	Calibration *gallery.Calibration
	Own         []gallery.Entry // with a threshold of their own
	Drawing     *drawing        // nil: Why
	Why         string
}

// drawing are two histograms: of what enrolled pictures score with others of their thing, upwards, and with the most
// alike of all other things, downwards.
type drawing struct {
	htmlpage.Scales
	Genuine, Strangers       []bar
	GenuineCount, OtherCount int
	Line                     float64 // where the threshold lies
	Middle                   int
}

type bar struct {
	X, Y, Width, Height float64
}

// spread works out a gallery's scores, once for each state of it and for one who asks at a time.
type spread struct {
	mu   sync.Mutex
	of   *gallery.Gallery
	made thresholds
}

func (s *spread) look(g *gallery.Gallery) thresholds {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.of == g {
		return s.made
	}
	t := thresholds{Threshold: g.Threshold(), Calibration: g.Calibration()}
	for _, e := range g.Entries() {
		if e.Threshold != 0 {
			t.Own = append(t.Own, e)
		}
	}
	if n := g.Len(); n > maxSpread {
		t.Why = fmt.Sprintf("With %d pictures the scores are not worked out here: xbm-agent calibrate --report does so.", n)
	} else if f, err := g.Fit(0.01, nil); err != nil {
		t.Why = "There are too few things to compare: enroll a second one."
	} else {
		t.Drawing = draw(f, g.Threshold())
	}
	s.of, s.made = g, t
	return t
}

func draw(f *gallery.Fit, threshold float32) *drawing {
	d := &drawing{Scales: htmlpage.WideDrawing(), GenuineCount: len(f.GenuineScores), OtherCount: len(f.EnrolledScores)}
	low := threshold
	for _, scores := range [][]float32{f.GenuineScores, f.EnrolledScores} {
		if len(scores) > 0 {
			low = min(low, scores[0])
		}
	}
	x := d.Across(float64(low), 1).Rounded(5)
	d.X, d.Line, d.Middle = x.Ticks(5), htmlpage.Place(x.At(float64(threshold))), (d.Top+d.Bottom)/2
	room := float64(d.Bottom-d.Top) / 2
	d.Genuine, d.Strangers = bars(f.GenuineScores, x, room), bars(f.EnrolledScores, x, room)
	for i := range d.Genuine {
		d.Genuine[i].Y = htmlpage.Place(float64(d.Middle) - d.Genuine[i].Height)
	}
	for i := range d.Strangers {
		d.Strangers[i].Y = float64(d.Middle)
	}
	return d
}

// bars returns the histogram of sorted scores, its highest bar as high as there is room.
func bars(scores []float32, x htmlpage.Axis, room float64) []bar {
	var counts [bins]int
	most := 1
	for _, v := range scores {
		at := int(float64(bins) * (float64(v) - x.Low) / (x.High - x.Low))
		at = max(0, min(at, bins-1))
		counts[at]++
		most = max(most, counts[at])
	}
	var out []bar
	width := (x.To - x.From) / bins
	for i, n := range counts {
		if n > 0 {
			out = append(out, bar{
				X: htmlpage.Place(x.From + float64(i)*width), Width: htmlpage.Place(width - 1), Height: htmlpage.Place(room * float64(n) / float64(most)),
			})
		}
	}
	return out
}
