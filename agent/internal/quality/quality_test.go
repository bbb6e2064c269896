package quality_test

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"xbmedge/agent/internal/quality"
	"xbmedge/internal/photos"
	"xbmedge/internal/testdata"
	"xbmedge/internal/vision"
)

// waves is a picture of soft waves of that many pixels, with brightness around mean.
func waves(length, mean, swing float64) vision.Frame {
	f := vision.NewFrame(96, 96)
	for i := range 96 * 96 {
		v := mean + swing*math.Sin(2*math.Pi*float64(i%96)/length)*math.Sin(2*math.Pi*float64(i/96)/length)
		p := byte(max(0, min(255, math.Round(v))))
		f.Pix[3*i], f.Pix[3*i+1], f.Pix[3*i+2] = p, p, p
	}
	return f
}

func TestCheck(t *testing.T) {
	noise := vision.NewFrame(96, 96)
	rng := rand.New(rand.NewPCG(1, 1))
	for i := range noise.Pix {
		noise.Pix[i] = byte(rng.IntN(256))
	}
	for _, tt := range []struct {
		name  string
		frame vision.Frame
		want  string // "" for good
	}{
		{"sharp", waves(8, 120, 80), ""},
		{"noise", noise, ""},
		{"blurred", waves(80, 120, 80), "blurred"},
		{"dark", waves(8, 15, 10), "too dark"},
		{"blown out", waves(8, 252, 10), "too bright"},
		{"a wall", waves(8, 120, 3), "nothing in it"},
		{"a white ground with something on it", waves(12, 230, 200), ""},
		{"nothing", vision.Frame{}, "too dark"},
	} {
		err := quality.Check(tt.frame)
		if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%s: %v, want %q (%+v)", tt.name, err, tt.want, quality.Look(tt.frame))
		}
	}
	if err := quality.CheckSize(vision.NewFrame(300, 100), 224, 224); err == nil || !strings.Contains(err.Error(), "come nearer") {
		t.Errorf("small: %v", err)
	}
	if err := quality.CheckSize(vision.NewFrame(112, 300), 224, 224); err != nil {
		t.Error(err)
	}
}

// Good photos are not refused; the same out of focus are.
func TestRealPhotos(t *testing.T) {
	list, err := photos.List(testdata.Dir(t, "grocery/test"))
	if err != nil {
		t.Fatal(err)
	}
	good, small := vision.NewPreprocessor(224, 224), vision.NewPreprocessor(12, 12)
	refused, blurred, n := 0, 0, 0
	for i := 0; i < len(list); i += 9 {
		f, err := vision.DecodeFile(list[i].Path)
		if err != nil {
			t.Fatal(err)
		}
		n++
		sharp, err := good.Resize(f)
		if err != nil {
			t.Fatal(err)
		}
		if err := quality.Check(sharp); err != nil {
			t.Logf("%s: %v", list[i].Path, err)
			refused++
		}
		tiny, err := small.Resize(f)
		if err != nil {
			t.Fatal(err)
		}
		soft, err := good.Resize(tiny)
		if err != nil {
			t.Fatal(err)
		}
		if quality.Check(soft) != nil {
			blurred++
		}
	}
	if refused > n/50 || blurred < n*9/10 {
		t.Errorf("of %d photos %d were refused, of the same out of focus %d", n, refused, blurred)
	}
}
