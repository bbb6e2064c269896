package embed

import "xbmedge/internal/vision"

// Output says what kind of numbers the model's output is: real = Scale × (value − ZeroPoint) for int8 and uint8.
type Output struct {
	Type      string // int8, uint8 or float32
	Scale     float32
	ZeroPoint int
}

// Output describes what Raw returns.
func (e *Embedder) Output() Output { return e.out }

// Raw is Embed without what comes after the model: dst gets the output's values as they are, integers for a quantised
// model. It is for comparing machines, which agree on these values or do not.
func (e *Embedder) Raw(dst []float32, f vision.Frame) error {
	if err := e.invoke(dst, f); err != nil {
		return err
	}
	e.readRaw(dst)
	return nil
}

func widen[T int8 | uint8](dst []float32, src []T) {
	for i, v := range src {
		dst[i] = float32(v)
	}
}
