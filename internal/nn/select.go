package nn

import (
	"fmt"
	"slices"
)

// Select returns weights for a network that has fewer channels than another of the same layers: of each layer, evenly
// spaced channels of the wider one's weights (weight selection; Xu et al., Initializing Models with Larger Ones, ICLR
// 2024, arXiv 2311.18823). Layers that are added share their spacing, so what was connected stays so. Layers of the
// narrow network that the wide one has not, as an embedding, are left out.
func Select(wide *Network, w Weights, narrow *Network) (Weights, error) {
	if err := wide.Check(w); err != nil {
		return nil, err
	}
	ps, err := narrow.Parameters()
	if err != nil {
		return nil, err
	}
	out := Weights{}
	for _, p := range ps {
		from, ok := w[p.Name]
		if !ok {
			if _, err := wide.Index(narrow.Layers[p.Layer].Name); err == nil {
				return nil, fmt.Errorf("network %s has no %s: one of the two has batch norms and the other has none", wide.Name, p.Name)
			}
			continue
		}
		t, err := spaced(from, p.Shape)
		if err != nil {
			return nil, fmt.Errorf("select %s of network %s for %s: %w", p.Name, wide.Name, narrow.Name, err)
		}
		out[p.Name] = t
	}
	return out, nil
}

// spaced picks evenly spaced elements along each axis.
func spaced(from *Tensor, shape []int) (*Tensor, error) {
	if len(from.Shape) != len(shape) {
		return nil, fmt.Errorf("shape %v does not contain %v", from.Shape, shape)
	}
	picks := make([][]int, len(shape))
	for axis, n := range shape {
		have := from.Shape[axis]
		if n > have {
			return nil, fmt.Errorf("shape %v does not contain %v", from.Shape, shape)
		}
		for i := range n {
			picks[axis] = append(picks[axis], i*have/n)
		}
	}
	t := NewTensor(slices.Clone(shape)...)
	at := make([]int, len(shape))
	for i := range t.Data {
		offset := 0
		for axis := range shape {
			offset = offset*from.Shape[axis] + picks[axis][at[axis]]
		}
		t.Data[i] = from.Data[offset]
		for axis := len(at) - 1; axis >= 0; axis-- {
			if at[axis]++; at[axis] < shape[axis] {
				break
			}
			at[axis] = 0
		}
	}
	return t, nil
}
