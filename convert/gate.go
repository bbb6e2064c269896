package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"xbmedge/convert/internal/cost"
	"xbmedge/convert/internal/report"
	"xbmedge/internal/quantize"
	"xbmedge/internal/tflitefile"
)

// layers joins how well int8 follows each layer with what the layer alone takes from the cosine, where that was measured,
// and with the work it is, by the float model.
func layers(found []quantize.LayerError, alone []quantize.LayerCost, m *tflitefile.Model) []report.Layer {
	costs := map[string]report.Layer{}
	for _, o := range cost.Of(m) {
		name, _, _ := strings.Cut(o.Output, "/") // a value inside a layer is named after it and a slash
		l := costs[name]
		l.MACs += o.MACs
		l.Parameters += o.Parameters
		costs[name] = l
	}
	all := make([]report.Layer, len(found))
	for i, f := range found {
		l := costs[f.Name]
		l.Name, l.Added, l.SQNR = f.Name, f.Added, f.SQNR
		if alone != nil {
			l.Cost = &alone[i].Cost
		}
		all[i] = l
	}
	return all
}

// refusal says why no file is written, which layers to look at and what to try.
func refusal(r *report.Report, drop float64, out string) error {
	worst := slices.Clone(r.Layers)
	slices.SortStableFunc(worst, func(a, b report.Layer) int { return cmp.Compare(b.Added, a.Added) })
	var names []string
	for _, l := range worst[:min(len(worst), 3)] {
		names = append(names, fmt.Sprintf("%s (%.1f dB)", l.Name, l.SQNR))
	}
	other := "--method auto"
	if r.Method == string(quantize.Auto) {
		other = "--float-worst 3"
	}
	return fmt.Errorf("int8 loses %.4f of recall@1 (%.4f in float, %.4f in int8; one of the %d test photos is %.4f), more than the %.4f that "+
		"--max-recall-drop allows, so %s is not written. The layers that add most of the error: %s. "+
		"Try %s, more, or more typical, photos in --calib (%d were used), a run whose tail learned on the int8 "+
		"trunk (network.trunk: int8), or allow more with --max-recall-drop",
		drop, *r.RecallAt1Float, *r.RecallAt1Int8, r.Queries, 1/float64(max(r.Queries, 1)), r.Bound(), out, strings.Join(names, ", "), other, r.Samples)
}
