package command

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"slices"
	"strings"

	"xbmedge/agent/internal/app"
	"xbmedge/agent/internal/config"
	"xbmedge/agent/internal/mqtt"
	"xbmedge/agent/internal/pipeline"
	"xbmedge/agent/internal/replay"
	"xbmedge/agent/internal/strangers"
	"xbmedge/camera"
	"xbmedge/internal/cli"
	"xbmedge/internal/gallery"
)

// replayFlags is the command line of replay.
type replayFlags struct {
	config, camera, model, gallery string
	set                            cli.Settings
	fps                            float64
	trace, json                    bool
}

func replayCommand() cli.Command {
	return cli.Command{
		Name: "replay", Args: "CLIP|FOLDER", Summary: "run a clip through the pipeline and say what would be told",
		Long: `Does with a clip, or with a folder of pictures, what run does with a camera's frames,
and prints the events instead of publishing them. Time is the clip's own, so that the
same clip, model and gallery give the same output each time. Nothing is written, and
strangers begin at unknown-1.

--trace says of every frame why: its regions with their box, sharpness, nearest things
and gates, and each track with its votes and what keeps it from being told.`,
		Examples: `xbm-agent replay clip.mjpeg --model m.tflite --gallery things.gallery
xbm-agent replay clip.mp4 --config agent.yaml --camera front_door --fps 30 --trace --json`,
		Setup: func(f *cli.Flags) cli.Func {
			var o replayFlags
			f.StringVar(&o.config, "config", "", "configuration `FILE` (YAML); without it, the defaults")
			f.StringVar(&o.camera, "camera", "", "use the settings of this camera of the configuration (`NAME`); needed where it has several")
			f.Var(&o.set, "set", "`KEY=VALUE`, over the file and the environment; may be repeated")
			f.StringVar(&o.model, "model", "", "embedding model `FILE`, over the configuration's")
			f.StringVar(&o.gallery, "gallery", "", "gallery `FILE`, over the configuration's")
			f.Float64Var(&o.fps, "fps", 25, "the clip has `N` frames a second")
			f.BoolVar(&o.trace, "trace", false, "say why, of every frame")
			f.BoolVar(&o.json, "json", false, "print one JSON object a line")
			return o.run
		},
	}
}

func (o *replayFlags) run(ctx context.Context, args []string, stdout, stderr io.Writer) (err error) {
	if len(args) != 1 {
		return cli.Usagef("replay: want one clip or folder")
	}
	cfg, id, err := o.load(args[0])
	if err != nil {
		return err
	}
	log := newLogger(stderr, config.Log{Level: "warn"})
	m, err := openModel(ctx, cfg.Model.Path, cfg.Model.Threads, log)
	if err != nil {
		return fmt.Errorf("model.path: %w", err)
	}
	defer func() { err = errors.Join(err, m.Close()) }()
	g, err := m.LoadGallery(cfg.Gallery.Path)
	if err != nil {
		return fmt.Errorf("gallery.path: %w", err)
	}
	matcher, err := gallery.NewMatcher(g, cfg.Gallery.TopK, float32(cfg.Gallery.Threshold))
	if err != nil {
		return err
	}
	out := replayPrinter{w: stdout, json: o.json}
	options := replay.Options{
		Pipeline: cfg.Pipeline(id), FPS: o.fps, Embedder: m, Matcher: matcher, Event: out.event, Log: log,
	}
	if options.Pipeline.Embeddings = false; o.config == "" {
		options.Pipeline.FPS = 0 // every frame of the clip
	}
	if o.trace {
		options.Trace = out.trace
	}
	if cfg.Strangers.Keep > 0 {
		if options.Strangers, err = strangers.New(g.Model(), cfg.Strangers.Keep); err != nil {
			return err
		}
	}
	detector, err := app.OpenDetector(cfg, id, log)
	if err != nil {
		return err
	}
	if detector != nil {
		options.Finder = detector
		defer func() { err = errors.Join(err, detector.Close()) }()
	}
	stats, err := replay.Run(ctx, source(cfg.Cameras[id], log), options)
	if err != nil {
		return err
	}
	return errors.Join(out.err, out.summary(stats))
}

func source(cam config.Camera, log *slog.Logger) func(context.Context) (pipeline.Source, error) {
	return func(ctx context.Context) (pipeline.Source, error) { return app.OpenSource(ctx, cam, log) }
}

// load returns the configuration with one camera, whose frames come from the clip.
func (o *replayFlags) load(clip string) (*config.Config, string, error) {
	info, err := os.Stat(clip)
	if err != nil {
		return nil, "", fmt.Errorf("replay: %w", err)
	}
	kind := camera.File
	if info.IsDir() {
		kind = camera.Dir
	}
	set := slices.Clone([]string(o.set))
	for key, value := range map[string]string{"model.path": o.model, "gallery.path": o.gallery} {
		if value != "" {
			set = append(set, key+"="+value)
		}
	}
	id := o.camera
	if o.config == "" {
		if id == "" {
			id = "replay"
		}
		set = append(set, "cameras."+id+".kind="+string(kind), "cameras."+id+".address="+clip)
	}
	cfg, err := config.Read(o.config, set...)
	if err != nil {
		return nil, "", err
	}
	names := slices.Sorted(maps.Keys(cfg.Cameras))
	if id == "" {
		if len(names) != 1 {
			return nil, "", cli.Usagef("replay: the configuration has the cameras %s: name one with --camera", strings.Join(names, ", "))
		}
		id = names[0]
	}
	cam, there := cfg.Cameras[id]
	if !there {
		return nil, "", cli.Usagef("replay: the configuration has no camera %s, but %s", id, strings.Join(names, ", "))
	}
	cam.Enabled, cam.Kind, cam.Address = true, string(kind), clip
	cfg.Cameras = map[string]config.Camera{id: cam}
	return cfg, id, nil
}

// replayPrinter writes what a replay tells.
type replayPrinter struct {
	w    io.Writer
	json bool
	err  error // the first of writing a trace
}

func (p *replayPrinter) event(e *pipeline.Event) error {
	m := mqtt.NewMatch(e)
	if p.json {
		return json.NewEncoder(p.w).Encode(replayed{
			m.Type, m.EventType, m.EventID, m.Camera, m.TS, m.Identity, m.Known, m.Score, m.Margin, m.Threshold, m.Frames, m.Box, m.TopK,
		})
	}
	_, err := fmt.Fprintf(p.w, "%9.3f s  %-6s %-10s %-24s score %.3f  margin %.3f  frames %-4d box %.2f %.2f %.2f %.2f\n",
		m.TS, m.Type, m.EventType, m.Identity.Name, m.Score, m.Margin, m.Frames, m.Box[0], m.Box[1], m.Box[2], m.Box[3])
	return err
}

// replayed is an event as replay prints it: the fields of the MQTT payload that the clip decides.
type replayed struct {
	Type      string             `json:"type"`
	EventType string             `json:"event_type"`
	EventID   string             `json:"event_id"`
	Camera    string             `json:"camera"`
	TS        float64            `json:"ts"` // seconds from the clip's beginning
	Identity  mqtt.MatchIdentity `json:"identity"`
	Known     bool               `json:"known"`
	Score     float64            `json:"score"`
	Margin    float64            `json:"margin"`
	Threshold float64            `json:"threshold"`
	Frames    int                `json:"frames"`
	Box       [4]float64         `json:"box"`
	TopK      []mqtt.MatchScore  `json:"topk"`
}

func (p *replayPrinter) trace(t *pipeline.Trace) {
	if p.err != nil {
		return
	}
	if p.json {
		p.err = json.NewEncoder(p.w).Encode(struct {
			Trace *pipeline.Trace `json:"trace"`
		}{t})
		return
	}
	_, p.err = io.WriteString(p.w, traceText(t))
}

// traceText is a frame's trace for people.
func traceText(t *pipeline.Trace) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%9.3f s  frame %d", t.Seconds, t.Seq)
	if t.Gate != "" {
		fmt.Fprintf(&b, ": %s", t.Gate)
	}
	b.WriteByte('\n')
	scores := func(list []pipeline.TraceScore) {
		for _, s := range list {
			fmt.Fprintf(&b, " %s %.3f", s.ID, s.Score)
		}
		b.WriteByte('\n')
	}
	for _, r := range t.Regions {
		fmt.Fprintf(&b, "             region %.2f %.2f %.2f %.2f, sharpness %.1f: ", r.Box[0], r.Box[1], r.Box[2], r.Box[3], r.Sharpness)
		switch {
		case r.Gate != "":
			fmt.Fprintf(&b, "refused for %s\n", r.Gate)
			continue
		case !r.Present:
			b.WriteString("nothing there;")
		default:
			fmt.Fprintf(&b, "track %d, similarity %.2f;", r.Track, r.Similarity)
		}
		scores(r.TopK)
	}
	for _, tr := range t.Tracks {
		name := tr.Identity
		if name == "" {
			name = "nothing yet"
		}
		fmt.Fprintf(&b, "             track %d, told as %s (%s); votes", tr.Track, name, tr.Why)
		scores(tr.Votes)
	}
	return b.String()
}

func (p *replayPrinter) summary(s pipeline.Stats) error {
	sum := struct {
		Frames  uint64 `json:"frames"`
		Failed  uint64 `json:"failed"`
		Events  uint64 `json:"events"`
		Still   uint64 `json:"still"`
		Moving  uint64 `json:"moving"`
		Covered uint64 `json:"covered"`
		Blurred uint64 `json:"blurred"`
		Small   uint64 `json:"small"`
		Exposed uint64 `json:"exposed"`
	}{s.Processed, s.Failed, s.Events, s.Still, s.Moving, s.Covered, s.Blurred, s.Small, s.Exposed}
	if p.json {
		return json.NewEncoder(p.w).Encode(map[string]any{"summary": sum})
	}
	_, err := fmt.Fprintf(p.w, "%d frames, %d without a result; %d events; nothing moved in %d; refused for blur %d, size %d, exposure %d\n",
		sum.Frames, sum.Failed, sum.Events, sum.Still, sum.Blurred, sum.Small, sum.Exposed)
	return err
}
