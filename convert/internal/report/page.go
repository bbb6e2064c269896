package report

import (
	"cmp"
	"context"
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"path/filepath"
	"slices"
	"strings"

	"xbmedge/internal/htmlpage"
	"xbmedge/internal/photos"
)

var (
	//go:embed page.html
	pageText string
	//go:embed page.css
	styleText string
)

// page is what the template shows.
type page struct {
	*Report
	Head                    htmlpage.Head
	Compared                bool // float with int8
	Tiles                   []tile
	Facts                   []fact
	Quality                 []qualityRow
	Cosine                  *cosineChart
	WeakBelow               float64
	WeakLayers, OtherLayers []layerRow // the worst ones, and the rest
	Profiles                []namedProfile
	Costs                   []costRow
	Shown                   []shown
}

type tile struct{ Class, Value, Name string }

type fact struct{ Name, Value string }

type qualityRow struct{ Name, Float, Int8, Difference string }

// layerRow is a line of the table of layers.
type layerRow struct {
	Name, SQNR, Adds, Cost, MACs, Parameters string
	Bar                                      float64 // 0 to 100
	Weak                                     bool
}

// shown is a photo that int8 moved, and what the models find for it.
type shown struct {
	Query   picture
	Cosine  string
	Changed bool
	Found   []picture
}

// picture is a photo as it is shown.
type picture struct {
	URI         template.URL // empty where it cannot be read
	Class, File string
	By, Cosine  string // which model found it, and how near
	Right       bool
}

// Layers whose SQNR is no higher are marked; bars end at fullBar.
const (
	weakSQNR = 15
	fullBar  = 60
	maxWeak  = 15 // layers shown without a click
)

// WritePage writes the report as one HTML file that needs nothing beside it. It reads the photos again that it shows;
// one that cannot be read is shown as missing. It fails when ctx is done.
func WritePage(ctx context.Context, w io.Writer, r *Report) error {
	p := &page{
		Report: r, Head: htmlpage.NewHead(r.Model+": conversion report", styleText, ""),
		Compared: r.Type == "int8", WeakBelow: weakSQNR,
	}
	p.tiles()
	p.facts()
	p.quality()
	p.Cosine = newCosineChart(r)
	p.layers()
	p.costs()
	if err := p.worst(ctx); err != nil {
		return fmt.Errorf("report: %w", err)
	}
	t, err := htmlpage.Parse(pageText, template.FuncMap{
		"minus":    func(a, b float32) float32 { return a - b },
		"hundred":  func(share float64) float64 { return 100 * share },
		"millions": millions,
	})
	if err != nil {
		return fmt.Errorf("report: %w", err)
	}
	if err := t.Execute(w, p); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	return nil
}

func (p *page) tiles() {
	add := func(class, value, name string) { p.Tiles = append(p.Tiles, tile{class, value, name}) }
	if p.RecallAt1Float != nil {
		add("", htmlpage.Percent(*p.RecallAt1Float), "recall@1 in float")
	}
	if p.RecallAt1Int8 != nil {
		class := "good"
		if _, over := p.OverBound(); over {
			class = "bad"
		}
		add(class, htmlpage.Percent(*p.RecallAt1Int8), "recall@1 in int8")
	}
	if p.CosineMean != nil {
		add("", fmt.Sprintf("%.4f", *p.CosineMean), "mean cosine of float and int8")
	}
	add("", megabytes(p.ModelBytes), "model file")
	for _, profile := range []*Profile{p.Int8, p.Float} {
		if profile != nil && len(profile.Timings) > 0 {
			add("", fmt.Sprintf("%.1f ms", profile.Timings[0].Median), "a frame, on one thread here")
			break
		}
	}
}

func (p *page) facts() {
	add := func(name, value string) { p.Facts = append(p.Facts, fact{name, value}) }
	if p.Compared {
		add("Calibrated on", htmlpage.Count(p.Samples)+" photos")
		if p.Method != "" {
			add("Method", p.Method)
		}
		if p.Chosen != "" {
			add("It chose", p.Chosen)
		}
		if len(p.FloatLayers) > 0 {
			add("Layers kept in float", strings.Join(p.FloatLayers, ", "))
		}
		add("Size of the float model", megabytes(p.FloatBytes))
		add("Recall@1 it may lose", fmt.Sprintf("%.2f points", 100*p.Bound()))
	}
	if p.Seconds > 0 {
		add("Converted in", fmt.Sprintf("%.1f s", p.Seconds))
	}
	if p.PeakRSS > 0 {
		add("Memory it took", fmt.Sprintf("%.0f MB", float64(p.PeakRSS)/1e6))
	}
	if p.Float != nil {
		add("MACs", millions(p.Float.MACs))
		add("Parameters", millions(int64(p.Float.Parameters)))
	}
	if p.Skipped > 0 {
		add("Photos that cannot be read", htmlpage.Count(p.Skipped))
	}
}

func (p *page) quality() {
	for _, row := range []struct {
		name        string
		float, int8 *float64
	}{
		{"recall@1", p.RecallAt1Float, p.RecallAt1Int8},
		{"recall@5", p.RecallAt5Float, p.RecallAt5Int8},
		{"mAP", p.MAPFloat, p.MAPInt8},
	} {
		if row.float == nil {
			continue
		}
		q := qualityRow{Name: row.name, Float: fmt.Sprintf("%.4f", *row.float)}
		if row.int8 != nil {
			q.Int8, q.Difference = fmt.Sprintf("%.4f", *row.int8), fmt.Sprintf("%+.4f", *row.int8-*row.float)
		}
		p.Quality = append(p.Quality, q)
	}
}

func (p *page) layers() {
	sorted := slices.Clone(p.Layers)
	slices.SortStableFunc(sorted, func(a, b Layer) int { return cmp.Compare(a.SQNR, b.SQNR) })
	for _, l := range sorted {
		row := layerRow{
			Name: l.Name, SQNR: fmt.Sprintf("%.1f", l.SQNR), Adds: fmt.Sprintf("%.2f", 100*l.Added),
			Bar: htmlpage.Place(100 * min(max(l.SQNR, 0), fullBar) / fullBar), Weak: l.SQNR <= weakSQNR,
		}
		if l.SQNR >= MaxSQNR {
			row.SQNR = "no noise"
		}
		if l.Cost != nil {
			row.Cost = fmt.Sprintf("%.5f", *l.Cost)
		}
		if l.MACs > 0 {
			row.MACs, row.Parameters = millions(l.MACs), htmlpage.Count(l.Parameters)
		}
		if len(p.WeakLayers) < maxWeak {
			p.WeakLayers = append(p.WeakLayers, row)
		} else {
			p.OtherLayers = append(p.OtherLayers, row)
		}
	}
}

// worst gathers the photos that int8 moved most, with their pictures.
func (p *page) worst(ctx context.Context) error {
	var wanted []photos.Photo
	for _, d := range p.Worst {
		for _, path := range []string{d.Photo, d.Float.Photo, d.Int8.Photo} {
			if path != "" {
				wanted = append(wanted, photos.Photo{Path: path})
			}
		}
	}
	if len(wanted) == 0 {
		return nil
	}
	pictures, err := htmlpage.Thumbnails(ctx, wanted)
	if err != nil {
		return err
	}
	for _, d := range p.Worst {
		s := shown{
			Query:  picture{URI: pictures[d.Photo], Class: d.Class, File: filepath.Base(d.Photo)},
			Cosine: fmt.Sprintf("%.4f", d.Cosine), Changed: d.Changed,
		}
		for by, f := range map[string]Found{"float": d.Float, "int8": d.Int8} {
			if f.Photo != "" {
				s.Found = append(s.Found, picture{
					URI: pictures[f.Photo], Class: f.Class, File: filepath.Base(f.Photo),
					By: by, Cosine: fmt.Sprintf("%.3f", f.Cosine), Right: f.Right,
				})
			}
		}
		slices.SortFunc(s.Found, func(a, b picture) int { return cmp.Compare(a.By, b.By) }) // float, int8
		p.Shown = append(p.Shown, s)
	}
	return nil
}
