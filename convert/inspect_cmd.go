package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"text/tabwriter"

	"xbmedge/convert/internal/cost"
	"xbmedge/convert/internal/report"
	"xbmedge/internal/bundle"
	"xbmedge/internal/cli"
	"xbmedge/internal/tflite"
	"xbmedge/internal/tflitefile"
)

func inspectCommand() cli.Command {
	return cli.Command{
		Name: "inspect", Args: "FILE", Summary: "list a model's tensors, operators and costs, or what a bundle holds",
		Long: `Lists the tensors, with their quantisation, and the operators of any .tflite
file, with their multiply-accumulates (MACs), and says which operators XNNPACK
computes. For that it opens the model, last of all. Of a bundle (.xbm) it lists
what the manifest says, and the parts.`,
		Examples: "xbm-convert inspect model.tflite\nxbm-convert inspect shelf.xbm",
		Setup:    func(*cli.Flags) cli.Func { return inspect },
	}
}

func inspect(_ context.Context, files []string, stdout, _ io.Writer) error {
	if len(files) != 1 {
		return cli.Usagef("inspect takes one .tflite or .xbm file")
	}
	raw, err := os.ReadFile(files[0])
	if err != nil {
		return fmt.Errorf("inspect: %w", err)
	}
	if bundle.IsBundle(raw) {
		if err := inspectBundle(raw, stdout); err != nil {
			return fmt.Errorf("inspect %s: %w", files[0], err)
		}
		return nil
	}
	m, err := tflitefile.Decode(raw)
	if err != nil {
		return fmt.Errorf("inspect %s: %w", files[0], err)
	}
	// Names come from a file that may be anyone's: %q keeps control characters off the terminal.
	w := tabwriter.NewWriter(stdout, 0, 8, 2, ' ', 0)
	fmt.Fprintf(w, "%d bytes, %q\n\ntensor\ttype\tshape\tquantisation\tbytes\tname\n", len(raw), m.Description)
	for i := range m.Tensors {
		t := &m.Tensors[i]
		size := 0
		if t.Buffer < len(m.Buffers) {
			size = len(m.Buffers[t.Buffer])
		}
		fmt.Fprintf(w, "%d\t%v\t%v\t%s\t%d\t%q\n", i, t.Type, t.Shape, quantisation(t.Quant), size, t.Name)
	}
	costs := cost.Of(m)
	fmt.Fprintf(w, "\noperator\tversion\tinputs\toutputs\tMACs\tname\n")
	for i := range m.Operators {
		o := &m.Operators[i]
		fmt.Fprintf(w, "%d\t%d\t%v\t%v\t%d\t%s\n", i, o.Version, o.Inputs, o.Outputs, costs[i].MACs, operatorName(o))
	}
	fmt.Fprintf(w, "\ninputs %v, outputs %v\n", m.Inputs, m.Outputs)
	// Written before C code sees the file, which may crash on what was made to harm.
	if err := w.Flush(); err != nil {
		return err
	}
	return inspectCosts(stdout, raw, m, costs)
}

func operatorName(o *tflitefile.Operator) string {
	if o.Op == tflitefile.Custom {
		return fmt.Sprintf("CUSTOM %q", o.Custom)
	}
	return o.Name()
}

// inspectCosts sums up the operators, and asks the library which of them XNNPACK computes.
func inspectCosts(stdout io.Writer, raw []byte, m *tflitefile.Model, costs []cost.Operator) error {
	taken, unknown := takenByXNNPACK(raw)
	w := tabwriter.NewWriter(stdout, 0, 8, 2, ' ', 0)
	fmt.Fprintf(w, "\noperator\ttypes\tcount\tXNNPACK\tMACs\n")
	for _, g := range report.Group(costs, taken) {
		of := fmt.Sprint(g.Taken)
		if unknown != nil {
			of = "?"
		}
		fmt.Fprintf(w, "%s\t%s\t%d\t%s\t%d\n", printable(g.Name), g.Kind, g.Count, of, g.MACs)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	macs, parameters := cost.Total(costs)
	fmt.Fprintf(stdout, "\n%d MACs, %d parameters, %d bytes of values alive at once\n", macs, parameters, cost.PeakLive(m))
	if unknown != nil {
		fmt.Fprintf(stdout, "what XNNPACK computes is not known: %v\n", unknown)
	} else {
		fmt.Fprintf(stdout, "XNNPACK computes %d of %d operators\n", len(taken), len(costs))
	}
	return nil
}

// printable is a name from a file that may be anyone's, without what a terminal would obey.
func printable(name string) string { return strings.Trim(strconv.Quote(name), `"`) }

// takenByXNNPACK returns the numbers of the operators that XNNPACK computes; the error says why that is not known.
func takenByXNNPACK(model []byte) ([]int, error) {
	i, err := tflite.Open(model, tflite.Options{})
	if err != nil {
		return nil, err
	}
	return i.Taken(), i.Close()
}

// quantisation describes it in a few words; a scale per channel is given as its range.
func quantisation(q *tflitefile.Quantization) string {
	if q == nil || len(q.Scale) == 0 {
		return "-"
	}
	if len(q.Scale) == 1 {
		var zero int64
		if len(q.ZeroPoint) > 0 {
			zero = q.ZeroPoint[0]
		}
		return fmt.Sprintf("%.6g, zero %d", q.Scale[0], zero)
	}
	low, high := q.Scale[0], q.Scale[0]
	for _, s := range q.Scale {
		low, high = min(low, s), max(high, s)
	}
	return fmt.Sprintf("%.3g to %.3g along %d", low, high, q.Axis)
}
