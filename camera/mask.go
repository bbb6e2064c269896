package camera

import (
	"image"
	"math"
	"slices"
)

// maskSpans appends the pixels whose centres lie in one of the polygons of a picture of that size, as spans inside box
// and in its coordinates. A polygon that crosses itself has holes (the even-odd rule).
func maskSpans(spans []span, polygons [][]point, box image.Rectangle, width, height int) []span {
	var crossings []float64
	for _, polygon := range polygons {
		for y := box.Min.Y; y < box.Max.Y; y++ {
			crossings = cross(crossings[:0], polygon, (float64(y)+0.5)/float64(height))
			for i := 0; i+1 < len(crossings); i += 2 {
				x0 := max(firstPixel(crossings[i], width), box.Min.X)
				x1 := min(firstPixel(crossings[i+1], width), box.Max.X)
				if x0 < x1 {
					spans = append(spans, span{y - box.Min.Y, x0 - box.Min.X, x1 - box.Min.X})
				}
			}
		}
	}
	return spans
}

// cross appends where the polygon's edges cross a row, sorted.
func cross(xs []float64, polygon []point, y float64) []float64 {
	for i, b := range polygon {
		a := polygon[(i+len(polygon)-1)%len(polygon)]
		if (a.y <= y) != (b.y <= y) {
			xs = append(xs, a.x+(y-a.y)/(b.y-a.y)*(b.x-a.x))
		}
	}
	slices.Sort(xs)
	return xs
}

// firstPixel is the first pixel whose centre lies at x or to the right of it.
func firstPixel(x float64, width int) int { return int(math.Ceil(x*float64(width) - 0.5)) }
