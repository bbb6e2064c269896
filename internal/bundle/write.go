package bundle

import (
	"bytes"
	"encoding/json"
	"fmt"

	"xbmedge/internal/atomicfile"
	"xbmedge/internal/vision"
)

// Parts is what a bundle is made of, besides the manifest.
type Parts struct {
	Model      []byte      // a .tflite file
	Classes    []string    // may be empty
	Thresholds []Threshold // may be empty
	Output     Output      // of the golden outputs
	Golden     []Golden    // at least one
}

// Write makes a bundle and writes it to path, whole or not at all. Of the manifest, Schema and Parts are filled in, and
// SpaceID where it is empty. A nil key leaves the bundle unsigned. What it writes Open reads: faults in the manifest or
// the parts are errors.
func Write(path string, m Manifest, parts Parts, key *SecretKey) error {
	b, err := assemble(m, parts, key)
	if err != nil {
		return fmt.Errorf("make bundle %s: %w", path, err)
	}
	return b.save(path)
}

// Sign writes the bundle to path with a signature of that key, in the place of one that it has.
func (b *Bundle) Sign(path string, key *SecretKey) error {
	signed := *b
	signed.signature = key.sign(b.text)
	return signed.save(path)
}

func assemble(m Manifest, parts Parts, key *SecretKey) (*Bundle, error) {
	files, err := parts.files()
	if err != nil {
		return nil, err
	}
	m.Schema, m.Parts = Schema, nil
	m.Created = m.Created.UTC()
	if m.CompatibleSpaces == nil {
		m.CompatibleSpaces = []string{}
	}
	if m.SpaceID == "" {
		m.SpaceID = SpaceOf(hash(parts.Model))
	}
	for _, f := range files {
		m.Parts = append(m.Parts, Part{f.name, len(f.data), hash(f.data)})
	}
	text, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("manifest: %w", err)
	}
	b := &Bundle{text: append(text, '\n'), files: files}
	if key != nil {
		b.signature = key.sign(b.text)
	}
	return b, nil
}

// files are the parts in the order in which they are written.
func (p *Parts) files() ([]file, error) {
	files := []file{{modelName, p.Model}}
	add := func(name string, value any) error {
		text, err := json.Marshal(value)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		files = append(files, file{name, append(text, '\n')})
		return nil
	}
	if len(p.Classes) > 0 {
		if err := add(classesName, p.Classes); err != nil {
			return nil, err
		}
	}
	if len(p.Thresholds) > 0 {
		if err := add(thresholdsName, p.Thresholds); err != nil {
			return nil, err
		}
	}
	e := expected{Output: p.Output}
	for _, g := range p.Golden {
		e.Vectors = append(e.Vectors, g.Output)
	}
	if err := add(expectedName, e); err != nil {
		return nil, err
	}
	for i, g := range p.Golden {
		var image bytes.Buffer
		if err := vision.EncodePNG(&image, g.Image); err != nil {
			return nil, fmt.Errorf("golden image %d: %w", i, err)
		}
		files = append(files, file{imageName(i), image.Bytes()})
	}
	return files, nil
}

// save writes the bundle, once it has been seen that it can be read.
func (b *Bundle) save(path string) error {
	var raw bytes.Buffer
	if err := pack(&raw, b.all()); err != nil {
		return fmt.Errorf("make bundle %s: %w", path, err)
	}
	if _, err := read(raw.Bytes()); err != nil {
		return fmt.Errorf("make bundle %s: %w", path, err)
	}
	return atomicfile.WriteBytes(path, 0o644, raw.Bytes())
}
