package pipeline

import (
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"xbmedge/agent/internal/motion"
	"xbmedge/agent/internal/strangers"
	"xbmedge/internal/gallery"
	"xbmedge/internal/vision"
)

// look is a thing in one frame of a stage play: where it is, which way its embedding points (degrees), and what the
// gallery says of it ("" is unknown).
type look struct {
	x     float64 // left edge; the box is 0.2 wide and high
	angle float64
	name  string
}

func stage(cfg TrackConfig, strange Strangers, frames [][]look) []string {
	n := 0
	tr := newTracker(cfg, false, func(time.Time) string { n++; return fmt.Sprint("e", n) }, strange)
	var out []string
	for i, things := range frames {
		at := time.Unix(int64(i), 0)
		var seen []sighting
		for _, l := range things {
			d := stranger(0.2)
			if l.name != "" {
				d = known(l.name, 0.8)
			}
			sin, cos := math.Sincos(l.angle * math.Pi / 180)
			s := sighting{decision: d, embedding: []float32{float32(cos), float32(sin)}}
			s.fill(at, Box{l.x, 0.4, 0.2, 0.2}, Latency{})
			seen = append(seen, s)
		}
		for _, e := range tr.see(at, seen) {
			out = append(out, fmt.Sprintf("%d:%s %s %s", i, e.Type, e.Identity.ID, e.ID))
		}
	}
	for _, e := range tr.end(time.Unix(int64(len(frames)), 0)) {
		out = append(out, fmt.Sprintf("end:%s %s", e.Identity.ID, e.ID))
	}
	return out
}

func repeat(n int, things ...look) [][]look {
	var out [][]look
	for range n {
		out = append(out, things)
	}
	return out
}

func TestSeveralThings(t *testing.T) {
	cfg := tracking()
	cfg.Similarity = 0.75
	var crossing [][]look
	for i := range 9 { // 0.1 a frame, half its size; they pass each other
		x := 0.1 * float64(i)
		crossing = append(crossing, []look{{x, 0, "a"}, {0.8 - x, 90, "b"}})
	}
	for _, tt := range []struct {
		name   string
		frames [][]look
		want   []string
	}{
		{
			"two side by side", repeat(4, look{0, 0, "a"}, look{0.6, 90, "b"}),
			[]string{"2:new a e1", "2:new b e2", "end:a e1", "end:b e2"},
		},
		{"two that cross keep their names", crossing, []string{"2:new a e1", "2:new b e2", "end:a e1", "end:b e2"}},
		{
			"a stranger in the place of a known thing is not called by its name",
			slices.Concat(repeat(4, look{0.4, 0, "a"}), repeat(4, look{0.4, 80, ""})),
			[]string{"2:new a e1", "6:end a e1", "6:new unknown e2", "end:unknown e2"},
		},
		{
			"a known thing that looks a little different holds its name",
			slices.Concat(repeat(5, look{0.4, 0, "a"}), repeat(3, look{0.4, 25, ""}), repeat(2, look{0.4, 0, "a"})),
			[]string{"2:new a e1", "end:a e1"},
		},
		{
			"lost and found elsewhere within the hold is one stay",
			slices.Concat(repeat(4, look{0, 0, "a"}), repeat(2), repeat(4, look{0.8, 0, "a"})),
			[]string{"2:new a e1", "end:a e1"},
		},
		{
			"two of a kind at once are two stays",
			repeat(4, look{0, 0, "a"}, look{0.7, 0, "a"}),
			[]string{"2:new a e1", "2:new a e2", "end:a e1", "end:a e2"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, stage(cfg, nil, tt.frames)); diff != "" {
				t.Errorf("events (-want +got):\n%s", diff)
			}
		})
	}
}

// What is doubted: frames that are nearer to another thing than to the name that was told, though none is near enough.
func TestWrongNameIsDroppedWhenSomethingElseIsNearer(t *testing.T) {
	tr := newTracker(TrackConfig{Window: 5, MinFrames: 3, HoldFrames: 50, UpdateGain: 1}, false, func(time.Time) string { return "e" }, nil)
	see := func(d gallery.Decision) []Event {
		return tr.see(time.Unix(0, 0), []sighting{sight(time.Unix(0, 0), d)})
	}
	for range 30 {
		see(known("a", 0.7))
	}
	doubt := stranger(0.4)
	doubt.TopK = []gallery.Candidate{{Identity: gallery.Identity{ID: "b"}, Score: 0.4}}
	for i := range 3 {
		if out := see(doubt); (len(out) > 0 && out[0].Type == TrackEnd) != (i == 2) {
			t.Errorf("frame %d of doubt: %+v", i+1, out)
		}
	}
}

func TestNamesThatAreNotSettledAreNotTold(t *testing.T) {
	near := known("a", 0.6)
	near.Margin = 0.01 // its distance is 0.988 of the runner-up's
	alone := known("a", 0.2)
	alone.Threshold, alone.Margin = 0.1, alone.Score // the gallery has nothing else
	for _, tt := range []struct {
		name   string
		change func(*TrackConfig)
		film   []gallery.Decision
		told   bool
	}{
		{"clear", func(*TrackConfig) {}, []gallery.Decision{known("a", 0.6), known("a", 0.6), known("a", 0.6)}, true},
		{"too close to the runner-up", func(c *TrackConfig) { c.Margin = 0.05 }, []gallery.Decision{near, near, near}, false},
		{"hardly nearer than the runner-up", func(c *TrackConfig) { c.Ratio = 0.95 }, []gallery.Decision{near, near, near}, false},
		{"nearer than the runner-up", func(c *TrackConfig) { c.Ratio = 0.99 }, []gallery.Decision{near, near, near}, true},
		{"no runner-up", func(c *TrackConfig) { c.Ratio = 0.1; c.Window, c.MinFrames = 1, 1 }, []gallery.Decision{alone, alone, alone}, true},
		{"not long enough", func(c *TrackConfig) { c.Dwell = time.Minute }, []gallery.Decision{known("a", 0.6), known("a", 0.6), known("a", 0.6)}, false},
		{"unknown too soon", func(c *TrackConfig) { c.UnknownFrames = 4 }, []gallery.Decision{stranger(0.1), stranger(0.1), stranger(0.1)}, false},
		{
			"weak votes against strong ones", func(c *TrackConfig) { c.Window = 7 },
			[]gallery.Decision{known("b", 0.9), known("b", 0.9), known("a", 0.501), known("a", 0.501), known("a", 0.501)},
			false,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cfg := tracking()
			tt.change(&cfg)
			tr := newTracker(cfg, true, func(time.Time) string { return "e" }, nil)
			told := 0
			for i, d := range tt.film {
				at := time.Unix(int64(i), 0)
				told += len(tr.see(at, []sighting{sight(at, d)}))
			}
			if (told > 0) != tt.told {
				t.Errorf("%d events", told)
			}
		})
	}
}

func TestStrangersKeepTheirIDs(t *testing.T) {
	store, err := strangers.New(gallery.Model{Dim: 2}, 10)
	if err != nil {
		t.Fatal(err)
	}
	cfg := tracking()
	cfg.Similarity = 0.75
	frames := slices.Concat(repeat(4, look{0.4, 0, ""}), repeat(6), repeat(4, look{0.4, 90, ""}), repeat(6), repeat(4, look{0.1, 5, ""}))
	want := []string{
		"2:new unknown-1 e1", "7:end unknown-1 e1", "12:new unknown-2 e2", "17:end unknown-2 e2", "22:new unknown-1 e3", "end:unknown-1 e3",
	}
	if diff := cmp.Diff(want, stage(cfg, store, frames)); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}

func TestMoreThingsThanTracks(t *testing.T) {
	tr := newTracker(tracking(), false, func(time.Time) string { return "e" }, nil)
	for i := range 40 {
		at := time.Unix(int64(i), 0)
		var seen []sighting
		for j := range maxRegions { // other places and looks each time
			s := sighting{decision: stranger(0), embedding: []float32{float32((i + j) % 2), float32((i + j + 1) % 2)}}
			s.fill(at, Box{float64((i*3+j)%20) / 20, float64(i%7) / 7, 0.01, 0.01}, Latency{})
			seen = append(seen, s)
		}
		tr.see(at, seen)
		if len(tr.tracks) > maxTracks || len(tr.tracks)+len(tr.spare) != maxTracks {
			t.Fatalf("%d tracks and %d to spare", len(tr.tracks), len(tr.spare))
		}
	}
}

// stripes embeds a picture by the brightness of its parts, so that each region has its own embedding.
type stripes struct{ calls int }

func (*stripes) Dim() int { return 1 }

func (s *stripes) Embed(dst []float32, f vision.Frame) error {
	s.calls++
	_, brightness := measure(f)
	dst[0] = float32(brightness)
	return nil
}

// square paints a grey square on black.
func square(f vision.Frame, x, y, side int, v byte) {
	for row := y; row < y+side; row++ {
		for i := 3 * (row*f.Width + x); i < 3*(row*f.Width+x+side); i++ {
			f.Pix[i] = v
		}
	}
}

func moves() motion.Config { return motion.Config{Level: 12, MinArea: 0.002, MaxArea: 0.9} }

func TestNothingMovedNothingEmbedded(t *testing.T) {
	e := &stripes{}
	p := &fakePublisher{}
	d := deps(nil, func(int) gallery.Decision { return known("a", 0.8) }, p)
	d.Embedder = e
	c, err := New(Config{Camera: "cam", Track: tracking(), Motion: moves(), Gate: true}, d)
	if err != nil {
		t.Fatal(err)
	}
	f := &Frame{Frame: vision.NewFrame(320, 240)}
	for i := range 50 {
		f.Captured = time.Unix(int64(i), 0)
		c.process(f)
	}
	s := c.Stats()
	if e.calls != 3 || s.Still != 47 || s.Processed != 50 || len(p.events) != 1 {
		t.Errorf("embedded %d times (want 3, until it is settled), stats %+v, %d events", e.calls, s, len(p.events))
	}
	square(f.Frame, 100, 100, 40, 200)
	c.process(f)
	if s := c.Stats(); e.calls != 4 || s.Moving != 2 || s.Covered != 2 {
		t.Errorf("after a movement embedded %d times, stats %+v", e.calls, s)
	}
}

// onlooker counts what it is shown.
type onlooker struct {
	wants bool
	saw   int
}

func (o *onlooker) Wants() bool                 { return o.wants }
func (o *onlooker) Saw(vision.Frame, []float32) { o.saw++ }

func TestGateOpensForOnlookersAndAnotherGallery(t *testing.T) {
	o, e := &onlooker{}, &stripes{}
	d := deps(nil, func(int) gallery.Decision { return known("a", 0.8) }, &fakePublisher{})
	d.Embedder, d.Onlooker = e, o
	c, err := New(Config{Camera: "cam", Track: tracking(), Motion: moves(), Gate: true}, d)
	if err != nil {
		t.Fatal(err)
	}
	process := still(c, e)
	process(20) // until it is settled
	if n := process(10); n != 0 || o.saw != 0 {
		t.Fatalf("%d of 10 frames without movement embedded, %d seen", n, o.saw)
	}
	o.wants = true
	if n := process(10); n != 10 || o.saw != 10 {
		t.Errorf("an onlooker saw %d of 10 frames, %d embedded", o.saw, n)
	}
	o.wants = false
	c.LookAnew()
	if n := process(20); n != tracking().Window {
		t.Errorf("with another gallery %d frames embedded, want the %d that decide on a name", n, tracking().Window)
	}
}

// Each event has the picture of its own region, though they share a buffer.
func TestEventsHaveTheirPicture(t *testing.T) {
	p := &fakePublisher{}
	type told struct {
		Picture   byte // its first pixel
		Embedding float32
	}
	var got []told
	p.onEvent = func(e Event) {
		if e.Type != TrackEnd {
			got = append(got, told{e.Picture.Pix[0], e.Embedding[0]})
		}
	}
	d := deps(nil, func(n int) gallery.Decision { return known(fmt.Sprint("v", n&0xff), 0.8) }, p)
	c, err := New(Config{Camera: "cam", Track: tracking(), Regions: RegionConfig{Kind: RegionBoxes, Boxes: []Box{{0, 0, 0.5, 1}, {0.5, 0, 0.5, 1}}}}, d)
	if err != nil {
		t.Fatal(err)
	}
	f := &Frame{Frame: vision.NewFrame(200, 100)}
	square(f.Frame, 0, 0, 100, 50)
	square(f.Frame, 100, 0, 100, 200)
	for range 5 {
		f.Captured = f.Captured.Add(time.Second)
		c.process(f)
	}
	c.finish(f.Captured)
	want := []told{{50, 50 | 50<<8}, {200, 200 | 200<<8}} // the embedding is what the first two bytes say
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestGates(t *testing.T) {
	sharp := vision.NewFrame(90, 60)
	for i := range sharp.Pix {
		sharp.Pix[i] = byte(i / 3 % 2 * 200)
	}
	grey := vision.NewFrame(90, 60)
	square(grey, 0, 0, 60, 100)
	for name, tt := range map[string]struct {
		f    vision.Frame
		gate GateConfig
		want Stats
	}{
		"open":      {sharp, GateConfig{Blur: 10, Size: 60, Dark: 10, Bright: 250}, Stats{}},
		"blurred":   {grey, GateConfig{Blur: 10}, Stats{Blurred: 1}},
		"small":     {sharp, GateConfig{Size: 61}, Stats{Small: 1}},
		"dark":      {vision.NewFrame(90, 60), GateConfig{Dark: 1}, Stats{Exposed: 1}},
		"bright":    {sharp, GateConfig{Bright: 50}, Stats{Exposed: 1}},
		"one pixel": {vision.NewFrame(1, 1), GateConfig{Size: 2}, Stats{Small: 1}},
	} {
		t.Run(name, func(t *testing.T) {
			e := &stripes{}
			d := deps(nil, func(int) gallery.Decision { return stranger(0) }, &fakePublisher{})
			d.Embedder = e
			c, err := New(Config{Camera: "cam", Track: tracking(), Quality: tt.gate}, d)
			if err != nil {
				t.Fatal(err)
			}
			c.process(&Frame{Frame: tt.f})
			s := c.Stats()
			got := Stats{Blurred: s.Blurred, Small: s.Small, Exposed: s.Exposed}
			if diff := cmp.Diff(tt.want, got); diff != "" || (e.calls == 1) != (tt.want == Stats{}) {
				t.Errorf("embedded %d times, gates (-want +got):\n%s", e.calls, diff)
			}
		})
	}
}

func TestRegions(t *testing.T) {
	for _, tt := range []struct {
		name string
		cfg  RegionConfig
		want []Box
	}{
		{"whole", RegionConfig{}, []Box{{0, 0, 1, 1}}},
		{"boxes", RegionConfig{Kind: RegionBoxes, Boxes: []Box{{0, 0, 0.5, 1}, {0.5, 0.5, 0.25, 0.25}}}, []Box{{0, 0, 0.5, 1}, {0.5, 0.5, 0.25, 0.25}}},
		{"motion", RegionConfig{Kind: RegionMotion, Margin: 0.1}, []Box{{0.25, 0.25, 0.25, 1.0 / 3}}},
		{"at most one", RegionConfig{Kind: RegionBoxes, Max: 1, Boxes: []Box{{0, 0, 0.5, 1}, {0.5, 0.5, 0.25, 0.25}}}, []Box{{0, 0, 0.5, 1}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var traced []Trace
			d := deps(nil, func(int) gallery.Decision { return stranger(0) }, &fakePublisher{})
			d.Embedder, d.Trace = &stripes{}, func(tr *Trace) { traced = append(traced, *tr) }
			c, err := New(Config{Camera: "cam", Track: tracking(), Motion: moves(), Regions: tt.cfg}, d)
			if err != nil {
				t.Fatal(err)
			}
			f := &Frame{Frame: vision.NewFrame(320, 240)}
			c.process(f)
			square(f.Frame, 80, 60, 80, 200)
			c.process(f)
			var got []Box
			for _, r := range traced[1].Regions {
				got = append(got, r.Box)
			}
			near := cmp.Comparer(func(a, b float64) bool { return math.Abs(a-b) < 0.03 })
			if diff := cmp.Diff(tt.want, got, near); diff != "" {
				t.Errorf("regions (-want +got):\n%s", diff)
			}
		})
	}
}

// Pictures of any size, none at all, and a stream that changes its size: no panic, and what is no picture is counted.
func TestAnyFrame(t *testing.T) {
	for _, kind := range []RegionConfig{{}, {Kind: RegionBoxes, Boxes: []Box{{0.9, 0.9, 0.1, 0.1}}}, {Kind: RegionMotion, Margin: 1}} {
		d := deps(nil, func(int) gallery.Decision { return stranger(0) }, &fakePublisher{})
		d.Embedder = &stripes{}
		c, err := New(Config{
			Camera: "cam", Track: tracking(), Motion: moves(), Gate: true, Regions: kind, Presence: PresenceConfig{Detail: 1, Change: 1},
			Quality: GateConfig{Size: 2},
		}, d)
		if err != nil {
			t.Fatal(err)
		}
		for round := range 2 {
			for _, size := range [][2]int{{1, 1}, {2, 3}, {640, 480}, {1, 500}, {8000, 6000}, {480, 640}} {
				f := vision.NewFrame(size[0], size[1])
				for i := range f.Pix {
					f.Pix[i] = byte(i * (round + 1))
				}
				c.process(&Frame{Frame: f})
			}
			c.process(&Frame{})
			c.process(&Frame{Frame: vision.Frame{Width: 4, Height: 4, Pix: make([]byte, 3)}})
		}
		if s := c.Stats(); s.Failed != 4 || s.Processed != 16 {
			t.Errorf("%s: stats %+v; want 4 of 16 frames failed", kind.Kind, s)
		}
	}
}

func TestConfigChecks(t *testing.T) {
	for name, change := range map[string]func(*Config){
		"box outside":      func(c *Config) { c.Regions = RegionConfig{Kind: RegionBoxes, Boxes: []Box{{0.6, 0, 0.5, 1}}} },
		"no boxes":         func(c *Config) { c.Regions.Kind = RegionBoxes },
		"boxes, but whole": func(c *Config) { c.Regions.Boxes = []Box{whole()} },
		"strange kind":     func(c *Config) { c.Regions.Kind = "cloud" },
		"margin":           func(c *Config) { c.Regions.Margin = math.NaN() },
		"too many":         func(c *Config) { c.Regions.Max = maxRegions + 1 },
		"no detector":      func(c *Config) { c.Regions.Kind = RegionDetector },
		"no motion":        func(c *Config) { c.Regions.Kind, c.Motion = RegionMotion, motion.Config{} },
		"motion level":     func(c *Config) { c.Motion.Level = 0 },
		"gates":            func(c *Config) { c.Quality = GateConfig{Dark: 100, Bright: 50} },
		"similarity":       func(c *Config) { c.Track.Similarity = 2 },
		"negative dwell":   func(c *Config) { c.Track.Dwell = -1 },
	} {
		cfg := Config{Camera: "cam", Track: tracking(), Motion: moves()}
		change(&cfg)
		if _, err := New(cfg, deps(nil, nil, &fakePublisher{})); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestRegionsAllocateNothing(t *testing.T) {
	for _, kind := range []RegionConfig{
		{}, {Kind: RegionBoxes, Boxes: []Box{{0, 0, 0.5, 0.5}, {0.5, 0.5, 0.5, 0.5}}}, {Kind: RegionMotion, Margin: 0.1},
	} {
		p := &fakePublisher{}
		d := deps(nil, func(int) gallery.Decision { return stranger(0.2) }, p)
		d.Embedder = &stripes{}
		c, err := New(Config{
			Camera: "cam", Track: tracking(), Motion: moves(), Gate: true, Regions: kind, Presence: PresenceConfig{Detail: 1},
			Quality: GateConfig{Size: 8, Dark: 1},
		}, d)
		if err != nil {
			t.Fatal(err)
		}
		var frames []*Frame
		for i := range 3 {
			f := &Frame{Frame: vision.NewFrame(640, 480)}
			for j := range f.Pix {
				f.Pix[j] = byte(100 + j/3%2*60)
			}
			if i < 2 {
				square(f.Frame, 100+40*i, 100, 200, 250)
			}
			frames = append(frames, f)
		}
		c.process(frames[2])
		n := 0
		step := func() { n++; c.process(frames[n%2]) }
		for range 40 {
			step()
		}
		if got := testing.AllocsPerRun(100, step); got != 0 {
			t.Errorf("%s: %v allocations for one frame", kind.Kind, got)
		}
		if s := c.Stats(); s.Covered < 100 {
			t.Errorf("%s: only %d frames were embedded", kind.Kind, s.Covered)
		}
	}
}

// still returns what shows a camera the same picture, a second apart, and says how often it was embedded.
func still(c *Camera, e *stripes) func(frames int) (embedded int) {
	f := &Frame{Frame: vision.NewFrame(320, 240)}
	return func(frames int) (embedded int) {
		before := e.calls
		for range frames {
			f.Captured = f.Captured.Add(time.Second)
			c.process(f)
		}
		return e.calls - before
	}
}
