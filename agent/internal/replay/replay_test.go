package replay_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"io"
	"log/slog"
	"math"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"xbmedge/agent/internal/config"
	"xbmedge/agent/internal/pipeline"
	"xbmedge/agent/internal/replay"
	"xbmedge/agent/internal/strangers"
	"xbmedge/camera"
	"xbmedge/internal/clip"
	"xbmedge/internal/embed"
	"xbmedge/internal/gallery"
	"xbmedge/internal/nn"
	"xbmedge/internal/photos"
	"xbmedge/internal/testdata"
	"xbmedge/internal/tflite"
	"xbmedge/internal/tflitefile"
	"xbmedge/internal/vision"
)

// settings are the shipped ones.
func settings() pipeline.Config {
	cfg := config.Default()
	var cam config.Camera
	cam.SetDefaults()
	cam.Kind, cam.FPS = "file", 0
	cfg.Cameras = map[string]config.Camera{"cam": cam}
	return cfg.Pipeline("cam")
}

// shades is a model that embeds a picture by its mean red, green and blue.
type shades struct{}

func (shades) Dim() int { return 3 }

func (shades) Embed(dst []float32, f vision.Frame) error {
	clear(dst)
	for i := range f.Pix {
		dst[i%3] += float32(f.Pix[i])
	}
	norm := float32(math.Sqrt(float64(dst[0]*dst[0] + dst[1]*dst[1] + dst[2]*dst[2])))
	for i := range dst {
		dst[i] /= max(norm, 1)
	}
	return nil
}

// reel gives frames of one letter each: r, g and b are checks of that colour, . a wall, ! a frame that cannot be read.
type reel struct {
	film string
	at   int
}

var errTorn = errors.New("the film is torn")

func (s *reel) Read(_ context.Context, f *pipeline.Frame) error {
	if s.at == len(s.film) {
		return io.EOF
	}
	f.Frame = vision.NewFrame(96, 96)
	for i := range f.Pix {
		v := byte(90 + 120*((i/3%96/3+i/3/96/3)%2))
		switch channel := i % 3; s.film[s.at] {
		case '!':
			return errTorn
		case '.':
			f.Pix[i] = 128
		case "rgb"[channel]:
			f.Pix[i] = v
		}
	}
	s.at++
	return nil
}

func (*reel) Close() error { return nil }

// told is everything that a replay says, as JSON lines.
func told(t *testing.T, film string, change func(*replay.Options)) (string, error) {
	t.Helper()
	g, err := gallery.New(gallery.Model{Dim: 3})
	if err != nil {
		t.Fatal(err)
	}
	for id, v := range map[string][]float32{"red": {1, 0, 0}, "green": {0, 1, 0}} {
		if err := g.Enroll(id, id, [][]float32{v}); err != nil {
			t.Fatal(err)
		}
	}
	matcher, err := gallery.NewMatcher(g, 2, 0.9)
	if err != nil {
		t.Fatal(err)
	}
	store, err := strangers.New(g.Model(), 5)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	o := replay.Options{
		Pipeline: settings(), FPS: 25, Embedder: shades{}, Matcher: matcher, Strangers: store, Log: slog.New(slog.DiscardHandler),
		Event: func(e *pipeline.Event) error { return encoder.Encode(e) },
		Trace: func(tr *pipeline.Trace) {
			if err := encoder.Encode(tr); err != nil {
				t.Error(err)
			}
		},
	}
	change(&o)
	_, err = replay.Run(t.Context(), func(context.Context) (pipeline.Source, error) { return &reel{film: film}, nil }, o)
	return out.String(), err
}

func TestTheSameClipGivesTheSameBytes(t *testing.T) {
	const film = "....rrrrrrrrrr................................................................bbbbbbbbbbggggggggg"
	first, err := told(t, film, func(*replay.Options) {})
	if err != nil {
		t.Fatal(err)
	}
	if len(first) < 10_000 || !bytes.Contains([]byte(first), []byte("unknown-1")) {
		t.Errorf("it told %d bytes", len(first))
	}
	for range 3 {
		time.Sleep(time.Millisecond) // another moment
		again, err := told(t, film, func(*replay.Options) {})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(first, again); diff != "" {
			t.Fatalf("another time (-first +second):\n%s", diff)
		}
	}
}

// Time is the clip's: the hold of 2 s ends after 2 s of frames, however fast they are played.
func TestTimeIsTheClips(t *testing.T) {
	film := "rrrrrrrrrr" + string(bytes.Repeat([]byte("."), 75))
	for _, tt := range []struct {
		fps, limit float64
		want       []string
	}{
		{25, 0, []string{"0.08 new red", "2.36 end red"}},
		{5, 0, []string{"0.4 new red", "3.8 end red"}},
		{25, 12.5, []string{"0.16 new red", "2.32 end red"}}, // every other frame
	} {
		var got []string
		_, err := told(t, film, func(o *replay.Options) {
			o.FPS, o.Pipeline.FPS = tt.fps, tt.limit
			o.Event = func(e *pipeline.Event) error {
				got = append(got, fmt.Sprint(float64(e.Time.UnixMilli())/1000, " ", e.Type, " ", e.Identity.ID))
				return nil
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%v frames/s, at most %v (-want +got):\n%s", tt.fps, tt.limit, diff)
		}
	}
}

func TestWhatGoesWrongIsTold(t *testing.T) {
	full := errors.New("the disk is full")
	for _, tt := range []struct {
		name, film string
		change     func(*replay.Options)
		want       error
	}{
		{"a damaged clip", "rrrr!", func(*replay.Options) {}, errTorn},
		{"no room for the events", "rrrrr", func(o *replay.Options) { o.Event = func(*pipeline.Event) error { return full } }, full},
		{"no rate", "r", func(o *replay.Options) { o.FPS = math.NaN() }, nil},
		{"bad settings", "r", func(o *replay.Options) { o.Pipeline.Track.Window = 0 }, nil},
	} {
		_, err := told(t, tt.film, tt.change)
		if err == nil || tt.want != nil && !errors.Is(err, tt.want) {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}

// shaky is a hand-held camera in poor light: each frame is shifted by a few pixels and has noise.
type shaky struct {
	pipeline.Source
	rng *rand.Rand
}

func (s shaky) Read(ctx context.Context, f *pipeline.Frame) error {
	const reach = 6
	if err := s.Source.Read(ctx, f); err != nil {
		return err
	}
	x, y := s.rng.IntN(2*reach), s.rng.IntN(2*reach)
	part, err := f.Crop(image.Rect(x, y, f.Width-2*reach+x, f.Height-2*reach+y))
	if err != nil {
		return err
	}
	for i, v := range part.Pix {
		part.Pix[i] = byte(max(0, min(255, int(v)+s.rng.IntN(9)-4)))
	}
	f.Frame = part
	return nil
}

type cameraSource struct{ camera.Source }

func (s cameraSource) Read(ctx context.Context, f *pipeline.Frame) error {
	return s.Source.Read(ctx, (*camera.Frame)(f))
}

// Real photos of things that are enrolled and of things that are not, one after another before a shaky camera, with a
// bare wall between them: each is told once, by its own name or as unknown, and never by another's for long.
func TestPhotosBeforeAShakyCamera(t *testing.T) {
	if testing.Short() {
		t.Skip("long with the race detector; runs without it")
	}
	e := mobileNet(t)
	list, err := photos.List(testdata.Dir(t, "grocery/test"))
	if err != nil {
		t.Fatal(err)
	}
	var chosen []photos.Photo
	foreign := map[string]bool{}
	for _, p := range list { // the first photo of every fourth class
		if n := len(chosen); n > 0 && chosen[n-1].Class == p.Class {
			continue
		}
		chosen = append(chosen, p)
	}
	chosen = slices.DeleteFunc(chosen, func(p photos.Photo) bool {
		i := slices.Index(chosen, p)
		return i%4 != 0
	})
	for i, p := range chosen {
		foreign[p.Class] = i%2 == 1
	}
	path := filepath.Join(t.TempDir(), "clip.mjpeg")
	index, _, err := clip.FromPhotos(t.Context(), path, chosen, clip.PhotoOptions{Seed: 3, Frames: 14, EmptyEvery: 1, Strangers: foreign})
	if err != nil {
		t.Fatal(err)
	}
	g := enrolled(t, e, chosen, foreign)
	matcher, err := gallery.NewMatcher(g, 3, 0)
	if err != nil {
		t.Fatal(err)
	}
	store, err := strangers.New(g.Model(), 50)
	if err != nil {
		t.Fatal(err)
	}
	var events []pipeline.Event
	names := map[uint64][]string{} // told of what is seen, by frame
	cfg := settings()
	cfg.Presence.Detail = 4 // the photos are shown from further away than a thing held close
	stats, err := replay.Run(t.Context(), func(context.Context) (pipeline.Source, error) {
		src, err := camera.Open(camera.Config{Kind: camera.File, Address: path}, camera.Parts{Log: slog.New(slog.DiscardHandler)}) //nolint:contextcheck // a stream goes on until Close
		return shaky{cameraSource{src}, rand.New(rand.NewPCG(5, 5))}, err
	}, replay.Options{
		Pipeline: cfg, FPS: 10, Embedder: e, Matcher: matcher, Strangers: store, Log: slog.New(slog.DiscardHandler),
		Event: func(e *pipeline.Event) error { events = append(events, *e); return nil },
		Trace: func(tr *pipeline.Trace) {
			for _, track := range tr.Tracks {
				if track.Absent == 0 && track.ToldAs != "" && track.ToldAs != gallery.UnknownID {
					names[tr.Seq] = append(names[tr.Seq], track.ToldAs)
				}
			}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d frames, %d embedded while something moved, %d in which nothing did; %d events", stats.Processed, stats.Covered, stats.Still, stats.Events)
	for _, s := range index.Segments {
		var news []string
		for _, e := range events {
			if frame := int(math.Round(e.Time.Sub(time.Unix(0, 0)).Seconds() * 10)); e.Type == pipeline.TrackNew && frame >= s.First && frame <= s.Last {
				news = append(news, e.Identity.ID)
			}
		}
		want := gallery.Slug(s.Class)
		switch {
		case s.Kind == clip.Empty && len(news) > 0:
			t.Errorf("frames %d to %d show a wall, told were %v", s.First, s.Last, news)
		case s.Kind == clip.Enrolled && !slices.Equal(news, []string{want}):
			t.Errorf("frames %d to %d show %s, told were %v", s.First, s.Last, want, news)
		case s.Kind == clip.Stranger && (len(news) != 1 || !bytes.HasPrefix([]byte(news[0]), []byte("unknown-"))):
			t.Errorf("frames %d to %d show a stranger, %s, told were %v", s.First, s.Last, want, news)
		}
		wrong := 0
		for n := s.First + 1; n <= s.Last+1; n++ {
			if slices.ContainsFunc(names[uint64(n)], func(id string) bool { return id != want || s.Kind != clip.Enrolled }) {
				if wrong++; wrong == 4 {
					t.Errorf("%s (%s) has a wrong name for more than 3 frames: %v", want, s.Kind, names[uint64(n)])
				}
			} else {
				wrong = 0
			}
		}
	}
}

// mobileNet is an embedder from published weights, at a quarter of the pixels they were trained with, for speed.
func mobileNet(t *testing.T) *embed.Embedder {
	t.Helper()
	if err := tflite.Available(); err != nil {
		t.Skip("needs TensorFlow Lite: ", err)
	}
	w, err := nn.ReadSafetensors(testdata.File(t, "mobilenetv2/mobilenetv2_1.0_224_tf_folded.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	m, err := tflitefile.FromNetwork(nn.MobileNetV2(1, 128), w, tflitefile.Options{})
	if err != nil {
		t.Fatal(err)
	}
	file, err := tflitefile.Encode(m)
	if err != nil {
		t.Fatal(err)
	}
	e, err := embed.New(file, embed.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	return e
}

// enrolled is a gallery of the photos that are not foreign, each in a few parts of its middle.
func enrolled(t *testing.T, e *embed.Embedder, list []photos.Photo, foreign map[string]bool) *gallery.Gallery {
	t.Helper()
	m := e.Model()
	g, err := gallery.New(gallery.Model{Name: m.Name, SHA256: m.SHA256, Dim: m.Dim})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range list {
		if foreign[p.Class] {
			continue
		}
		f, err := vision.DecodeFile(p.Path)
		if err != nil {
			t.Fatal(err)
		}
		var vectors [][]float32
		for _, part := range []float64{1, 0.95, 0.9} {
			side := int(part * float64(min(f.Width, f.Height)))
			x, y := (f.Width-side)/2, (f.Height-side)/2
			crop, err := f.Crop(image.Rect(x, y, x+side, y+side))
			if err != nil {
				t.Fatal(err)
			}
			v := make([]float32, e.Dim())
			if err := e.Embed(v, crop); err != nil {
				t.Fatal(err)
			}
			vectors = append(vectors, v)
		}
		if err := g.Enroll(gallery.Slug(p.Class), p.Class, vectors); err != nil {
			t.Fatal(err)
		}
	}
	if err := g.SetThreshold(0.85); err != nil {
		t.Fatal(err)
	}
	return g
}
