package vision

import (
	"encoding/hex"
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// formula returns a frame that any language makes in one line: byte i is 31i² + 7i modulo 256.
func formula(width, height int) Frame {
	f := NewFrame(width, height)
	for i := range f.Pix {
		f.Pix[i] = byte(i*i*31 + i*7)
	}
	return f
}

// The bytes come from Pillow 13.0: Image.resize((w, h), BILINEAR, box=…) with the centred box that covers w×h.
func TestResizeGivesPillowsBytes(t *testing.T) {
	for _, tc := range []struct {
		name                  string
		width, height, ow, oh int
		want                  string
	}{
		{"smaller, rows cut off", 13, 7, 4, 2, "815b8c9a757b98806e8e777381857b966d7f9176617c826d"},
		{
			"larger, columns cut off", 5, 4, 6, 8,
			"21134243115e701bc56831f72c52f53c7ebf462168651c818f22c58435e44453de417cb5913cb5a831c6cc31c4bb3cbd7554b14a77a0bb66" +
				"c1cc65cce85fc2d164b58574a354819cc4a18ccfb891e5acc1c6abcc74b5b45d9aa7ac9b66b1bc65c1c8afacd1c472d5a475b4917554" +
				"51726f487cb58c81d69b81d4759ccd5a59304653483a59ab7a6bd98688d35db0d93f",
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := NewPreprocessor(tc.ow, tc.oh).Resize(formula(tc.width, tc.height))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, hex.EncodeToString(got.Pix)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// A direct transcription of the definition in floating point, on sizes that reach every branch of the fixed point code.
func TestResizeFollowsTheDefinition(t *testing.T) {
	for _, size := range [][4]int{
		{640, 360, 31, 31}, {37, 90, 20, 9}, {9, 200, 8, 3}, {1, 1, 5, 4}, {3, 1, 2, 2}, {50, 40, 1, 1}, {7, 7, 7, 6},
	} {
		f := noise(size[0], size[1], 7)
		p := NewPreprocessor(size[2], size[3])
		got, err := p.Resize(f)
		if err != nil {
			t.Fatal(err)
		}
		scale := min(float64(f.Width)/float64(size[2]), float64(f.Height)/float64(size[3]))
		left := (float64(f.Width) - scale*float64(size[2])) / 2
		top := (float64(f.Height) - scale*float64(size[3])) / 2
		worst := 0.0
		for y := range got.Height {
			for x := range got.Width {
				for c := range 3 {
					cx, cy := left+(float64(x)+0.5)*scale, top+(float64(y)+0.5)*scale
					want := reference(f, cx, cy, max(1, scale), c)
					worst = max(worst, math.Abs(want-float64(got.Pix[3*(y*got.Width+x)+c])))
				}
			}
		}
		// Half a step for each of the two roundings.
		if worst > 1.01 {
			t.Errorf("%v: off by %.3f", size, worst)
		}
	}
}

// reference is the triangle filter of the given support around one point.
func reference(f Frame, cx, cy, support float64, channel int) float64 {
	sum, weights := 0.0, 0.0
	for y := range f.Height {
		wy := max(0, 1-math.Abs(float64(y)+0.5-cy)/support)
		if wy == 0 {
			continue
		}
		for x := range f.Width {
			if w := wy * max(0, 1-math.Abs(float64(x)+0.5-cx)/support); w > 0 {
				sum += w * float64(f.Pix[3*(y*f.Width+x)+channel])
				weights += w
			}
		}
	}
	return sum / weights
}

func TestResizeKeepsFlatColoursAndWhite(t *testing.T) {
	for _, v := range []byte{0, 1, 127, 254, 255} {
		f := NewFrame(1234, 517)
		for i := range f.Pix {
			f.Pix[i] = v
		}
		got, err := NewPreprocessor(64, 64).Resize(f)
		if err != nil {
			t.Fatal(err)
		}
		for i, p := range got.Pix {
			if p != v {
				t.Fatalf("byte %d of a picture of %d only became %d", i, v, p)
			}
		}
	}
}

func TestResizeOfTheRightSizeCopies(t *testing.T) {
	f := noise(32, 24, 3)
	p := NewPreprocessor(32, 24)
	got, err := p.Resize(f)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(f, got); diff != "" {
		t.Error(diff)
	}
	if &got.Pix[0] == &f.Pix[0] {
		t.Error("the result is the source's memory")
	}
}

// One preprocessor for pictures of several sizes must give what a fresh one gives.
func TestResizeReusesItsMemory(t *testing.T) {
	shared := NewPreprocessor(24, 16)
	for round := range 2 {
		for _, size := range [][2]int{{90, 50}, {17, 300}, {24, 16}, {8, 8}, {90, 50}} {
			f := noise(size[0], size[1], uint64(size[0]))
			want, err := NewPreprocessor(24, 16).Resize(f)
			if err != nil {
				t.Fatal(err)
			}
			got, err := shared.Resize(f)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("round %d, %v: %s", round, size, diff)
			}
		}
	}
}

func TestResizeBox(t *testing.T) {
	f := noise(60, 40, 5)
	crop, err := f.Crop(rect(10, 8, 40, 28))
	if err != nil {
		t.Fatal(err)
	}
	// Away from the edges of the box the cropped picture and the box in the whole picture are the same thing.
	want, err := NewPreprocessor(15, 10).Resize(crop)
	if err != nil {
		t.Fatal(err)
	}
	wantPix := append([]byte(nil), want.Pix...)
	p := NewPreprocessor(15, 10)
	got, err := p.ResizeBox(f, Box{10, 8, 40, 28})
	if err != nil {
		t.Fatal(err)
	}
	for y := 1; y < 9; y++ {
		from, to := 3*(y*15+1), 3*(y*15+14)
		if diff := cmp.Diff(wantPix[from:to], got.Pix[from:to]); diff != "" {
			t.Errorf("row %d: %s", y, diff)
		}
	}
}

func TestResizeRefusals(t *testing.T) {
	good := noise(8, 8, 1)
	for name, call := range map[string]func() (Frame, error){
		"no pixels":       func() (Frame, error) { return NewPreprocessor(4, 4).Resize(Frame{}) },
		"short":           func() (Frame, error) { return NewPreprocessor(4, 4).Resize(Frame{8, 8, make([]byte, 191)}) },
		"no width":        func() (Frame, error) { return NewPreprocessor(0, 4).Resize(good) },
		"negative height": func() (Frame, error) { return NewPreprocessor(4, -1).Resize(good) },
		"empty box":       func() (Frame, error) { return NewPreprocessor(4, 4).ResizeBox(good, Box{2, 2, 2, 5}) },
		"box outside":     func() (Frame, error) { return NewPreprocessor(4, 4).ResizeBox(good, Box{2, 2, 9, 5}) },
		"box of NaN":      func() (Frame, error) { return NewPreprocessor(4, 4).ResizeBox(good, Box{0, 0, math.NaN(), 5}) },
	} {
		if _, err := call(); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestResizeAllocatesNothing(t *testing.T) {
	sizes := []Frame{noise(640, 360, 1), noise(360, 640, 2), noise(224, 224, 3)}
	p := NewPreprocessor(224, 224)
	input := make([]int8, 3*224*224)
	run := func() {
		for _, f := range sizes {
			out, err := p.Resize(f)
			if err != nil {
				t.Fatal(err)
			}
			if err := Int8(input, out); err != nil {
				t.Fatal(err)
			}
		}
	}
	run()
	if n := testing.AllocsPerRun(10, run); n != 0 {
		t.Errorf("%v allocations a run, want none", n)
	}
}
