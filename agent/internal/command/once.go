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

func once(_ context.Context, args []string, stdout, stderr io.Writer) (err error) {
	fs := cli.Flags("xbm-agent once", stderr)
	modelPath := fs.String("model", "", "embedding model (.tflite)")
	galleryPath := fs.String("gallery", "", "gallery file")
	image := fs.String("image", "", "picture (JPEG or PNG)")
	threshold := fs.Float64("threshold", 0, "least cosine of a known thing; 0: the gallery's own")
	topK := fs.Int("topk", 5, "how many near identities to list")
	threads := fs.Int("threads", 1, "processor threads for the model")
	asJSON := fs.Bool("json", false, "print JSON")
	if err := cli.ParseOnly(fs, args); err != nil {
		return err
	}
	if err := cli.Require(fs, "model", "gallery", "image"); err != nil {
		return err
	}
	embedder, err := openModel(*modelPath, *threads, newLogger(stderr, config.Log{Level: "info"}))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, embedder.Close()) }()
	g, err := loadGallery(*galleryPath, embedder)
	if err != nil {
		return err
	}
	matcher, err := gallery.NewMatcher(g, *topK, float32(*threshold))
	if err != nil {
		return err
	}
	frame, err := vision.DecodeFile(*image)
	if err != nil {
		return err
	}
	embedding := make([]float32, embedder.Dim())
	started := time.Now()
	if err := embedder.Embed(embedding, frame); err != nil {
		return fmt.Errorf("%s: %w", *image, err)
	}
	took := time.Since(started)
	d := matcher.Match(embedding)
	out := recognised{
		Image: *image, Known: d.Known, Identity: d.Identity, Score: d.Score, Margin: d.Margin, Threshold: d.Threshold,
		TopK: d.TopK, EmbedMS: float64(took.Microseconds()) / 1000,
	}
	if !d.Known {
		out.Identity = gallery.Identity{ID: gallery.UnknownID, Name: "Unknown"}
	}
	if *asJSON {
		return json.NewEncoder(stdout).Encode(out)
	}
	_, err = fmt.Fprintf(stdout, "%s: %s, score %.3f (threshold %.3f, margin %.3f)\n", *image, out.Identity.Name, d.Score, d.Threshold, d.Margin)
	return err
}
