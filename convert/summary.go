package main

import (
	"fmt"
	"io"
	"strings"

	"xbmedge/convert/internal/report"
)

// summarise writes the figures for people.
func summarise(w io.Writer, s *report.Report) {
	fmt.Fprintf(w, "model        %s, %s, %d bytes\n", s.Model, s.Type, s.ModelBytes)
	if s.Samples > 0 {
		fmt.Fprintf(w, "calibrated   on %d photos\n", s.Samples)
	}
	if len(s.FloatLayers) > 0 {
		fmt.Fprintf(w, "in float     %s\n", strings.Join(s.FloatLayers, ", "))
	}
	switch {
	case s.Queries == 0:
		fmt.Fprintln(w, "recall@1     not measured: name photos with --test and --gallery")
	case s.RecallAt1Float == nil:
		fmt.Fprintln(w, "recall@1     not measured: no query has another photo of its class to find")
	case s.RecallAt1Int8 == nil:
		fmt.Fprintf(w, "recall@1     float %.4f\n", *s.RecallAt1Float)
	default:
		fmt.Fprintf(w, "recall@1     float %.4f, int8 %.4f\n", *s.RecallAt1Float, *s.RecallAt1Int8)
	}
	if s.CosineMean != nil {
		fmt.Fprintf(w, "float·int8   cosine mean %.4f, 1st percentile %.4f\n", *s.CosineMean, *s.CosineP1)
	}
	if s.Queries > 0 {
		fmt.Fprintf(w, "photos       %d queries against %d", s.Queries, s.Gallery)
		if s.Skipped > 0 {
			fmt.Fprintf(w, ", %d unreadable skipped", s.Skipped)
		}
		fmt.Fprintln(w)
	}
}
