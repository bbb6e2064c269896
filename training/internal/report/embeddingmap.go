package report

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"path/filepath"
	"slices"

	"xbmedge/internal/htmlpage"
	"xbmedge/internal/retrieval"
)

// The size of the map, in its own units.
const (
	mapWidth, mapHeight = 720, 540
	mapMargin           = 14
	maxLabels           = 120 // classes that get a number and a line in the legend
	fewest              = 10  // points that t-SNE makes sense of
)

// embeddingMap is the drawing of the embeddings in the plane.
type embeddingMap struct {
	Width, Height int
	Method        string
	Points        int
	Of            int
	Queries       bool // some of the points are queries
	Classes       []mapClass
	Legend        bool
}

// mapClass is the points of one class.
type mapClass struct {
	Class   int
	Number  int // on the map and in the legend, from 1
	Name    string
	Colour  string
	Gallery []mark
	Queries []mark
	Label   mark
}

// newEmbeddingMap lays a sample of gallery and queries out.
func newEmbeddingMap(ctx context.Context, in *Input) (*embeddingMap, error) {
	g, q := &in.Gallery, &in.Queries
	total := g.Len()
	if !in.LeaveOneOut {
		total += q.Len()
	}
	chosen := sample(total, maxPoints)
	e := retrieval.Embeddings{Dim: g.Dim}
	for _, i := range chosen {
		set, k := in.at(i)
		e.Data = append(e.Data, set.Row(k)...)
	}
	m := &embeddingMap{Width: mapWidth, Height: mapHeight, Points: len(chosen), Of: total, Queries: !in.LeaveOneOut}
	places := principal(e)
	m.Method = "their first two principal components"
	if len(chosen) >= fewest {
		var err error
		if places, err = tsne(ctx, e); err != nil {
			return nil, err
		}
		m.Method = fmt.Sprintf("t-SNE (exact, perplexity %.0f, %d iterations, started from the principal components)",
			min(perplexity, float64(len(chosen)-1)/3), iterations)
	}
	scale := fit(places)
	byClass := map[int]*mapClass{}
	for n, i := range chosen {
		set, k := in.at(i)
		class := set.Labels[k]
		c, known := byClass[class]
		if !known {
			c = &mapClass{Class: class, Name: in.Classes[class]}
			byClass[class] = c
		}
		at := scale(places[n])
		at.Text = in.Classes[class] + ": " + in.file(set, k)
		if set == q {
			at.Text += " (query)"
			c.Queries = append(c.Queries, at)
		} else {
			c.Gallery = append(c.Gallery, at)
		}
	}
	for _, c := range byClass {
		m.Classes = append(m.Classes, *c)
	}
	slices.SortFunc(m.Classes, func(a, b mapClass) int { return cmp.Compare(a.Class, b.Class) })
	m.Legend = len(m.Classes) <= maxLabels
	for i := range m.Classes {
		c := &m.Classes[i]
		c.Number, c.Colour, c.Label = i+1, colour(i), middle(slices.Concat(c.Gallery, c.Queries))
	}
	return m, nil
}

// at returns which set number i of gallery and queries together belongs to, and its index there.
func (in *Input) at(i int) (*Set, int) {
	if n := in.Gallery.Len(); i >= n {
		return &in.Queries, i - n
	}
	return &in.Gallery, i
}

// file is how a photo is named to the reader: without the folders above its class's, which the class's name tells.
func (in *Input) file(s *Set, i int) string { return filepath.Base(s.Photos[i].Path) }

// fit returns the mapping of the points onto the drawing, with equal scales along both axes.
func fit(points []point) func(point) mark {
	low, high := point{math.Inf(1), math.Inf(1)}, point{math.Inf(-1), math.Inf(-1)}
	for _, p := range points {
		low, high = point{min(low.x, p.x), min(low.y, p.y)}, point{max(high.x, p.x), max(high.y, p.y)}
	}
	const width, height = mapWidth - 2*mapMargin, mapHeight - 2*mapMargin
	scale := min(width/max(high.x-low.x, 1e-12), height/max(high.y-low.y, 1e-12))
	if high.x-low.x < 1e-12 && high.y-low.y < 1e-12 { // all in one place
		scale = 0
	}
	return func(p point) mark {
		return mark{
			X: htmlpage.Place(mapWidth/2 + (p.x-(low.x+high.x)/2)*scale),
			Y: htmlpage.Place(mapHeight/2 - (p.y-(low.y+high.y)/2)*scale),
		}
	}
}

// middle returns the point whose summed distance to the others is least.
func middle(points []mark) mark {
	best, least := mark{}, math.Inf(1)
	for _, a := range points {
		sum := 0.0
		for _, b := range points {
			sum += math.Hypot(a.X-b.X, a.Y-b.Y)
		}
		if sum < least {
			best, least = a, sum
		}
	}
	return best
}

// colour returns a colour that is seen on white and on black. Hues a golden angle apart differ most from those just
// before them; three lightnesses tell more classes apart.
func colour(i int) string {
	return fmt.Sprintf("hsl(%d 70%% %d%%)", int(float64(i)*137.508)%360, []int{52, 42, 64}[i%3])
}
