// Package htmlpage is what the programs' HTML reports have in common: their style, drawings, pictures and ways to write
// numbers. A page needs nothing beside it: no network, and scripts only for comfort.
package htmlpage

import (
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"fmt"
	"html/template"
)

var (
	//go:embed style.css
	styleText string
	//go:embed parts.html
	partsText string
)

// Head is what a page begins with.
type Head struct {
	Title  string
	Style  template.CSS
	Policy string // what the page may do, its Content-Security-Policy
}

// NewHead returns the head of a page with a style sheet added to the common one. The page may show its own pictures and
// run that one script, where it is not empty; nothing else.
func NewHead(title, style, script string) Head {
	return Head{title, template.CSS(styleText + style), policy(script)} //nolint:gosec // ours
}

func policy(script string) string {
	policy := "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
	if script == "" {
		return policy
	}
	hash := sha256.Sum256([]byte(script))
	return policy + "; script-src 'sha256-" + base64.StdEncoding.EncodeToString(hash[:]) + "'"
}

// Parse returns a page's template, which may use the functions percent and count, those given, and the templates "head"
// of a Head, "axes" of a drawing's Scales, and "picture" of a photo with its URI, Class and File.
func Parse(page string, functions template.FuncMap) (*template.Template, error) {
	t := template.New("page").Funcs(template.FuncMap{"percent": Percent, "count": Count}).Funcs(functions)
	for _, text := range []string{partsText, page} {
		if _, err := t.Parse(text); err != nil {
			return nil, fmt.Errorf("page template: %w", err)
		}
	}
	return t, nil
}
