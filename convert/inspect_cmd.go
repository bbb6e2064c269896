package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"text/tabwriter"

	"xbmedge/internal/bundle"
	"xbmedge/internal/cli"
	"xbmedge/internal/tflitefile"
)

func inspectCommand() cli.Command {
	return cli.Command{
		Name: "inspect", Args: "FILE", Summary: "list a model's tensors and operators, or what a bundle holds",
		Long: `Lists the tensors, with their quantisation, and the operators of any .tflite file;
of a bundle (.xbm) what its manifest says, and its parts.`,
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
	fmt.Fprintf(w, "\noperator\tversion\tinputs\toutputs\tname\n")
	for i := range m.Operators {
		o := &m.Operators[i]
		name := o.Name()
		if o.Op == tflitefile.Custom {
			name = fmt.Sprintf("CUSTOM %q", o.Custom)
		}
		fmt.Fprintf(w, "%d\t%d\t%v\t%v\t%s\n", i, o.Version, o.Inputs, o.Outputs, name)
	}
	fmt.Fprintf(w, "\ninputs %v, outputs %v\n", m.Inputs, m.Outputs)
	return w.Flush()
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
