// Package bench measures what each stage between a camera and a decision takes on the machine at hand.
package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"slices"
	"time"

	"xbmedge/agent/internal/pipeline"
	"xbmedge/internal/gallery"
	"xbmedge/internal/vision"
)

// Embedder is a model and the size of its input.
type Embedder interface {
	pipeline.Embedder
	InputSize() (width, height int)
}

// Options says what is measured.
type Options struct {
	Width, Height int // of a frame
	Frames        int // of each stage
	Embedder      Embedder
	Gallery       *gallery.Gallery
	Pipeline      pipeline.Config
}

// Stage is what one stage took, in milliseconds.
type Stage struct {
	Name string  `json:"name"`
	What string  `json:"what"`
	P50  float64 `json:"p50_ms"`
	P95  float64 `json:"p95_ms"`
}

// Result is what was measured.
type Result struct {
	Width     int     `json:"width"`
	Height    int     `json:"height"`
	Frames    int     `json:"frames"`
	Stages    []Stage `json:"stages"`
	BeyondP50 float64 `json:"beyond_model_p50_ms"` // from a decoded frame to its decision, without the inference itself
	FPS       float64 `json:"fps"`                 // frames a second from decoded picture to decision, one after another
}

// Run measures stage after stage.
func Run(ctx context.Context, o Options) (Result, error) {
	out := Result{Width: o.Width, Height: o.Height, Frames: o.Frames}
	if o.Frames < 10 || o.Frames > 100_000 || o.Width < 1 || o.Height < 1 || o.Width > 1<<14 || o.Height > 1<<14 {
		return out, fmt.Errorf("bench: %d frames of %d×%d; want 10 to 100000 frames of 1 to 16384 pixels a side", o.Frames, o.Width, o.Height)
	}
	scene := newScene(o.Width, o.Height)
	var file bytes.Buffer
	if err := vision.EncodeJPEG(&file, scene.frame, 85); err != nil {
		return out, err
	}
	matcher, err := gallery.NewMatcher(o.Gallery, 3, 0)
	if err != nil {
		return out, err
	}
	w, h := o.Embedder.InputSize()
	prepare, input, embedding := vision.NewPreprocessor(w, h), make([]int8, 3*w*h), make([]float32, o.Embedder.Dim())
	for _, stage := range []struct {
		name, what string
		run        func() error
	}{
		{"decode", fmt.Sprintf("a JPEG of %d kB", file.Len()/1000), func() error { _, err := vision.DecodeBytes(file.Bytes()); return err }},
		{"resize", fmt.Sprintf("to %d×%d and int8", w, h), func() error {
			f, err := prepare.Resize(scene.frame)
			return errors.Join(err, vision.Int8(input, f))
		}},
		{"embed", "resize and model", func() error { return o.Embedder.Embed(embedding, scene.frame) }},
		{"match", fmt.Sprintf("against %d embeddings", o.Gallery.Len()), func() error { matcher.Match(embedding); return nil }},
	} {
		times := make([]time.Duration, o.Frames)
		for i := range o.Frames + 3 { // the first ones warm up
			if err := ctx.Err(); err != nil {
				return out, err
			}
			started := time.Now()
			if err := stage.run(); err != nil {
				return out, fmt.Errorf("bench %s: %w", stage.name, err)
			}
			times[max(0, i-3)] = time.Since(started)
		}
		slices.Sort(times)
		out.add(stage.name, stage.what, times[len(times)/2], times[len(times)*95/100])
	}
	return out, out.decide(ctx, o, scene, matcher)
}

// decide measures whole frames through the pipeline.
func (r *Result) decide(ctx context.Context, o Options, scene *scene, matcher *gallery.Matcher) error {
	cfg := o.Pipeline
	cfg.Camera, cfg.Live = "bench", false
	scene.left = o.Frames
	camera, err := pipeline.New(cfg, pipeline.Deps{
		Open:     func(context.Context) (pipeline.Source, error) { return scene, nil },
		Embedder: o.Embedder, Matcher: matcher, Publisher: silent{}, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return fmt.Errorf("bench: %w", err)
	}
	started := time.Now()
	if err := errors.Join(camera.Run(ctx), ctx.Err()); err != nil {
		return err
	}
	took := time.Since(started) - scene.painting
	s := camera.Stats()
	r.add("decide", "regions, gates, gallery, tracks", s.RestP50, s.RestP95)
	r.BeyondP50 = milliseconds(s.RestP50) + r.Stages[1].P50
	r.FPS = float64(int(10*float64(o.Frames)/took.Seconds())) / 10
	return nil
}

func (r *Result) add(name, what string, p50, p95 time.Duration) {
	r.Stages = append(r.Stages, Stage{name, what, milliseconds(p50), milliseconds(p95)})
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// scene is a picture with a thing that moves.
type scene struct {
	frame    vision.Frame
	left, at int
	painting time.Duration
}

func newScene(width, height int) *scene {
	s := &scene{frame: vision.NewFrame(width, height)}
	rng := rand.New(rand.NewPCG(1, 2))
	small := vision.NewFrame(max(1, width/8), max(1, height/8))
	for i := range small.Pix {
		small.Pix[i] = byte(64 + rng.IntN(128))
	}
	if f, err := vision.NewPreprocessor(width, height).Resize(small); err == nil { // sizes were checked
		copy(s.frame.Pix, f.Pix)
	}
	return s
}

// Read gives the picture with a bright square a little further on.
func (s *scene) Read(_ context.Context, f *pipeline.Frame) error {
	if s.left == 0 {
		return io.EOF
	}
	started := time.Now()
	s.left--
	s.at++
	if len(f.Pix) != len(s.frame.Pix) {
		f.Frame = vision.NewFrame(s.frame.Width, s.frame.Height)
	}
	copy(f.Pix, s.frame.Pix)
	side := min(f.Width, f.Height) / 4
	x, y := s.at*7%max(1, f.Width-side), f.Height/3
	for row := y; row < min(y+side, f.Height); row++ {
		at := 3 * (row*f.Width + x)
		line := f.Pix[at : at+3*side]
		for i := range line {
			line[i] = 255 - line[i]/2
		}
	}
	f.Seq, f.Captured = uint64(s.at), time.Now()
	s.painting += time.Since(started)
	return nil
}

func (*scene) Close() error { return nil }

// silent publishes nothing.
type silent struct{}

func (silent) Event(*pipeline.Event) error                                        { return nil }
func (silent) State(*pipeline.State)                                              {}
func (silent) Status(string, bool)                                                {}
func (silent) Embedding(string, *pipeline.Frame, []float32)                       {}
func (silent) Candidate(string, *pipeline.Frame, *gallery.Decision, pipeline.Box) {}
