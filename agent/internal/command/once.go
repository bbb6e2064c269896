package command

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"xbmedge/agent/internal/config"
	"xbmedge/internal/cli"
	"xbmedge/internal/gallery"
	"xbmedge/internal/vision"
)

// recognised is what `once --json` prints.
type recognised struct {
	Image     string              `json:"image"`
	Known     bool                `json:"known"`
	Identity  gallery.Identity    `json:"identity"` // id "unknown" unless known
	Score     float32             `json:"score"`
	Margin    float32             `json:"margin"`
	Threshold float32             `json:"threshold"`
	TopK      []gallery.Candidate `json:"topk"`
	EmbedMS   float64             `json:"embed_ms"`
}

// onceFlags is the command line of once.
type onceFlags struct {
	model, gallery, image string
	threshold             float64
	topK, threads         int
	json                  bool
}

func once() cli.Command {
	return cli.Command{
		Name: "once", Summary: "recognise one picture",
		Examples: "xbm-agent once --model m.tflite --gallery things.gallery --image new.jpg",
		Setup: func(f *cli.Flags) cli.Func {
			var o onceFlags
			f.StringVar(&o.model, "model", "", "embedding model `FILE` (.xbm or .tflite)")
			f.StringVar(&o.gallery, "gallery", "", "gallery `FILE`")
			f.StringVar(&o.image, "image", "", "picture `FILE` (JPEG or PNG)")
			f.Float64Var(&o.threshold, "threshold", 0, "least `COSINE` of a known thing; 0: the gallery's own")
			f.IntVar(&o.topK, "topk", 5, "list the `N` nearest identities")
			f.IntVar(&o.threads, "threads", 1, "run the model on `N` processor threads")
			f.BoolVar(&o.json, "json", false, "print JSON")
			f.Require("model", "gallery", "image")
			return o.run
		},
	}
}

func (o *onceFlags) run(ctx context.Context, _ []string, stdout, stderr io.Writer) (err error) {
	embedder, err := openModel(ctx, o.model, o.threads, newLogger(stderr, config.Log{Level: "info"}))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, embedder.Close()) }()
	g, err := embedder.LoadGallery(o.gallery)
	if err != nil {
		return err
	}
	matcher, err := gallery.NewMatcher(g, o.topK, float32(o.threshold))
	if err != nil {
		return err
	}
	frame, err := vision.DecodeFile(o.image)
	if err != nil {
		return err
	}
	embedding := make([]float32, embedder.Dim())
	started := time.Now()
	if err := embedder.Embed(embedding, frame); err != nil {
		return fmt.Errorf("%s: %w", o.image, err)
	}
	took := time.Since(started)
	d := matcher.Match(embedding)
	out := recognised{
		Image: o.image, Known: d.Known, Identity: d.Identity, Score: d.Score, Margin: d.Margin, Threshold: d.Threshold,
		TopK: d.TopK, EmbedMS: float64(took.Microseconds()) / 1000,
	}
	if !d.Known {
		out.Identity = gallery.Identity{ID: gallery.UnknownID, Name: "Unknown"}
	}
	if o.json {
		return json.NewEncoder(stdout).Encode(out)
	}
	_, err = fmt.Fprintf(stdout, "%s: %s, score %.3f (threshold %.3f, margin %.3f)\n", o.image, out.Identity.Name, d.Score, d.Threshold, d.Margin)
	return err
}
