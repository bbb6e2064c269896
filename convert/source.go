package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"xbmedge/internal/assemble"
	"xbmedge/internal/cli"
	"xbmedge/internal/nn"
	"xbmedge/internal/onnxfile"
	"xbmedge/internal/tflitefile"
)

// source is where the network to convert comes from: a run, or a file that was made elsewhere.
type source struct {
	run, from string
	// Of a file that was made elsewhere alone.
	mean, std []float32 // of the pixels it wants, in 0 … 1; none: it takes pixel/127.5−1
	size      int       // width and height, where the file leaves them open
	output    string    // name of the value that is the embedding
}

func (s *source) declare(f *cli.Flags) {
	f.StringVar(&s.run, "run", "", "`FOLDER` of a finished run, from xbm-train fit")
	f.StringVar(&s.from, "from", "", "instead of --run: an .onnx or float .tflite `FILE` of a network that was made elsewhere")
	f.Float32SliceVar(&s.mean, "mean", nil, "with --from: `R,G,B` that the network wants subtracted from pixels of 0 to 1, such as 0.485,0.456,0.406; "+
		"without, it takes pixels as -1 to 1")
	f.Float32SliceVar(&s.std, "std", nil, "with --from and --mean: `R,G,B` to divide by then, such as 0.229,0.224,0.225")
	f.IntVar(&s.size, "size", 0, "with --from: width and height of the picture in `PIXELS`, where the file leaves them open")
	f.StringVar(&s.output, "output", "", "with --from: `NAME` of the value that is the embedding, where it is not the file's output")
}

// check refuses flags that do not go together.
func (s *source) check() error {
	foreign := s.mean != nil || s.std != nil || s.size != 0 || s.output != ""
	switch {
	case s.run == "" && s.from == "":
		return cli.Usagef("--run missing, or --from")
	case s.run != "" && s.from != "":
		return cli.Usagef("--run and --from name two networks; give one")
	case s.run != "" && foreign:
		return cli.Usagef("--mean, --std, --size and --output go with --from; a run knows its own")
	case (s.mean == nil) != (s.std == nil) || s.mean != nil && (len(s.mean) != 3 || len(s.std) != 3):
		return cli.Usagef("--mean and --std go together and take three numbers each, such as 0.485,0.456,0.406")
	case s.size < 0:
		return cli.Usagef("--size is %d; give the pixels of a side", s.size)
	}
	return nil
}

// network returns the network and its weights, without batch norms.
func (s *source) network() (*nn.Network, nn.Weights, error) {
	if s.from == "" {
		return nn.ReadNetwork(s.run)
	}
	raw, err := os.ReadFile(s.from)
	if err != nil {
		return nil, nil, fmt.Errorf("read the network: %w", err)
	}
	opt := assemble.Options{Size: s.size, Output: s.output}
	copy(opt.Mean[:], s.mean)
	copy(opt.Std[:], s.std)
	var net *nn.Network
	var w nn.Weights
	switch extension := strings.ToLower(filepath.Ext(s.from)); extension {
	case ".onnx":
		net, w, err = onnxfile.Network(raw, opt)
	case ".tflite":
		var m *tflitefile.Model
		if m, err = tflitefile.Decode(raw); err == nil {
			net, w, err = tflitefile.ToNetwork(m, opt)
		}
	default:
		return nil, nil, fmt.Errorf("--from %s: a name that ends in %q is not known: give an .onnx or .tflite file", s.from, extension)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("--from %s: %w", s.from, err)
	}
	// Exporters call every graph the same; the name is how boards and reports tell models apart.
	net.Name = strings.TrimSuffix(filepath.Base(s.from), filepath.Ext(s.from))
	return net, w, nil
}
