package command

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"slices"
	"strings"
	"time"

	"xbmedge/agent/internal/capture"
	"xbmedge/agent/internal/config"
	"xbmedge/camera"
	"xbmedge/internal/atomicfile"
	"xbmedge/internal/cli"
	"xbmedge/internal/vision"
)

// trialFlags is the command line of cameras test.
type trialFlags struct {
	source  func() (path string, set []string)
	seconds float64
	save    string
	json    bool
	verbose bool
}

func camerasTest() cli.Command {
	return cli.Command{
		Name: "test", Args: "NAME|KIND:ADDRESS", Summary: "open a camera as the agent does, and measure what it gives",
		Long: `Takes a camera of the configuration by its name, or any by its kind and address, and
reads it for some seconds through a capture process, as a running agent does. It
prints the size and rate of the frames, how old they are when they arrive (latency),
how unevenly they come (jitter), and how many were left out. What is measured has no
limit on the frame rate. The exit code is 1 when the camera gives no frames, stalls
or freezes. End a running agent first where a device takes one program only.`,
		Examples: `xbm-agent cameras test front_door --save now.jpg
xbm-agent cameras test device:/dev/video0 --seconds 10
xbm-agent cameras test rtsp://camera:554/stream --json
xbm-agent cameras test test:size=1920x1080,fps=30`,
		Setup: func(f *cli.Flags) cli.Func {
			o := trialFlags{source: sourceFlags(f)}
			f.Float64Var(&o.seconds, "seconds", 5, "measure for `SECONDS`")
			f.StringVar(&o.save, "save", "", "write the last frame to this `FILE` (JPEG)")
			f.BoolVar(&o.json, "json", false, "print JSON")
			f.BoolVar(&o.verbose, "verbose", false, "say on stderr what the capture process says")
			return o.run
		},
	}
}

// trial is what `cameras test --json` prints.
type trial struct {
	Camera    string  `json:"camera"`
	Frames    int     `json:"frames"`
	Width     int     `json:"width"`
	Height    int     `json:"height"`
	OpenMS    float64 `json:"open_ms"` // to the first frame
	FPS       float64 `json:"fps"`
	LatencyMS float64 `json:"latency_ms"` // median, from read in the capture process to here
	Latency95 float64 `json:"latency_p95_ms"`
	JitterMS  float64 `json:"jitter_ms"` // standard deviation of the time between frames
	Dropped   uint64  `json:"dropped"`
	Error     string  `json:"error,omitempty"`
}

func (o *trialFlags) run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	if len(args) != 1 {
		return cli.Usagef("cameras test: want one camera, by its name or as KIND:ADDRESS")
	}
	if !(o.seconds > 0 && o.seconds <= 3600) {
		return cli.Usagef("cameras test: --seconds is %v, want more than 0, up to 3600", o.seconds)
	}
	if o.save != "" {
		if err := atomicfile.Check(o.save); err != nil {
			return err
		}
	}
	cam, err := o.camera(args[0])
	if err != nil {
		return err
	}
	log := slog.New(slog.DiscardHandler)
	if o.verbose {
		log = slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	result, last, failed := try(ctx, cam, time.Duration(o.seconds*float64(time.Second)), log)
	switch {
	case o.json:
		err = json.NewEncoder(stdout).Encode(result)
	case result.Frames > 0:
		err = result.write(stdout)
	}
	if o.save != "" && result.Frames > 0 {
		err = errors.Join(err, atomicfile.Write(o.save, 0o644, func(w io.Writer) error { return vision.EncodeJPEG(w, last.Frame, 90) }))
	}
	return errors.Join(failed, err)
}

// camera is the one of the configuration with that name, or KIND:ADDRESS; a URL's scheme will do for a kind.
func (o *trialFlags) camera(name string) (config.Camera, error) {
	var cam config.Camera
	cam.SetDefaults()
	kind, address, both := strings.Cut(name, ":")
	if both {
		cam.Kind, cam.Address = kind, address
		if strings.HasPrefix(address, "//") {
			cam.Kind, cam.Address = strings.TrimSuffix(kind, "s"), name
		}
		if !slices.Contains(camera.Kinds(), camera.Kind(cam.Kind)) {
			return cam, cli.Usagef("cameras test: %q is not one of %v", kind, camera.Kinds())
		}
		return cam, nil
	}
	path, set := o.source()
	if path == "" && len(set) == 0 {
		return cam, cli.Usagef("cameras test: a camera's name takes --config; without it name the camera as KIND:ADDRESS, such as device:/dev/video0")
	}
	cfg, err := config.Load(path, set...)
	if err != nil {
		return cam, err
	}
	cam, ok := cfg.Cameras[name]
	if !ok {
		return cam, fmt.Errorf("no camera %q is configured: `xbm-agent cameras list --config %s` names them", name, path)
	}
	return cam, nil
}

// try reads a camera for some time. What it returns is good as far as it goes when there is an error.
func try(ctx context.Context, cam config.Camera, length time.Duration, log *slog.Logger) (result trial, last camera.Frame, err error) {
	source := cam.Source()
	source.FPS = 0 // as fast as it gives them
	if camera.Kind(cam.Kind).Local() {
		source.FPS = cam.FPS // which is asked of it
	}
	result.Camera = source.String()
	defer func() {
		if err != nil {
			result.Error = err.Error()
		}
	}()
	counts := &capture.Counts{}
	began := time.Now()
	src, err := capture.Open(ctx, capture.Options{
		Camera: source, Stall: cam.Stall, Frozen: cam.FrozenLimit(), Counts: counts, Log: log,
	})
	if err != nil {
		return result, last, err
	}
	defer func() { err = errors.Join(err, src.Close()) }()
	var ages, times []time.Duration
	for len(times) == 0 || times[len(times)-1]-times[0] < length {
		if err := src.Read(ctx, &last); err != nil {
			if errors.Is(err, io.EOF) && result.Frames > 0 {
				break
			}
			result.summarise(ages, times, counts)
			return result, last, fmt.Errorf("camera %s, after %d frames: %w", source, result.Frames, err)
		}
		result.Frames++
		result.Width, result.Height = last.Width, last.Height
		ages = append(ages, time.Since(last.Captured))
		times = append(times, last.Captured.Sub(began))
	}
	result.summarise(ages, times, counts)
	return result, last, nil
}

func (r *trial) summarise(ages, times []time.Duration, counts *capture.Counts) {
	ms := func(d time.Duration) float64 { return math.Round(float64(d.Microseconds())/10) / 100 }
	r.Dropped = counts.Dropped.Load()
	if len(times) == 0 {
		return
	}
	r.OpenMS = ms(times[0])
	slices.Sort(ages)
	r.LatencyMS, r.Latency95 = ms(ages[len(ages)/2]), ms(ages[len(ages)*95/100])
	span := (times[len(times)-1] - times[0]).Seconds()
	if len(times) < 2 || span <= 0 {
		return
	}
	r.FPS = math.Round(100*float64(len(times)-1)/span) / 100
	mean, sum := span/float64(len(times)-1), 0.0
	for i := 1; i < len(times); i++ {
		d := (times[i] - times[i-1]).Seconds() - mean
		sum += d * d
	}
	r.JitterMS = ms(time.Duration(math.Sqrt(sum/float64(len(times)-1)) * float64(time.Second)))
}

func (r *trial) write(w io.Writer) error {
	_, err := fmt.Fprintf(w, `camera   %s
frames   %d of %d×%d, %.1f a second, %d left out
first    after %.0f ms
latency  %.1f ms, 95 %% within %.1f ms
jitter   %.1f ms
`, r.Camera, r.Frames, r.Width, r.Height, r.FPS, r.Dropped, r.OpenMS, r.LatencyMS, r.Latency95, r.JitterMS)
	return err
}
