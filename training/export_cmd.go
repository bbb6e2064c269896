package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"

	"xbmedge/internal/atomicfile"
	"xbmedge/internal/cli"
	"xbmedge/internal/nn"
	"xbmedge/internal/onnxfile"
	"xbmedge/internal/tflitefile"
	"xbmedge/training/internal/trainer"
)

// exportFlags is the command line of export.
type exportFlags struct {
	run, out, format string
	half, normalize  bool
	norms            bool
}

// formats are what export writes, each with the ending of its files.
func formats() []string { return []string{"tflite", "safetensors", "onnx"} }

func exportCommand() cli.Command {
	return cli.Command{
		Name: "export", Summary: "write the trained network for other programs, in float",
		Long: `Writes the network of a run as a TensorFlow Lite model, as an ONNX model, or
its weights alone as safetensors; the ending of --out tells which. For a board,
xbm-convert makes a smaller and faster int8 model.

TensorFlow Lite's input is float32 [1, height, width, 3], ONNX's [N, 3, height,
width] for any N; both take red, green and blue as pixel/127.5-1, and give one
embedding a picture.`,
		Examples: `xbm-train export --run runs/1 --out embedder.onnx --normalize
xbm-train export --run runs/1 --out backbone.safetensors --norms --half`,
		Setup: func(f *cli.Flags) cli.Func {
			var o exportFlags
			f.StringVar(&o.run, "run", "", "`FOLDER` of a run")
			f.StringVar(&o.out, "out", "", "`FILE` to write")
			f.StringVar(&o.format, "format", "", "`FORMAT`: tflite, safetensors or onnx, where the file's ending does not tell")
			f.OneOf("format", formats()...)
			f.BoolVar(&o.half, "half", false, "safetensors: in half precision, at half the size")
			f.BoolVar(&o.norms, "norms", false, "safetensors: with the batch norms, as they were trained, for another run to start from")
			f.BoolVar(&o.normalize, "normalize", false, "onnx: divide each embedding by its length")
			f.Require("run", "out")
			return o.export
		},
	}
}

func (f *exportFlags) export(_ context.Context, _ []string, stdout, _ io.Writer) error {
	if f.format == "" {
		f.format = strings.TrimPrefix(filepath.Ext(f.out), ".")
	}
	if !slices.Contains(formats(), f.format) {
		return cli.Usagef("--out %s ends in none of .tflite, .safetensors and .onnx: give it one, or --format", f.out)
	}
	if f.half && f.format != "safetensors" {
		return cli.Usagef("--half is for safetensors, not for %s", f.format)
	}
	if f.norms && f.format != "safetensors" {
		return cli.Usagef("--norms is for safetensors, not for %s: the others have batch norms worked into the weights", f.format)
	}
	if f.normalize && f.format != "onnx" {
		return cli.Usagef("--normalize is for onnx, not for %s", f.format)
	}
	net, w, err := nn.ReadNetwork(f.run)
	if err != nil {
		return err
	}
	if f.norms {
		if w, err = nn.ReadSafetensors(filepath.Join(f.run, trainer.WeightsFile)); err != nil {
			return fmt.Errorf("%w: a run has it from its first evaluation on", err)
		}
	}
	content, err := f.encode(net, w)
	if err != nil {
		return err
	}
	if err := atomicfile.WriteBytes(f.out, 0o644, content); err != nil {
		return err
	}
	_, err = fmt.Fprintf(stdout, "%s: %s, %.1f MB\n", f.out, net.Name, float64(len(content))/(1<<20))
	return err
}

// encode returns the file of the format.
func (f *exportFlags) encode(net *nn.Network, w nn.Weights) ([]byte, error) {
	metadata := map[string]string{"network": net.Name, "input": "red, green, blue: pixel/127.5-1"}
	switch f.format {
	case "onnx":
		return onnxfile.Encode(net, w, onnxfile.Options{Normalize: f.normalize, Metadata: metadata})
	case "safetensors":
		var out bytes.Buffer
		write := nn.WriteSafetensors
		if f.half {
			write = nn.WriteSafetensorsF16
		}
		err := write(&out, w, metadata)
		return out.Bytes(), err
	}
	m, err := tflitefile.FromNetwork(net, w, tflitefile.Options{})
	if err != nil {
		return nil, err
	}
	return tflitefile.Encode(m)
}
