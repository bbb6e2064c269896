// Package htmltest reads the pages of the programs' reports for tests.
package htmltest

import (
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"
)

// Page is what a test wants to know of a page.
type Page struct {
	IDs      map[string]bool
	Elements map[string]int
	Text     string // of all elements but script and style
	Script   string
}

// Parse reads a page and reports what does not nest, loads something from elsewhere or runs as a script.
func Parse(t *testing.T, html string) Page {
	t.Helper()
	p := Page{IDs: map[string]bool{}, Elements: map[string]int{}}
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
			p.Elements[token.Name.Local]++
			for _, a := range token.Attr {
				name := a.Name.Local
				if name == "id" {
					p.IDs[a.Value] = true
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
				p.Script += string(token)
			case len(open) > 0 && open[len(open)-1] != "style":
				text.Write(token)
			}
		}
	}
	p.Text = text.String()
	return p
}
