package gallery_test

import (
	"os"
	"slices"
	"testing"

	"xbmedge/internal/embed"
	"xbmedge/internal/gallery"
	"xbmedge/internal/photos"
	"xbmedge/internal/testdata"
	"xbmedge/internal/tflite"
)

// envModel names the .tflite file that the open set is measured with: one that was trained on the groceries, such as
// configs/train-mobile.yaml makes. It takes half a minute.
const envModel = "XBM_REACH_MODEL"

// outcome is what became of pictures.
type outcome struct{ right, wrong, named, n int }

func (o outcome) share(k int) float64 { return float64(k) / float64(max(o.n, 1)) }

// Every third class of the groceries is not enrolled. The threshold is calibrated on what is enrolled and on pictures of
// other objects, for one stranger in a hundred, and must hold on the groceries that were left out.
func TestOpenSetOnGroceries(t *testing.T) {
	path := os.Getenv(envModel)
	if path == "" {
		t.Skipf("needs a trained model; set %s to the .tflite file", envModel)
	}
	if err := tflite.Available(); err != nil {
		t.Skip(err)
	}
	model, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	embedded := func(folder string) embed.Set {
		t.Helper()
		list, err := photos.List(testdata.Dir(t, folder))
		if err != nil {
			t.Fatal(err)
		}
		set, _, err := embed.Photos(t.Context(), model, embed.Options{}, list)
		if err != nil {
			t.Fatal(err)
		}
		return set
	}
	train, test, objects := embedded("grocery/train"), embedded("grocery/test"), embedded("objects")
	var classes []string
	for _, p := range train.Photos { // sorted by class
		if len(classes) == 0 || classes[len(classes)-1] != p.Class {
			classes = append(classes, p.Class)
		}
	}
	stranger := func(class string) bool { return slices.Index(classes, class)%3 == 2 }

	g, err := gallery.New(gallery.Model{Dim: train.Dim})
	if err != nil {
		t.Fatal(err)
	}
	for _, class := range classes {
		if stranger(class) {
			continue
		}
		var vectors [][]float32
		for i, p := range train.Photos {
			if p.Class == class {
				vectors = append(vectors, train.Row(i))
			}
		}
		if err := g.Enroll(gallery.Slug(class), class, vectors); err != nil {
			t.Fatal(err)
		}
		if _, err := g.Trim(gallery.Slug(class), 32); err != nil {
			t.Fatal(err)
		}
	}
	var background [][]float32
	for i := range objects.Photos {
		background = append(background, objects.Row(i))
	}
	f, err := g.Fit(0.01, background)
	if err != nil {
		t.Fatal(err)
	}
	at := func(threshold float32) (known, strangers outcome) {
		m, err := gallery.NewMatcher(g, 2, threshold)
		if err != nil {
			t.Fatal(err)
		}
		for _, set := range []embed.Set{test, train} {
			for i, p := range set.Photos {
				d := m.Match(set.Row(i))
				switch {
				case stranger(p.Class):
					strangers.add(d, "")
				case set.Dim > 0 && &set.Photos[0] == &test.Photos[0]:
					known.add(d, gallery.Slug(p.Class))
				}
			}
		}
		return known, strangers
	}
	for _, fixed := range []float32{0.5, 0.6, 0.7, 0.8, 0.9} {
		known, strangers := at(fixed)
		t.Logf("fixed at %.3f:      known %.1f %% right, %.1f %% wrong; strangers %.2f %% named", fixed, 100*known.share(known.right), 100*known.share(known.wrong), 100*strangers.share(strangers.named))
	}
	known, strangers := at(f.Threshold)
	t.Logf("calibrated at %.3f: known %.1f %% of %d right, %.1f %% wrong; strangers %.2f %% of %d named", f.Threshold,
		100*known.share(known.right), known.n, 100*known.share(known.wrong), 100*strangers.share(strangers.named), strangers.n)
	if strangers.share(strangers.named) > 0.02 || known.share(known.right) < 0.7 {
		t.Errorf("want at most 2 %% of the strangers named and at least 70 %% of the known right")
	}
}

func (o *outcome) add(d gallery.Decision, id string) {
	o.n++
	switch {
	case !d.Known:
	case d.Identity.ID == id:
		o.right++
		o.named++
	default:
		o.wrong++
		o.named++
	}
}
