// Package fitreport tells of a calibration: as text, as facts for JSON, and as a web page with nothing outside of it, on
// which are the curves and the pictures that are most alike.
package fitreport

import (
	"fmt"
	"sort"
	"strings"

	"xbmedge/internal/gallery"
)

// Report is a calibration as facts.
type Report struct {
	gallery.Calibration
	Before  float32        `json:"threshold_before"`
	ROC     []Point        `json:"roc"`
	Closest []gallery.Pair `json:"closest"`
	Wrong   []gallery.Pair `json:"wrong"`
}

// Point is what one threshold gives.
type Point struct {
	Threshold float32 `json:"threshold"`
	FAR       float64 `json:"far"`
	FRR       float64 `json:"frr"`
}

// Facts returns what is told of a fit.
func Facts(g *gallery.Gallery, f *gallery.Fit) Report {
	return Report{f.Calibration, g.Threshold(), roc(f), f.Closest, f.Wrong}
}

// roc returns the rates at a hundred thresholds over the scores' range.
func roc(f *gallery.Fit) []Point {
	const steps = 100
	points := []Point{}
	for i := range steps + 1 {
		t := float32(i) / steps
		strangers := above(f.EnrolledScores, t) + above(f.BackgroundScores, t)
		p := Point{Threshold: t}
		if n := len(f.EnrolledScores) + len(f.BackgroundScores); n > 0 {
			p.FAR = float64(strangers) / float64(n)
		}
		if n := len(f.GenuineScores); n > 0 {
			p.FRR = 1 - float64(above(f.GenuineScores, t))/float64(n)
		}
		points = append(points, p)
	}
	return points
}

// above counts the sorted scores that are at least t.
func above(sorted []float32, t float32) int {
	return len(sorted) - sort.Search(len(sorted), func(i int) bool { return sorted[i] >= t })
}

// Text returns a fit for people.
func Text(g *gallery.Gallery, f *gallery.Fit) string {
	var b strings.Builder
	fmt.Fprintf(&b, "threshold %.3f (now %.3f), for a false accept rate of %v\n", f.Threshold, g.Threshold(), f.Asked)
	fmt.Fprintf(&b, "strangers: %d enrolled pictures for all other things, %d of the background; %.3f %% at or above it\n",
		f.Impostors-f.Background, f.Background, 100*f.FAR)
	fmt.Fprintf(&b, "enrolled: %d pictures with others of their thing; %.2f %% below it\n", f.Genuine, 100*f.FRR)
	if f.Supported > f.Asked {
		fmt.Fprintf(&b, "%s\n", Short(f))
	}
	for i, p := range f.Wrong {
		if i == 10 {
			fmt.Fprintf(&b, "… and %d more\n", len(f.Wrong)-i)
			break
		}
		fmt.Fprintf(&b, "look-alikes: embedding %d of %s is most like %d of %s (%.3f)\n", p.Vector, p.Of, p.Near, p.Taken, p.Score)
	}
	return b.String()
}

// Short says that there are too few strangers for the rate.
func Short(f *gallery.Fit) string {
	return fmt.Sprintf("%d strangers are too few to show a rate of %v, which takes some %.0f: they can show %.2g; give a larger --background",
		f.Impostors, f.Asked, gallery.PerRate/f.Asked, f.Supported)
}
