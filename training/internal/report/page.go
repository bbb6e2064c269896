package report

import (
	"context"
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"slices"

	"xbmedge/internal/htmlpage"
	"xbmedge/internal/photos"
)

var (
	//go:embed page.html
	pageText string
	//go:embed page.js
	scriptText string
)

// page is what the template shows.
type page struct {
	*Input
	Head       htmlpage.Head
	Script     template.JS
	Overall    row
	Best       string
	Remarks    []string // the notes of the input and what this report leaves out
	Charts     []chart
	Rows       []row
	ClassCount int
	Pairs      pairsChart
	Worst      []worstQuery
	Wrong      int
	Map        *embeddingMap
	ConfigText string
}

// row is a line of the table of classes.
type row struct {
	Class            string
	Queries, Gallery int
	Recall           []float64
	MAP              float64
	ConfusedWith     string
	Confusions       int
}

// worstQuery is a query and what it found.
type worstQuery struct {
	picture
	FirstRank  int
	BestRight  string
	Neighbours []picture
}

// picture is a photo as it is shown.
type picture struct {
	URI         template.URL // empty where it cannot be read
	Class, File string
	Cosine      string
	Right       bool
}

func newPage(ctx context.Context, in *Input, c *comparison) (*page, error) {
	p := &page{
		Input:  in,
		Head:   htmlpage.NewHead(in.Title+": training report", "", scriptText),
		Script: template.JS(scriptText), //nolint:gosec // ours, not the input's
		Charts: in.charts(), Pairs: newPairsChart(c.same, c.other), ConfigText: string(in.Config),
	}
	p.tabulate(c)
	p.note(c)
	if i := bestOf(in.Steps); i >= 0 {
		p.Best = in.Steps[i].when()
	}
	if err := p.showWorst(ctx, c); err != nil {
		return nil, err
	}
	var err error
	p.Map, err = newEmbeddingMap(ctx, in)
	return p, err
}

func (p *page) tabulate(c *comparison) {
	all := c.figures()
	p.Overall = row{Class: "all", Queries: all.queries, Gallery: p.Gallery.Len(), Recall: all.recall[:], MAP: all.mAP}
	classes := c.classes()
	p.ClassCount = len(classes)
	for _, f := range classes[:min(len(classes), maxClasses)] {
		r := row{
			Class: p.Classes[f.class], Queries: f.queries, Gallery: f.gallery,
			Recall: f.recall[:], MAP: f.mAP, Confusions: f.confusions,
		}
		if f.confusedWith >= 0 {
			r.ConfusedWith = p.Classes[f.confusedWith]
		}
		p.Rows = append(p.Rows, r)
	}
	for _, f := range c.found {
		if f.firstRank > 1 {
			p.Wrong++
		}
	}
}

// note says what was left out.
func (p *page) note(c *comparison) {
	p.Remarks = slices.Clone(p.Notes)
	if n := p.Queries.Len(); n > maxQueries {
		p.Remarks = append(p.Remarks, fmt.Sprintf("%s of the %s queries were searched for, drawn at random but always the same ones.",
			htmlpage.Count(maxQueries), htmlpage.Count(n)))
	}
	if c.skipped > 0 {
		p.Remarks = append(p.Remarks, fmt.Sprintf("%s queries have no photo of their class to find and are left out of all figures.",
			htmlpage.Count(c.skipped)))
	}
}

// showWorst gathers the worst queries with their pictures.
func (p *page) showWorst(ctx context.Context, c *comparison) error {
	worst := c.worst()
	var wanted []photos.Photo
	for _, f := range worst {
		wanted = append(wanted, p.Queries.Photos[f.query])
		for _, n := range f.nearest {
			wanted = append(wanted, p.Gallery.Photos[n.index])
		}
	}
	pictures, err := htmlpage.Thumbnails(ctx, wanted)
	if err != nil {
		return err
	}
	show := func(s *Set, i int) picture {
		return picture{URI: pictures[s.Photos[i].Path], Class: p.Classes[s.Labels[i]], File: p.file(s, i)}
	}
	for _, f := range worst {
		q := worstQuery{picture: show(&p.Queries, f.query), FirstRank: f.firstRank, BestRight: fmt.Sprintf("%.3f", f.bestRight)}
		for _, n := range f.nearest {
			found := show(&p.Gallery, n.index)
			found.Cosine, found.Right = fmt.Sprintf("%.3f", n.cosine), n.right
			q.Neighbours = append(q.Neighbours, found)
		}
		p.Worst = append(p.Worst, q)
	}
	return nil
}

func (p *page) write(w io.Writer) error {
	t, err := htmlpage.Parse(pageText, template.FuncMap{"recallAt": func() []int { return recallAt[:] }})
	if err != nil {
		return fmt.Errorf("report: %w", err)
	}
	if err := t.Execute(w, p); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	return nil
}
