package bundle

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"image/png"
	"math"

	"xbmedge/internal/vision"
)

// Golden is an image and what the host's model made of it.
type Golden struct {
	Image  vision.Frame // of the size of the model's input
	Output []float32    // the model's output as it is: integers for a quantised one, see Output
}

// Output says what the values of golden outputs are: real = Scale × (value − ZeroPoint) for int8 and uint8; real values
// for float32, where Scale is 0.
type Output struct {
	Type      string  `json:"type"`
	Scale     float32 `json:"scale"`
	ZeroPoint int     `json:"zero_point"`
}

// Threshold is a cosine from which on a thing counts as known, and what to expect of it.
type Threshold struct {
	Threshold   float32 `json:"threshold"`
	FalseAccept float64 `json:"false_accept_rate"` // share of strangers that reach it
	FalseReject float64 `json:"false_reject_rate"` // share of known things' pictures that do not
}

// expected is the content of golden/expected.json.
type expected struct {
	Output
	Vectors [][]float32 `json:"vectors"`
}

func imageName(i int) string { return fmt.Sprintf("golden/%03d.png", i) }

// decodeParts reads the parts that are not the model's.
func (b *Bundle) decodeParts() error {
	if text := b.part(classesName); text != nil {
		if err := json.Unmarshal(text, &b.classes); err != nil {
			return fmt.Errorf("%s: %w", classesName, err)
		}
	}
	if text := b.part(thresholdsName); text != nil {
		if err := json.Unmarshal(text, &b.thresholds); err != nil {
			return fmt.Errorf("%s: %w", thresholdsName, err)
		}
		if err := checkThresholds(b.thresholds); err != nil {
			return fmt.Errorf("%s: %w", thresholdsName, err)
		}
	}
	return b.decodeGolden()
}

func checkThresholds(list []Threshold) error {
	for _, t := range list {
		if !(t.Threshold > -1 && t.Threshold <= 1) || !(t.FalseAccept >= 0 && t.FalseAccept <= 1) || !(t.FalseReject >= 0 && t.FalseReject <= 1) {
			return fmt.Errorf("%+v: want a cosine above -1 and at most 1, and shares of 0 to 1", t)
		}
	}
	return nil
}

func (b *Bundle) decodeGolden() error {
	var e expected
	if err := json.Unmarshal(b.part(expectedName), &e); err != nil {
		return fmt.Errorf("%s: %w", expectedName, err)
	}
	if err := e.check(&b.manifest); err != nil {
		return fmt.Errorf("%s: %w", expectedName, err)
	}
	b.output = e.Output
	for i, v := range e.Vectors {
		frame, err := decodeImage(b.part(imageName(i)), b.manifest.Input)
		if err != nil {
			return fmt.Errorf("%s: %w", imageName(i), err)
		}
		b.golden = append(b.golden, Golden{frame, v})
	}
	return nil
}

// check holds the golden outputs to the manifest, and bounds the images before any is decoded.
func (e *expected) check(m *Manifest) error {
	n := len(e.Vectors)
	switch {
	case n == 0:
		return errors.New("no golden images: nothing could prove that a board computes what the host did")
	case n > MaxGolden || 3*int64(n)*int64(m.Input.Width)*int64(m.Input.Height) > maxGoldenBytes:
		return fmt.Errorf("%d golden images of %d×%d pixels are too many", n, m.Input.Width, m.Input.Height)
	case e.Type != "float32" && e.Type != "int8" && e.Type != "uint8":
		return fmt.Errorf("outputs of type %q: want int8, uint8 or float32", e.Type)
	case e.Type != "float32" && !(e.Scale > 0):
		return fmt.Errorf("%s outputs of scale %v", e.Type, e.Scale)
	}
	low, high := e.rangeOf()
	for i, v := range e.Vectors {
		if len(v) != m.Dim {
			return fmt.Errorf("output %d has %d values, the manifest says %d", i, len(v), m.Dim)
		}
		for _, x := range v {
			if x < low || x > high || e.Type != "float32" && x != float32(math.Trunc(float64(x))) {
				return fmt.Errorf("output %d has %v, which is no %s", i, x, e.Type)
			}
		}
	}
	return nil
}

func (e *expected) rangeOf() (low, high float32) {
	switch e.Type {
	case "int8":
		return -128, 127
	case "uint8":
		return 0, 255
	}
	return -math.MaxFloat32, math.MaxFloat32
}

// decodeImage decodes a PNG of the input's size; others are refused before their pixels are decoded.
func decodeImage(data []byte, input Input) (vision.Frame, error) {
	size, err := png.DecodeConfig(bytes.NewReader(data))
	if err != nil {
		return vision.Frame{}, err
	}
	if size.Width != input.Width || size.Height != input.Height {
		return vision.Frame{}, fmt.Errorf("%d×%d pixels, the model takes %d×%d", size.Width, size.Height, input.Width, input.Height)
	}
	return vision.DecodeBytes(data)
}
