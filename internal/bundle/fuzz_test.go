package bundle

import (
	"bytes"
	"testing"
)

// What Read takes is what Write would make of it, whatever the bytes.
func FuzzRead(f *testing.F) {
	_, secret := newKey(f)
	m, parts := sample()
	f.Add(encode(f, m, parts, nil))
	f.Add(encode(f, m, parts, secret))
	f.Add([]byte(nil))
	f.Fuzz(func(t *testing.T, raw []byte) {
		b, err := Read(raw)
		if err != nil {
			return
		}
		if !bytes.Equal(packed(t, b.all()), raw) {
			t.Error("it has another form when it is written again")
		}
		if len(b.Golden()) == 0 || b.Model() == nil || b.ModelSHA256() != hash(b.Model()) {
			t.Error("it lacks a model or golden images")
		}
		for _, g := range b.Golden() {
			if g.Image.Validate() != nil || len(g.Output) != b.Manifest().Dim {
				t.Error("a golden image is none")
			}
		}
	})
}
