package motion

import (
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"xbmedge/internal/vision"
)

func config() Config { return Config{Level: 12, MinArea: 0.002, MaxArea: 0.9} }

// room is a picture with a gradient and a little noise, brighter by light.
func room(width, height int, seed uint64, light int) vision.Frame {
	f := vision.NewFrame(width, height)
	rng := rand.New(rand.NewPCG(seed, 1))
	for i := range f.Pix {
		f.Pix[i] = byte(60 + light + 60*(i/3%width)/width + rng.IntN(8))
	}
	return f
}

// put lays a rectangle of that brightness on a picture.
func put(f vision.Frame, x, y, w, h int, v byte) {
	for row := y; row < y+h; row++ {
		for i := 3 * (row*f.Width + x); i < 3*(row*f.Width+x+w); i++ {
			f.Pix[i] = v
		}
	}
}

func TestBoxes(t *testing.T) {
	type rectangle struct{ x, y, w, h int }
	for _, tt := range []struct {
		name   string
		light  int
		things []rectangle
		want   []vision.Box
	}{
		{"nothing but noise", 0, nil, nil},
		{"the light alone", 25, nil, nil},
		{"one thing", 0, []rectangle{{160, 120, 80, 64}}, []vision.Box{{X0: 160, Y0: 120, X1: 240, Y1: 184}}},
		{"one thing in another light", 8, []rectangle{{160, 120, 80, 64}}, []vision.Box{{X0: 160, Y0: 120, X1: 240, Y1: 184}}},
		{
			"two things, the larger first", 0,
			[]rectangle{{40, 40, 48, 48}, {400, 200, 120, 160}},
			[]vision.Box{{X0: 400, Y0: 200, X1: 520, Y1: 360}, {X0: 40, Y0: 40, X1: 88, Y1: 88}},
		},
		{"two parts of one thing", 0, []rectangle{{160, 120, 40, 64}, {208, 120, 40, 64}}, []vision.Box{{X0: 160, Y0: 120, X1: 248, Y1: 184}}},
		{"a speck", 0, []rectangle{{160, 120, 8, 8}}, nil},
		{"everything", 0, []rectangle{{0, 0, 640, 480}}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := New(config())
			for i := range 10 {
				d.Look(room(640, 480, uint64(i), 0))
				if got := d.Boxes(nil); got != nil {
					t.Fatalf("in an empty room: %v", got)
				}
			}
			f := room(640, 480, 99, tt.light)
			for _, r := range tt.things {
				put(f, r.x, r.y, r.w, r.h, 230)
			}
			d.Look(f)
			cell := cmpopts.EquateApprox(0, 8) // 640/80
			if diff := cmp.Diff(tt.want, d.Boxes(nil), cell); diff != "" {
				t.Errorf("boxes (-want +got):\n%s", diff)
			}
		})
	}
}

func TestLook(t *testing.T) {
	d := New(config())
	empty := room(320, 240, 1, 0)
	if !d.Look(empty) {
		t.Error("the first frame did not move")
	}
	d.Keep()
	for i := range 20 {
		if d.Look(room(320, 240, uint64(i), i/2)) { // it gets a little brighter, too
			t.Errorf("noise moved in frame %d", i)
		}
	}
	thing := room(320, 240, 2, 0)
	put(thing, 100, 100, 40, 40, 220)
	if !d.Look(thing) {
		t.Error("a thing that came did not move")
	}
	d.Keep()
	if d.Look(thing) {
		t.Error("a thing that stays moved")
	}
	if !d.Look(empty) {
		t.Error("a thing that went did not move")
	}
	d.Keep()
	if !d.Look(room(640, 480, 1, 0)) {
		t.Error("a stream of another size did not move")
	}
}

// What creeps is seen in the end: a thing that grows by less than the least area a frame.
func TestSlowMovementAddsUp(t *testing.T) {
	d := New(config())
	base := room(320, 240, 1, 0)
	d.Look(base)
	d.Keep()
	for i := 1; i <= 40; i++ {
		f := room(320, 240, 1, 0)
		put(f, 100, 100, 2*i, 8, 220)
		if d.Look(f) {
			if i < 3 {
				t.Errorf("moved in frame %d already", i)
			}
			return
		}
	}
	t.Error("never moved")
}

func TestWhatStaysBecomesBackground(t *testing.T) {
	if testing.Short() {
		t.Skip("long with the race detector; runs without it")
	}
	d := New(config())
	for i := range 20 {
		d.Look(room(320, 240, uint64(i), 0))
		d.Boxes(nil)
	}
	frames := 0
	for ; frames < 20_000; frames++ {
		f := room(320, 240, uint64(frames), 0)
		put(f, 100, 100, 60, 60, 160)
		d.Look(f)
		if len(d.Boxes(nil)) == 0 {
			break
		}
	}
	if frames < 300 || frames > 10_000 {
		t.Errorf("a thing put down was background after %d frames", frames)
	}
}

func TestConfigCheck(t *testing.T) {
	if err := config().Check(); err != nil {
		t.Error(err)
	}
	for name, c := range map[string]Config{
		"no level": {MinArea: 0.1, MaxArea: 0.5}, "areas the wrong way": {Level: 1, MinArea: 0.5, MaxArea: 0.1}, "too large": {Level: 1, MinArea: 0.1, MaxArea: 2},
	} {
		if c.Check() == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestAllocatesNothing(t *testing.T) {
	d := New(config())
	f := room(640, 480, 1, 0)
	d.Look(f)
	put(f, 100, 100, 80, 80, 250)
	boxes := make([]vision.Box, 0, 8)
	if n := testing.AllocsPerRun(50, func() { d.Look(f); boxes = d.Boxes(boxes[:0]); d.Keep() }); n != 0 || len(boxes) != 1 {
		t.Errorf("%v allocations, %d boxes", n, len(boxes))
	}
}

func BenchmarkLookAndBoxes(b *testing.B) {
	d := New(config())
	f := room(640, 480, 1, 0)
	d.Look(f)
	put(f, 100, 100, 80, 80, 250)
	var boxes []vision.Box
	b.ReportAllocs()
	for b.Loop() {
		d.Look(f)
		boxes = d.Boxes(boxes[:0])
		d.Keep()
	}
}
