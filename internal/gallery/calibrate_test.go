package gallery_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"xbmedge/internal/gallery"
)

const calDim = 32

// clusters enrols identities around random centres; spread is the size of the noise around them.
func clusters(t *testing.T, rng *rand.Rand, identities, each int, spread float64) *gallery.Gallery {
	t.Helper()
	g, err := gallery.New(gallery.Model{Dim: calDim})
	if err != nil {
		t.Fatal(err)
	}
	for i := range identities {
		centre := random(rng, calDim)
		var vs [][]float32
		for range each {
			v := random(rng, calDim)
			for j := range v {
				v[j] = float32(spread)*v[j] + centre[j]
			}
			vs = append(vs, v)
		}
		if err := g.Enroll("id-"+string(rune('a'+i)), "x", vs); err != nil {
			t.Fatal(err)
		}
	}
	return g
}

func TestCalibrate(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 7))
	var background [][]float32
	for range 500 {
		background = append(background, random(rng, calDim))
	}
	tests := []struct {
		name             string
		identities, each int
		spread           float64
		background       [][]float32
		far              float64
		maxFAR, maxFRR   float64
		low, high        float32
		nGenuine, nOther int
	}{
		{"clear", 8, 10, 0.3, nil, 0.001, 0, 0, 0.5, 0.97, 80, 80},
		{"clear with background", 8, 10, 0.3, background, 0.001, 0, 0, 0.6, 0.97, 80, 580},
		{"background only", 1, 10, 0.3, background, 0.001, 0, 0, 0.5, 0.97, 10, 500},
		{"overlap", 8, 10, 1.1, background, 0.001, 0.15, 0.4, 0.3, 0.9, 80, 580},
		{"one identity, no background", 1, 10, 0.3, nil, 0.001, 0, 0.1, 0.6, 0.95, 10, 0},
		{"one picture each", 8, 1, 0, nil, 0.001, 0, 0, 0.2, 0.9, 0, 8},
		{"one picture", 1, 1, 0, nil, 0.001, 0, 0, gallery.DefaultThreshold, gallery.DefaultThreshold, 0, 0},
		{"empty", 0, 0, 0, background, 0.001, 0, 0, gallery.DefaultThreshold, gallery.DefaultThreshold, 0, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			g := clusters(t, rand.New(rand.NewPCG(3, 4)), tt.identities, tt.each, tt.spread)
			c, err := g.Calibrate(tt.far, tt.background)
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("%+v", c)
			if c.Threshold < tt.low || c.Threshold > tt.high || c.FAR > tt.maxFAR || c.FRR > tt.maxFRR {
				t.Errorf("%+v; want a threshold of %v to %v, FAR ≤ %v, FRR ≤ %v", c, tt.low, tt.high, tt.maxFAR, tt.maxFRR)
			}
			if c.Genuine != tt.nGenuine || c.Impostors != tt.nOther {
				t.Errorf("rests on %d genuine and %d impostor scores; want %d and %d", c.Genuine, c.Impostors, tt.nGenuine, tt.nOther)
			}
		})
	}
}

// Where a look-alike costs a little, the threshold goes just above it and no higher, though most pictures score far more.
func TestCalibrateGoesNoHigherThanLookAlikes(t *testing.T) {
	g, err := gallery.New(gallery.Model{Dim: 3})
	if err != nil {
		t.Fatal(err)
	}
	near := func(axis int, cosine float32) []float32 { // on the way from one axis to the next
		v := make([]float32, 3)
		v[axis], v[(axis+1)%3] = cosine, float32(math.Sqrt(1-float64(cosine*cosine)))
		return v
	}
	var first, second [][]float32
	for i := range 19 {
		first = append(first, near(0, 1-float32(i)*1e-5))
		second = append(second, near(1, 1-float32(i)*1e-5))
	}
	first = append(first, near(0, 0.8)) // 0.6 from the second thing, 0.8 from its own
	second = append(second, near(1, 0.5))
	for id, vectors := range map[string][][]float32{"first": first, "second": second} {
		if err := g.Enroll(id, id, vectors); err != nil {
			t.Fatal(err)
		}
	}
	c, err := g.Calibrate(0.001, nil)
	if err != nil {
		t.Fatal(err)
	}
	if c.FAR != 0 || c.FRR > 0.1 || c.Threshold > 0.65 {
		t.Errorf("%+v; want just above 0.6, the look-alike's score", c)
	}
}

// The threshold must hold for embeddings that calibration has not seen.
func TestCalibrateHoldsOut(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	g, _ := gallery.New(gallery.Model{Dim: calDim})
	var centres [][]float32
	sample := func(centre []float32) []float32 {
		v := random(rng, calDim)
		for j := range v {
			v[j] = 0.5*v[j] + centre[j]
		}
		return unit(v...)
	}
	for i := range 10 {
		centres = append(centres, random(rng, calDim))
		var vs [][]float32
		for range 8 {
			vs = append(vs, sample(centres[i]))
		}
		if err := g.Enroll("id-"+string(rune('a'+i)), "x", vs); err != nil {
			t.Fatal(err)
		}
	}
	c, err := g.Calibrate(0.01, nil)
	if err != nil {
		t.Fatal(err)
	}
	m, err := gallery.NewMatcher(g, 2, c.Threshold)
	if err != nil {
		t.Fatal(err)
	}
	accepted, refused := 0, 0
	for range 1000 {
		if m.Match(sample(random(rng, calDim))).Known {
			accepted++
		}
		if !m.Match(sample(centres[rng.IntN(10)])).Known {
			refused++
		}
	}
	t.Logf("%+v: %d of 1000 strangers named, %d of 1000 known things refused", c, accepted, refused)
	if accepted > 20 || refused > 50 {
		t.Errorf("%d of 1000 strangers named, %d of 1000 known things refused", accepted, refused)
	}
}

func TestCalibrateRefuses(t *testing.T) {
	g := filled(t)
	for _, far := range []float64{-0.1, 1, 2} {
		if _, err := g.Calibrate(far, nil); err == nil {
			t.Errorf("took a rate of %v", far)
		}
	}
	if _, err := g.Calibrate(0.1, [][]float32{{1}}); err == nil {
		t.Error("took a background embedding of another length")
	}
}
