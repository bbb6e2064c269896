package gallery_test

import (
	"errors"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"xbmedge/internal/gallery"
)

func TestFit(t *testing.T) {
	g := clusters(t, rand.New(rand.NewPCG(3, 4)), 8, 10, 0.3)
	rng := rand.New(rand.NewPCG(7, 7))
	var background [][]float32
	for range 2000 {
		background = append(background, random(rng, calDim))
	}
	f, err := g.Fit(0.01, background)
	if err != nil {
		t.Fatal(err)
	}
	if f.Impostors != 2080 || f.Background != 2000 || f.Genuine != 80 || f.FAR > 0.0101 || f.FAR < 0.005 || f.FRR != 0 || len(f.Wrong) != 0 {
		t.Errorf("%+v", f.Calibration)
	}
	if math.Abs(f.Supported-10.0/2080) > 1e-9 {
		t.Errorf("supports a rate of %v", f.Supported)
	}
	// On strangers that were not seen the rate holds within what chance allows: four standard deviations.
	m, err := gallery.NewMatcher(g, 2, f.Threshold)
	if err != nil {
		t.Fatal(err)
	}
	named := 0
	for range 5000 {
		if m.Match(random(rng, calDim)).Known {
			named++
		}
	}
	if named > 50+4*16 {
		t.Errorf("%d of 5000 strangers have a name", named)
	}
	for i := 1; i < len(f.Closest); i++ {
		if f.Closest[i].Score > f.Closest[i-1].Score {
			t.Fatal("the closest pairs are not in order")
		}
	}
	if len(f.Closest) != 24 || f.Closest[0].Score < f.Threshold {
		t.Errorf("%d closest, the first %+v", len(f.Closest), f.Closest[0])
	}
}

func TestFitRefuses(t *testing.T) {
	g := filled(t)
	for _, far := range []float64{0, 1, -1, math.NaN()} {
		if _, err := g.Fit(far, nil); err == nil {
			t.Errorf("took a rate of %v", far)
		}
	}
	if _, err := g.Fit(0.01, [][]float32{{1}}); err == nil {
		t.Error("took a background of another length")
	}
	alone, err := gallery.New(model)
	if err := errors.Join(err, alone.Enroll("a", "A", [][]float32{{1, 0, 0, 0}, {1, 1, 0, 0}})); err != nil {
		t.Fatal(err)
	}
	if _, err := alone.Fit(0.01, nil); err == nil || !strings.Contains(err.Error(), "--background") {
		t.Errorf("nothing to tell it from: %v", err)
	}
}

// A threshold is not lowered to where an enrolled picture gets another thing's name.
func TestSetCalibrationRefusesWrongNames(t *testing.T) {
	g, err := gallery.New(gallery.Model{Dim: 3})
	if err != nil {
		t.Fatal(err)
	}
	odd := unit(0.2, 1, 0.1) // enrolled as a, looks like b
	if err := errors.Join(g.Enroll("a", "A", [][]float32{{1, 0, 0}, unit(1, 0.1, 0), odd}), g.Enroll("b", "B", [][]float32{{0, 1, 0}, unit(0, 1, 0.05)}),
		g.SetThreshold(0.99)); err != nil {
		t.Fatal(err)
	}
	before := g.Revision()
	c := gallery.Calibration{Threshold: 0.9, Asked: 0.01}
	now := time.Date(2026, 11, 25, 8, 0, 0, 0, time.UTC)
	err = g.SetCalibration(c, false, now)
	if !errors.Is(err, gallery.ErrWrongNames) || !strings.Contains(err.Error(), "embedding 3 of a would be taken for b") {
		t.Errorf("%v", err)
	}
	if g.Revision() != before || g.Threshold() != 0.99 || g.Calibration() != nil {
		t.Error("refused, and yet changed")
	}
	if err := g.SetCalibration(c, true, now); err != nil || g.Threshold() != 0.9 || g.Calibration().Time != now {
		t.Errorf("forced: %v, %v, %+v", err, g.Threshold(), g.Calibration())
	}
	// It is wrong already at 0.9; 0.85 makes nothing worse.
	if err := g.SetCalibration(gallery.Calibration{Threshold: 0.85}, false, now); err != nil {
		t.Errorf("no worse than before: %v", err)
	}
	if err := g.SetThreshold(0.7); err != nil || g.Calibration() != nil {
		t.Error("a threshold by hand is still said to be calibrated")
	}
}
