package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"text/tabwriter"

	"xbmedge/internal/atomicfile"
	"xbmedge/internal/retrieval"
	"xbmedge/training/internal/trainer"
)

// report is the result of eval as it is written: as JSON, or for people. RecallAt has the ks that were asked for.
type report struct {
	RecallAt1    float64            `json:"recall_at_1"`
	RecallAt5    float64            `json:"recall_at_5"`
	RecallAt     map[string]float64 `json:"recall_at"`
	MAP          float64            `json:"map"`
	MAPAtR       float64            `json:"map_at_r"`
	RPrecision   float64            `json:"r_precision"`
	PrecisionAt1 float64            `json:"precision_at_1"`
	Queries      int                `json:"queries"`
	Lone         int                `json:"lone_queries"` // of the queries, those left out of the means
	Gallery      int                `json:"gallery"`
	Skipped      int                `json:"skipped"`
	Rerank       *rerankReport      `json:"rerank,omitempty"`
	Classes      []classReport      `json:"classes,omitempty"`

	ks []int
}

type rerankReport struct {
	K1     int     `json:"k1"`
	K2     int     `json:"k2"`
	Lambda float64 `json:"lambda"`
}

// classReport has the figures of one class's queries.
type classReport struct {
	Class        string             `json:"class"`
	Queries      int                `json:"queries"`
	RecallAt     map[string]float64 `json:"recall_at"`
	MAP          float64            `json:"map"`
	MAPAtR       float64            `json:"map_at_r"`
	RPrecision   float64            `json:"r_precision"`
	PrecisionAt1 float64            `json:"precision_at_1"`
}

// newReport takes e's recalls at ks, and at 1 and 5, which are the last two that were measured.
func newReport(e *trainer.Evaluation, ks []int, rerank *retrieval.Rerank, perClass bool) *report {
	r := &report{
		RecallAt1: e.Recall[len(ks)], RecallAt5: e.Recall[len(ks)+1], RecallAt: recalls(e.Recall, ks),
		MAP: e.MAP, MAPAtR: e.MAPAtR, RPrecision: e.RPrecision, PrecisionAt1: e.PrecisionAt1,
		Queries: e.Queries + e.Lone, Lone: e.Lone, Gallery: e.Gallery, Skipped: e.Skipped,
		ks: ks,
	}
	if rerank != nil {
		r.Rerank = &rerankReport{rerank.K1, rerank.K2, rerank.Lambda}
	}
	if perClass {
		for _, c := range e.Classes {
			r.Classes = append(r.Classes, classReport{
				e.Names[c.Label], c.Queries, recalls(c.Recall, ks), c.MAP, c.MAPAtR, c.RPrecision, c.PrecisionAt1,
			})
		}
	}
	return r
}

func recalls(values []float64, ks []int) map[string]float64 {
	at := map[string]float64{}
	for i, k := range ks {
		at[strconv.Itoa(k)] = values[i]
	}
	return at
}

// write prints the report for people, and writes it to the file as JSON. "-" is JSON alone, to stdout.
func (r *report) write(file string, stdout io.Writer) error {
	if file == "-" {
		encoder := json.NewEncoder(stdout)
		encoder.SetIndent("", "  ")
		return encoder.Encode(r)
	}
	if err := r.print(stdout); err != nil || file == "" {
		return err
	}
	return atomicfile.WriteJSON(file, 0o644, r)
}

func (r *report) print(stdout io.Writer) error {
	table := tabwriter.NewWriter(stdout, 0, 0, 2, ' ', 0)
	for _, k := range r.ks {
		fmt.Fprintf(table, "recall@%d\t%.4f\n", k, r.RecallAt[strconv.Itoa(k)])
	}
	fmt.Fprintf(table, "mAP\t%.4f\nmAP@R\t%.4f\nR-precision\t%.4f\n", r.MAP, r.MAPAtR, r.RPrecision)
	if err := table.Flush(); err != nil {
		return err
	}
	if _, err := fmt.Fprintf(stdout, "%s\n", describe(r)); err != nil || len(r.Classes) == 0 {
		return err
	}
	fmt.Fprint(table, "\nclass\tqueries")
	for _, k := range r.ks {
		fmt.Fprintf(table, "\trecall@%d", k)
	}
	fmt.Fprintln(table, "\tmAP\tmAP@R\tR-precision")
	for _, c := range r.Classes {
		fmt.Fprintf(table, "%s\t%d", c.Class, c.Queries)
		for _, k := range r.ks {
			fmt.Fprintf(table, "\t%.4f", c.RecallAt[strconv.Itoa(k)])
		}
		fmt.Fprintf(table, "\t%.4f\t%.4f\t%.4f\n", c.MAP, c.MAPAtR, c.RPrecision)
	}
	return table.Flush()
}
