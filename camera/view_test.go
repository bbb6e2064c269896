package camera

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"xbmedge/internal/vision"
)

// lettered makes a picture of one letter a pixel; spaces separate rows.
func lettered(rows string) vision.Frame {
	lines := strings.Fields(rows)
	f := vision.NewFrame(len(lines[0]), len(lines))
	for i, letter := range strings.Join(lines, "") {
		f.Pix[3*i], f.Pix[3*i+1], f.Pix[3*i+2] = byte(letter), byte(letter), byte(letter)
	}
	return f
}

// letters is the way back; a masked pixel is a dot.
func letters(f vision.Frame) string {
	var rows []string
	for y := range f.Height {
		row := ""
		for x := range f.Width {
			p := f.Pix[3*(f.Width*y+x):]
			switch {
			case p[0] != p[1] || p[0] != p[2]:
				row += "?"
			case p[0] == masked:
				row += "."
			default:
				row += string(rune(p[0]))
			}
		}
		rows = append(rows, row)
	}
	return strings.Join(rows, " ")
}

func TestView(t *testing.T) {
	const picture = "abcd efgh ijkl"
	for _, tt := range []struct {
		name, picture string
		view          View
		want          string
	}{
		{"nothing", picture, View{}, picture},
		{"clockwise", picture, View{Rotate: 90}, "iea jfb kgc lhd"},
		{"upside down", picture, View{Rotate: 180}, "lkji hgfe dcba"},
		{"counter-clockwise", picture, View{Rotate: 270}, "dhl cgk bfj aei"},
		{"a part", picture, View{Crop: "0.25,0 0.75,0.67"}, "bc fg"},
		{"a part of a turned one", picture, View{Rotate: 90, Crop: "0,0 0.67,0.5"}, "ie jf"},
		{"an area masked", picture, View{Mask: []string{"0.5,0 1,0.34"}}, "ab.. efgh ijkl"},
		{"a polygon masked", picture, View{Mask: []string{"0,0 1,1 0,1"}}, ".bcd ..gh ...l"},
		{"two areas, inside a part", picture, View{Mask: []string{"0,0 0.25,1", "0.75,0 1,1"}, Crop: "0,0 0.5,1"}, ".b .f .j"},
		{"masked after the turn", picture, View{Rotate: 180, Mask: []string{"0,0 0.25,0.34"}}, ".kji hgfe dcba"},
		{"one pixel", "a", View{Rotate: 90, Crop: "0.4,0.4 0.6,0.6", Mask: []string{"0,0 0.4,0.4"}}, "a"},
		{"one pixel, a part at its end", "a", View{Crop: "0.9,0.9 1,1"}, "a"},
		{"one pixel masked", "a", View{Mask: []string{"0,0 1,1"}}, "."},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w, err := newViewer(tt.view)
			if err != nil {
				t.Fatal(err)
			}
			var got vision.Frame
			for range 2 { // the second time with what it has kept of the first
				src := lettered(tt.picture)
				if err := w.apply(&got, &src); err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(tt.want, letters(got)); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
			}
		})
	}
}

// A stream that changes its size in between is masked by its present one.
func TestViewOfAnotherSize(t *testing.T) {
	w, err := newViewer(View{Mask: []string{"0,0 0.5,1"}})
	if err != nil {
		t.Fatal(err)
	}
	for picture, want := range map[string]string{"abcd efgh": "..cd ..gh", "ab": ".b", "abcdef": "...def"} {
		var got vision.Frame
		src := lettered(picture)
		if err := w.apply(&got, &src); err != nil || letters(got) != want {
			t.Errorf("%s: %s, %v; want %s", picture, letters(got), err, want)
		}
	}
}

func TestViewAllocatesNothing(t *testing.T) {
	w, err := newViewer(View{Rotate: 90, Crop: "0,0 0.5,0.5", Mask: []string{"0,0 0.3,0.3", "0,0 1,1 0,1"}})
	if err != nil {
		t.Fatal(err)
	}
	src, dst := vision.NewFrame(64, 48), vision.Frame{}
	if n := testing.AllocsPerRun(20, func() {
		if err := w.apply(&dst, &src); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations a frame", n)
	}
}

func TestViewRefuses(t *testing.T) {
	for want, view := range map[string]View{
		"rotate: 45 is not one of":     {Rotate: 45},
		"rotate: -90 is not one of":    {Rotate: -90},
		"upper left and the lower":     {Crop: "0.5,0.5 0.2,0.9"},
		`crop: "a,b": want points`:     {Crop: "a,b 1,1"},
		`mask 2: "1.2,0": want points`: {Mask: []string{"0,0 1,1", "1.2,0 1,1"}},
		`mask 1: "0.1,0.2": want two`:  {Mask: []string{"0.1,0.2"}},
		`crop: "NaN,0": want points`:   {Crop: "NaN,0 1,1"},
	} {
		if err := view.Check(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %q", view, err, want)
		}
	}
}
