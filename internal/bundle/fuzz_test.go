package bundle

import (
	"bytes"
	"encoding/json"
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

// Where all hashes are right, wrong content is refused, and nothing panics.
func FuzzContent(f *testing.F) {
	m, parts := sample()
	b, err := assemble(m, parts, nil)
	if err != nil {
		f.Fatal(err)
	}
	find := func(name string) []byte {
		for _, file := range b.files {
			if file.name == name {
				return file.data
			}
		}
		return nil
	}
	f.Add(b.text, find(expectedName), find(imageName(0)), find(thresholdsName), find(classesName))
	f.Fuzz(func(t *testing.T, manifest, expected, image, thresholds, classes []byte) {
		files := []file{{modelName, []byte("a model")}, {expectedName, expected}, {imageName(0), image}, {thresholdsName, thresholds}, {classesName, classes}}
		var m Manifest
		if json.Unmarshal(manifest, &m) != nil {
			return
		}
		m.Parts = nil
		for _, file := range files {
			m.Parts = append(m.Parts, Part{file.name, len(file.data), hash(file.data)})
		}
		text, err := json.Marshal(m)
		if err != nil {
			return
		}
		b, err := Read(packed(t, append([]file{{manifestName, text}}, files...)))
		if err != nil {
			return
		}
		for _, g := range b.Golden() {
			if g.Image.Validate() != nil || len(g.Output) != m.Dim {
				t.Error("a golden image is none")
			}
		}
	})
}
