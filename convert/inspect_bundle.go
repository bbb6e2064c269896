package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"xbmedge/internal/bundle"
)

// inspectBundle lists what a bundle says of itself and its parts.
func inspectBundle(raw []byte, stdout io.Writer) error {
	b, err := bundle.Read(raw)
	if err != nil {
		return err
	}
	m := b.Manifest()
	w := tabwriter.NewWriter(stdout, 0, 8, 2, ' ', 0)
	line := func(what, format string, args ...any) { fmt.Fprintf(w, "%s\t%s\n", what, fmt.Sprintf(format, args...)) }
	line("bundle", "%s version %d, %s, made %s", m.Name, m.Version, m.Schema, m.Created.Format("2006-01-02 15:04 UTC"))
	line("signed with", "%s", orNone(b.KeyID()))
	line("input", "%d×%d pixels, %s", m.Input.Width, m.Input.Height, m.Input.Normalisation)
	line("embedding", "%d values, %s", m.Dim, m.Quantisation)
	line("space", "%s", m.SpaceID)
	line("reads galleries of", "%s", orNone(strings.Join(m.CompatibleSpaces, ", ")))
	line("needs xbm-agent", "%s", orNone(m.MinAgent))
	line("classes", "%d", len(b.Classes()))
	for _, t := range b.Thresholds() {
		line("threshold", "%.3f: %.3g %% of strangers reach it, %.3g %% of known pictures do not", t.Threshold, 100*t.FalseAccept, 100*t.FalseReject)
	}
	line("provenance", "training %d bytes, conversion %d bytes of JSON in the manifest", len(m.Training), len(m.Conversion))
	fmt.Fprintf(w, "\npart\tbytes\tsha256\n")
	for _, p := range m.Parts {
		fmt.Fprintf(w, "%s\t%d\t%s\n", p.Name, p.Bytes, p.SHA256)
	}
	return w.Flush()
}

func orNone(text string) string {
	if text == "" {
		return "none"
	}
	return text
}
