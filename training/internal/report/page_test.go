package report

import (
	"crypto/sha256"
	"encoding/base64"
	"strings"
	"testing"

	"xbmedge/internal/htmlpage/htmltest"
)

func TestPageHasAllItsParts(t *testing.T) {
	in := exampleInput("apple", "pear", "plum")
	in.Notes = []string{"a note"}
	withPictures(t, in, "picture.jpg")
	html := write(t, in)
	p := htmltest.Parse(t, html)
	for _, id := range []string{"summary", "curves", "classes", "class-rows", "pairs", "thresholds", "worst", "map", "legend", "configuration"} {
		if !p.IDs[id] {
			t.Errorf("no element %q", id)
		}
	}
	for _, want := range []string{
		"example", "smallcnn", "a note", `{"seed": 1}`, "the best checkpoint, step 20 (epoch 2.0)", "Each query looks for its class.",
		"recall@1 0.9 at step 20 (epoch 2.0), the best checkpoint", "36 photos, laid out by t-SNE", "plum: 02.jpg (query)", "cannot be read",
	} {
		if !strings.Contains(p.Text, want) {
			t.Errorf("the page does not say %q", want)
		}
	}
	if got := p.Elements["polyline"]; got != 7 {
		t.Errorf("%d curves, want 7", got)
	}
	if got := p.Elements["article"]; got != min(minWorst, in.Queries.Len()) {
		t.Errorf("%d queries shown, want %d", got, in.Queries.Len())
	}
	if p.Elements["img"] != 5*p.Elements["article"] {
		t.Errorf("%d pictures for %d queries", p.Elements["img"], p.Elements["article"])
	}
	for _, outside := range []string{"http:", "https:", "ZgotmplZ", "NaN", "Inf", "@import"} {
		if strings.Contains(html, outside) {
			t.Errorf("the page holds %q", outside)
		}
	}
}

// TestNamesAreNoMarkup: classes, files and configuration may hold anything.
func TestNamesAreNoMarkup(t *testing.T) {
	hostile := `<script>alert("1")</script>'&amp;`
	in := exampleInput(hostile, `x" onload="alert(2)`, "</title></svg><img src=http://e.x/y>")
	in.Title, in.Config, in.Protocol = hostile, []byte("</pre>"+hostile), hostile
	in.Facts = []Fact{{hostile, hostile}}
	withPictures(t, in, `"><img src=x onerror=alert(3)>.jpg`)
	html := write(t, in)
	p := htmltest.Parse(t, html)
	if p.Elements["script"] != 1 || p.Script != scriptText {
		t.Errorf("%d scripts:\n%s", p.Elements["script"], p.Script)
	}
	if !strings.Contains(p.Text, hostile) || !strings.Contains(p.Text, `"><img src=x onerror=alert(3)>.jpg`) {
		t.Error("the names are not shown as they are")
	}
	if strings.Contains(html, "ZgotmplZ") {
		t.Error("html/template refused something")
	}
	hash := sha256.Sum256([]byte(p.Script))
	policy := strings.ReplaceAll(html, "&#43;", "+")
	if want := "sha256-" + base64.StdEncoding.EncodeToString(hash[:]); !strings.Contains(policy, want) {
		t.Errorf("the page's policy does not allow its own script, %s", want)
	}
}
