package gallery_test

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"xbmedge/internal/gallery"
)

// models of four spaces; b reads a's galleries, c reads a's and b's.
var (
	modelA = gallery.Model{Name: "a", SHA256: strings.Repeat("aa", 32), Dim: 4}
	modelB = gallery.Model{Name: "b", SHA256: strings.Repeat("bb", 32), Dim: 4, SpaceID: strings.Repeat("b0", 16)}
	modelC = gallery.Model{Name: "c", SHA256: strings.Repeat("cc", 32), Dim: 4}
	wideB  = gallery.Model{Name: "wide", SHA256: strings.Repeat("bb", 32), Dim: 8, SpaceID: modelB.SpaceID}
)

func TestSpaces(t *testing.T) {
	again := modelB
	again.Name, again.SHA256 = "b again", strings.Repeat("b1", 32)
	named := modelA
	named.SpaceID = modelA.Space()
	for _, tt := range []struct {
		name     string
		made, in gallery.Model
		readable []string
		others   []string
		good     bool
	}{
		{"itself", modelA, modelA, nil, nil, true},
		{"itself, from a bundle", modelA, named, nil, nil, true},
		{"another of the same space", modelB, again, nil, nil, true},
		{"one that is compatible", modelA, modelB, []string{modelC.Space(), modelA.Space()}, []string{modelA.Space()}, true},
		{"one that is not", modelA, modelB, []string{modelC.Space()}, nil, false},
		{"one that the old one would read", modelB, modelA, nil, nil, false},
		{"another length", modelA, wideB, []string{modelA.Space()}, nil, false},
	} {
		g, err := gallery.New(tt.made)
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(t.TempDir(), "g.gallery")
		if err := g.Save(path); err != nil {
			t.Fatal(err)
		}
		got, err := gallery.Load(path, tt.in, tt.readable...)
		if !tt.good {
			if !errors.Is(err, gallery.ErrWrongModel) {
				t.Errorf("%s: %v", tt.name, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		if got.Model() != tt.in || !cmp.Equal(got.OtherSpaces(), tt.others) {
			t.Errorf("%s: model %v, other spaces %q", tt.name, got.Model(), got.OtherSpaces())
		}
	}
}

// A gallery with embeddings of two models is taken only by one that reads both, and never again by the older.
func TestMixedSpaces(t *testing.T) {
	path := filepath.Join(t.TempDir(), "g.gallery")
	old, err := gallery.New(modelA)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(old.Enroll("cup", "Cup", [][]float32{{1, 0, 0, 0}}), old.Save(path)); err != nil {
		t.Fatal(err)
	}
	mixed, err := gallery.Load(path, modelB, modelA.Space())
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(mixed.Enroll("watch", "Watch", [][]float32{{0, 1, 0, 0}}), mixed.Save(path)); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name     string
		model    gallery.Model
		readable []string
		good     bool
	}{
		{"the newer", modelB, []string{modelA.Space()}, true},
		{"the older", modelA, nil, false},
		{"one that reads both", modelC, []string{modelA.Space(), modelB.Space()}, true},
		{"one that reads the newer only", modelC, []string{modelB.Space()}, false},
		{"one that reads the older only", modelC, []string{modelA.Space()}, false},
	} {
		if _, err := gallery.Load(path, tt.model, tt.readable...); (err == nil) != tt.good || err != nil && !errors.Is(err, gallery.ErrWrongModel) {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
	back, err := gallery.Read(path)
	if err != nil || back.Len() != 2 || back.Model() != modelB || !cmp.Equal(back.OtherSpaces(), []string{modelA.Space()}) {
		t.Errorf("read back: %v, %v", back, err)
	}
}
