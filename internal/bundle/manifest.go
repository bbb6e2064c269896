package bundle

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"time"
)

// Schema names the form of the manifest. Later versions of bundle/1 may have fields that this one passes over.
const Schema = "bundle/1"

// Normalisation is how pixels of 0 to 255 become a model's input.
const Normalisation = "pixel/127.5-1"

// Manifest says what a bundle is.
type Manifest struct {
	Schema           string          `json:"schema"`
	Name             string          `json:"name"`         // the same for all versions
	Version          int             `json:"version"`      // grows with each bundle of the name; 1 is the first
	Created          time.Time       `json:"created"`      // UTC
	Input            Input           `json:"input"`        // of the model
	Dim              int             `json:"dim"`          // values of an embedding
	Quantisation     string          `json:"quantisation"` // int8, uint8 or float32
	SpaceID          string          `json:"space_id"`     // embeddings of one space can be compared; see SpaceOf
	CompatibleSpaces []string        `json:"compatible_spaces"`
	MinAgent         string          `json:"min_agent,omitempty"`  // the oldest xbm-agent that can use it, such as 0.2.0
	Training         json.RawMessage `json:"training,omitempty"`   // how the network came about, an object
	Conversion       json.RawMessage `json:"conversion,omitempty"` // and how the model was made of it
	Parts            []Part          `json:"parts"`
}

// Input is what the model takes: RGB pictures.
type Input struct {
	Width         int    `json:"width"` // pixels
	Height        int    `json:"height"`
	Normalisation string `json:"normalisation"`
}

// Part is one file of a bundle.
type Part struct {
	Name   string `json:"name"`
	Bytes  int    `json:"bytes"`
	SHA256 string `json:"sha256"`
}

// SpaceOf returns the id that stands for a model's embedding space where nothing else is said: the first 16 bytes of the
// model's SHA-256, in hexadecimal.
func SpaceOf(modelSHA256 string) string { return modelSHA256[:min(32, len(modelSHA256))] }

var (
	bundleName = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9._-]{0,63}$`)
	spaceID    = regexp.MustCompile(`^[0-9a-f]{32}$`)
	sha256Text = regexp.MustCompile(`^[0-9a-f]{64}$`)
)

// CheckSpace returns an error for a text that is no space id.
func CheckSpace(id string) error {
	if !spaceID.MatchString(id) {
		return fmt.Errorf("%q is no space id: want 32 hexadecimal digits, as `xbm-convert inspect` shows them", id)
	}
	return nil
}

func decodeManifest(text []byte) (Manifest, error) {
	var m Manifest
	if err := json.Unmarshal(text, &m); err != nil {
		return Manifest{}, fmt.Errorf("manifest: %w", err)
	}
	if err := m.check(); err != nil {
		return Manifest{}, fmt.Errorf("manifest: %w", err)
	}
	return m, nil
}

// check returns the first fault.
func (m *Manifest) check() error {
	switch {
	case m.Schema != Schema:
		return fmt.Errorf("its schema is %q, this program reads %s: take a newer program, or make the bundle again", m.Schema, Schema)
	case !bundleName.MatchString(m.Name):
		return fmt.Errorf("name %q: want 1 to 64 of a-z, A-Z, 0-9, dot, _ and -", m.Name)
	case m.Version < 1 || m.Version > 1<<31-1:
		return fmt.Errorf("version %d: want 1 or more", m.Version)
	case m.Created.IsZero() || m.Created.Year() > 9999:
		return errors.New("no time of creation")
	case m.Input.Width < 1 || m.Input.Width > maxInput || m.Input.Height < 1 || m.Input.Height > maxInput:
		return fmt.Errorf("input of %d×%d pixels: want 1 to %d", m.Input.Width, m.Input.Height, maxInput)
	case m.Input.Normalisation != Normalisation:
		return fmt.Errorf("normalisation %q: this program has %s only", m.Input.Normalisation, Normalisation)
	case m.Dim < 1 || m.Dim > maxDim:
		return fmt.Errorf("embeddings of %d values: want 1 to %d", m.Dim, maxDim)
	case !slices.Contains([]string{"int8", "uint8", "float32"}, m.Quantisation):
		return fmt.Errorf("quantisation %q: want int8, uint8 or float32", m.Quantisation)
	case len(m.CompatibleSpaces) > 256:
		return fmt.Errorf("%d compatible spaces, more than 256", len(m.CompatibleSpaces))
	}
	for _, id := range append([]string{m.SpaceID}, m.CompatibleSpaces...) {
		if err := CheckSpace(id); err != nil {
			return err
		}
	}
	if m.MinAgent != "" {
		if _, err := parseVersion(m.MinAgent); err != nil {
			return fmt.Errorf("min_agent: %w", err)
		}
	}
	for name, object := range map[string]json.RawMessage{"training": m.Training, "conversion": m.Conversion} {
		var into map[string]json.RawMessage
		if len(object) > 0 && json.Unmarshal(object, &into) != nil {
			return fmt.Errorf("%s is no JSON object", name)
		}
	}
	return m.checkParts()
}

func (m *Manifest) checkParts() error {
	seen := map[string]bool{}
	for _, p := range m.Parts {
		if !partName.MatchString(p.Name) || p.Name == manifestName || p.Name == signatureName || seen[p.Name] {
			return fmt.Errorf("part %q: not a name for a part, or there twice", p.Name)
		}
		seen[p.Name] = true
		if p.Bytes < 0 || p.Bytes > MaxBytes || !sha256Text.MatchString(p.SHA256) {
			return fmt.Errorf("part %s: %d bytes, SHA-256 %q", p.Name, p.Bytes, p.SHA256)
		}
	}
	if !seen[modelName] || !seen[expectedName] {
		return fmt.Errorf("it does not name %s and %s, which every bundle has", modelName, expectedName)
	}
	return nil
}

// Reads reports whether the model's embeddings can be compared with those of a space.
func (m *Manifest) Reads(space string) bool {
	return space == m.SpaceID || slices.Contains(m.CompatibleSpaces, space)
}
