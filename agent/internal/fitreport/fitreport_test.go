package fitreport_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"xbmedge/agent/internal/fitreport"
	"xbmedge/internal/gallery"
	"xbmedge/internal/vision"
)

func fit(t *testing.T) (*gallery.Gallery, *gallery.Fit) {
	t.Helper()
	g, err := gallery.New(gallery.Model{Name: "m", Dim: 3})
	if err != nil {
		t.Fatal(err)
	}
	var crop bytes.Buffer
	if err := vision.EncodeJPEG(&crop, vision.NewFrame(8, 8), 90); err != nil {
		t.Fatal(err)
	}
	_, err = g.Add("cup", `Cup <script>`, []gallery.Sample{{Vector: []float32{1, 0, 0}, Crop: crop.Bytes()}, {Vector: []float32{1, 0.2, 0}}})
	_, failed := g.Add("pen", "Pen", []gallery.Sample{{Vector: []float32{0, 1, 0}}, {Vector: []float32{0.9, 0.3, 0}}})
	if err := errors.Join(err, failed); err != nil {
		t.Fatal(err)
	}
	f, err := g.Fit(0.01, [][]float32{{0, 0, 1}, {0, 0.6, 0.8}})
	if err != nil {
		t.Fatal(err)
	}
	return g, f
}

func TestText(t *testing.T) {
	g, f := fit(t)
	f.Wrong = []gallery.Pair{{Vector: 4, Of: "pen", Taken: "cup", Near: 2, Score: 0.9}}
	text := fitreport.Text(g, f)
	for _, want := range []string{
		"for a false accept rate of 0.01", "4 enrolled pictures for all other things, 2 of the background",
		"6 strangers are too few to show a rate of 0.01, which takes some 1000", "embedding 4 of pen is most like 2 of cup",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in\n%s", want, text)
		}
	}
}

func TestFacts(t *testing.T) {
	g, f := fit(t)
	r := fitreport.Facts(g, f)
	if len(r.ROC) != 101 || r.ROC[0].FAR != 1 || r.ROC[0].FRR != 0 || r.ROC[100].FAR != 0 {
		t.Errorf("%+v", r.ROC)
	}
	for i := 1; i < len(r.ROC); i++ {
		if r.ROC[i].FAR > r.ROC[i-1].FAR || r.ROC[i].FRR < r.ROC[i-1].FRR {
			t.Errorf("the rates turn at %v", r.ROC[i].Threshold)
		}
	}
}

// The page needs nothing from elsewhere, and no name gets out of its text.
func TestHTML(t *testing.T) {
	g, f := fit(t)
	page := string(fitreport.HTML(g, f))
	for _, want := range []string{"data:image/jpeg;base64,", "<svg", "polyline", "pen, 4"} {
		if !strings.Contains(page, want) {
			t.Errorf("%q is not in the page", want)
		}
	}
	for _, no := range []string{"http:", "https:", "<script", "NaN", "src=\"/"} {
		if strings.Contains(page, no) {
			t.Errorf("%q is in the page", no)
		}
	}
}
