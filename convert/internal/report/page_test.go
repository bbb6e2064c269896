package report

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"xbmedge/internal/htmlpage/htmltest"
	"xbmedge/internal/vision"
)

// example is a report with a bit of everything, for photos called that.
func example(t *testing.T, name string) *Report {
	t.Helper()
	var jpeg bytes.Buffer
	if err := vision.EncodeJPEG(&jpeg, vision.NewFrame(8, 8), 80); err != nil {
		t.Fatal(err)
	}
	photo := filepath.Join(t.TempDir(), name+".jpg")
	if err := os.WriteFile(photo, jpeg.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	float, int8s, cosine := 0.9, 0.8, 0.9912
	r := &Report{
		Model: name, Type: "int8", ModelBytes: 2_000_000, FloatBytes: 8_000_000, Samples: 9, MaxRecallDrop: 0.005,
		Failure: "int8 loses too much", Warnings: []string{"few photos: " + name},
		Result: Result{
			Queries: 3, Gallery: 1234,
			RecallAt1Float: &float, RecallAt1Int8: &int8s, RecallAt5Float: &float, RecallAt5Int8: &float, MAPFloat: &float, MAPInt8: &int8s,
			CosineMean: &cosine, CosineP1: &cosine, CosineMin: &cosine, Cosines: &Spread{From: 0.9, To: 1, Counts: []int{1, 0, 2}},
			Neighbours: &Shift{Changed: 2, Lost: 1},
			Pairs:      &PairsAt{Impostors: 5000, Same: 100, Thresholds: []Threshold{{FAR: 0.001, Float: 0.61, Int8: 0.6, FARKept: 0.00087}}},
			Worst: []Drifted{{
				Photo: photo, Class: name, Cosine: 0.7, Changed: true,
				Float: Found{photo, name, 0.9, true}, Int8: Found{"gone.jpg", "other", 0.8, false},
			}},
		},
		Float: &Profile{Bytes: 8_000_000, MACs: 300e6, Timings: []Timing{{1, 20, 19, 9}}, Operators: []Operators{{"CONV_2D", "float32", 3, 3, 300e6}}},
		Int8:  &Profile{Bytes: 2_000_000, MACs: 300e6, Timings: []Timing{{1, 7, 6.5, 9}}, Operators: []Operators{{"SOFTMAX", "int8", 1, 0, 0}}},
	}
	for i := range maxWeak + 2 {
		r.Layers = append(r.Layers, Layer{Name: name + string(rune('a'+i)), SQNR: float64(50 - 2*i), Added: 0.0123, MACs: 1000})
	}
	r.Layers[0].SQNR = MaxSQNR
	for i := range r.Layers {
		costs := 0.00125
		r.Layers[i].Cost = &costs
	}
	r.Method, r.Chosen, r.FloatLayers = "auto", "kl, equalised weights", []string{"stem"}
	r.Trials = []Trial{{Name: "mse", CosineMean: 0.99712, CosineP1: 0.98}, {Name: "kl", Failure: "XNNPACK does not take it"}}
	return r
}

func render(t *testing.T, r *Report) string {
	t.Helper()
	var out bytes.Buffer
	if err := WritePage(context.Background(), &out, r); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestPageHasAllItsParts(t *testing.T) {
	html := render(t, example(t, "milk"))
	p := htmltest.Parse(t, html)
	for _, id := range []string{"summary", "quality", "cosines", "thresholds", "layers", "trials", "cost", "worst"} {
		if !p.IDs[id] {
			t.Errorf("no element %q", id)
		}
	}
	for _, want := range []string{
		"No model was written.", "int8 loses too much", "few photos: milk", "1,234", "0.9912", "-0.1000", "0.087 %", "2 more layers", "no noise",
		"7.00 ms (6.50)", "0.00125", "kl, equalised weights", "stem", "0.99712", "XNNPACK does not take it", "0 of 1", "3 of 3", "another neighbour", "cannot be read", "not known", "300.0 M",
	} {
		if !strings.Contains(p.Text, want) {
			t.Errorf("the page does not say %q", want)
		}
	}
	if first, last := strings.Index(p.Text, "milkq"), strings.Index(p.Text, "milka"); first < 0 || last < first {
		t.Errorf("the worst layer, at %d, does not come before the best, at %d", first, last)
	}
	if p.Elements["img"] != 2 || p.Elements["script"] != 0 || p.Elements["rect"] != 2+maxWeak+2 {
		t.Errorf("elements %v", p.Elements)
	}
	for _, outside := range []string{"http:", "https:", "ZgotmplZ", "NaN", "Inf", "@import"} {
		if strings.Contains(html, outside) {
			t.Errorf("the page holds %q", outside)
		}
	}
}

// What was not measured is left out.
func TestPageOfLittle(t *testing.T) {
	for name, r := range map[string]*Report{
		"float":       {Model: "m", Type: "float32", ModelBytes: 1000},
		"no pictures": {Model: "m", Type: "int8", ModelBytes: 1000, Layers: []Layer{{Name: "a", SQNR: 10}}},
	} {
		p := htmltest.Parse(t, render(t, r))
		if p.IDs["quality"] || p.IDs["cosines"] || p.IDs["thresholds"] || p.IDs["trials"] || p.IDs["cost"] || p.IDs["worst"] || p.IDs["layers"] != (r.Layers != nil) {
			t.Errorf("%s: the page has %v", name, p.IDs)
		}
	}
}

func TestNamesAreNoMarkup(t *testing.T) {
	hostile := `<script>alert("1")<!--'&amp;`
	html := render(t, example(t, hostile))
	p := htmltest.Parse(t, html)
	if p.Elements["script"] != 0 || !strings.Contains(p.Text, hostile) || strings.Contains(html, "ZgotmplZ") {
		t.Error("a name is not shown as it is")
	}
}
