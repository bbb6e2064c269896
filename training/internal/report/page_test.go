package report

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"
)

// parsed is what a test wants to know of a page.
type parsed struct {
	ids      map[string]bool
	elements map[string]int
	text     string // of all elements but script and style
	script   string
}

// parse reads a page and reports what does not nest, loads something from elsewhere or runs as a script.
func parse(t *testing.T, html string) parsed {
	t.Helper()
	p := parsed{ids: map[string]bool{}, elements: map[string]int{}}
	d := xml.NewDecoder(strings.NewReader(strings.TrimPrefix(html, "<!DOCTYPE html>")))
	d.Strict, d.AutoClose, d.Entity = false, xml.HTMLAutoClose, xml.HTMLEntity
	var open []string
	var text strings.Builder
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("the page is no well-formed HTML: %v", err)
		}
		switch token := token.(type) {
		case xml.StartElement:
			open = append(open, token.Name.Local)
			p.elements[token.Name.Local]++
			for _, a := range token.Attr {
				name := a.Name.Local
				if name == "id" {
					p.ids[a.Value] = true
				}
				if strings.HasPrefix(name, "on") || name == "href" || name == "srcset" {
					t.Errorf("<%s> has %s=%q", token.Name.Local, name, a.Value)
				}
				if name == "src" && !strings.HasPrefix(a.Value, "data:image/jpeg;base64,") {
					t.Errorf("<%s> loads %q", token.Name.Local, a.Value)
				}
			}
		case xml.EndElement:
			if len(open) == 0 || open[len(open)-1] != token.Name.Local {
				t.Fatalf("</%s> closes %v", token.Name.Local, open)
			}
			open = open[:len(open)-1]
		case xml.CharData:
			switch {
			case len(open) > 0 && open[len(open)-1] == "script":
				p.script += string(token)
			case len(open) > 0 && open[len(open)-1] != "style":
				text.Write(token)
			}
		}
	}
	p.text = text.String()
	return p
}

func TestPageHasAllItsParts(t *testing.T) {
	in := exampleInput("apple", "pear", "plum")
	in.Notes = []string{"a note"}
	withPictures(t, in, "picture.jpg")
	html := write(t, in)
	p := parse(t, html)
	for _, id := range []string{"summary", "curves", "classes", "class-rows", "pairs", "thresholds", "worst", "map", "legend", "configuration"} {
		if !p.ids[id] {
			t.Errorf("no element %q", id)
		}
	}
	for _, want := range []string{
		"example", "smallcnn", "a note", `{"seed": 1}`, "the best checkpoint, step 20 (epoch 2.0)", "Each query looks for its class.",
		"recall@1 0.9 at step 20 (epoch 2.0), the best checkpoint", "36 photos, laid out by t-SNE", "plum: 02.jpg (query)", "cannot be read",
	} {
		if !strings.Contains(p.text, want) {
			t.Errorf("the page does not say %q", want)
		}
	}
	if got := p.elements["polyline"]; got != 7 {
		t.Errorf("%d curves, want 7", got)
	}
	if got := p.elements["article"]; got != min(minWorst, in.Queries.Len()) {
		t.Errorf("%d queries shown, want %d", got, in.Queries.Len())
	}
	if p.elements["img"] != 5*p.elements["article"] {
		t.Errorf("%d pictures for %d queries", p.elements["img"], p.elements["article"])
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
	p := parse(t, html)
	if p.elements["script"] != 1 || p.script != scriptText {
		t.Errorf("%d scripts:\n%s", p.elements["script"], p.script)
	}
	if !strings.Contains(p.text, hostile) || !strings.Contains(p.text, `"><img src=x onerror=alert(3)>.jpg`) {
		t.Error("the names are not shown as they are")
	}
	if strings.Contains(html, "ZgotmplZ") {
		t.Error("html/template refused something")
	}
	hash := sha256.Sum256([]byte(p.script))
	policy := strings.ReplaceAll(html, "&#43;", "+")
	if want := "sha256-" + base64.StdEncoding.EncodeToString(hash[:]); !strings.Contains(policy, want) {
		t.Errorf("the page's policy does not allow its own script, %s", want)
	}
}
