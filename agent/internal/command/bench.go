package command

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"text/tabwriter"

	"xbmedge/agent/internal/bench"
	"xbmedge/agent/internal/board"
	"xbmedge/agent/internal/config"
	"xbmedge/internal/cli"
	"xbmedge/internal/gallery"
)

// benchFlags is the command line of bench.
type benchFlags struct {
	model, gallery, size string
	frames, threads      int
	json                 bool
}

func benchCommand() cli.Command {
	return cli.Command{
		Name: "bench", Summary: "measure what each stage takes on this machine",
		Long: `Measures decoding, resizing, the model, the gallery and the decision, each over some
frames made for it: median and 95th percentile. Without a gallery, one of 1000 made-up
embeddings is asked. Other work on the machine shows in the figures.`,
		Examples: "xbm-agent bench --model m.tflite --gallery things.gallery",
		Setup: func(f *cli.Flags) cli.Func {
			var o benchFlags
			f.StringVar(&o.model, "model", "", "embedding model `FILE` (.tflite)")
			f.StringVar(&o.gallery, "gallery", "", "gallery `FILE`")
			f.StringVar(&o.size, "size", "640x480", "`WIDTHxHEIGHT` of a frame")
			f.IntVar(&o.frames, "frames", 200, "measure each stage `N` times")
			f.IntVar(&o.threads, "threads", 1, "run the model on `N` processor threads")
			f.BoolVar(&o.json, "json", false, "print JSON")
			f.Require("model")
			return o.run
		},
	}
}

func (o *benchFlags) run(ctx context.Context, _ []string, stdout, stderr io.Writer) (err error) {
	var options bench.Options
	if n, err := fmt.Sscanf(o.size, "%dx%d", &options.Width, &options.Height); n != 2 || err != nil {
		return cli.Usagef("bench: size %q; want such as 640x480", o.size)
	}
	m, err := openModel(ctx, o.model, o.threads, newLogger(stderr, config.Log{Level: "warn"}))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, m.Close()) }()
	if o.gallery != "" {
		options.Gallery, err = m.LoadGallery(o.gallery)
	} else {
		options.Gallery, err = madeUp(m.ForGallery())
	}
	if err != nil {
		return err
	}
	options.Embedder, options.Frames, options.Pipeline = m, o.frames, config.Default().Pipeline("")
	result, err := bench.Run(ctx, options)
	if err != nil {
		return err
	}
	rss := board.New("/").RSS()
	if o.json {
		return json.NewEncoder(stdout).Encode(struct {
			bench.Result
			RSS uint64 `json:"rss_bytes"`
		}{result, rss})
	}
	w := tabwriter.NewWriter(stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "STAGE\tP50 MS\tP95 MS\t\n")
	for _, s := range result.Stages {
		fmt.Fprintf(w, "%s\t%.3f\t%.3f\t%s\n", s.Name, s.P50, s.P95, s.What)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	_, err = fmt.Fprintf(stdout, "%d×%d: %.1f frames/s; %.3f ms from picture to decision beyond the model itself (p50); %.1f MB of memory\n",
		result.Width, result.Height, result.FPS, result.BeyondP50, float64(rss)/1e6)
	return err
}

// madeUp is a gallery of 100 things that do not exist.
func madeUp(model gallery.Model) (*gallery.Gallery, error) {
	g, err := gallery.New(model)
	if err != nil {
		return nil, err
	}
	rng := rand.New(rand.NewPCG(1, 3))
	for i := range 100 {
		vectors := make([][]float32, 10)
		for j := range vectors {
			vectors[j] = make([]float32, model.Dim)
			for d := range vectors[j] {
				vectors[j][d] = float32(rng.NormFloat64())
			}
		}
		if err := g.Enroll(fmt.Sprintf("thing-%d", i), fmt.Sprintf("Thing %d", i), vectors); err != nil {
			return nil, err
		}
	}
	return g, nil
}
