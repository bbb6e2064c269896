package quantize

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"xbmedge/internal/nn"
)

// LayerCost is what quantising one layer alone costs.
type LayerCost struct {
	Name string
	Cost float64 // one minus the mean cosine to the float network's embeddings, everything else being float
}

// Sensitivity measures what each layer costs when it alone is int8 and all others are float, on at most count of the
// calibration's pictures (16 tell the layers apart); weights are rounded to nearest. It takes as long as running the
// float network on them once for each layer: a MobileNetV2 of 224 some 20 s on two processors.
func Sensitivity(ctx context.Context, net *nn.Network, w nn.Weights, cal *Calibration, opt Options, count int) ([]LayerCost, error) {
	vectors := cal.layers[len(cal.layers)-1].vectors
	if vectors == nil {
		return nil, fmt.Errorf("sensitivity: network %s ends in a map, not in an embedding", net.Name)
	}
	if count < 1 {
		return nil, fmt.Errorf("sensitivity: %d pictures", count)
	}
	frames, numbers := cal.spread(count)
	want := make([][]float32, len(frames))
	for k, n := range numbers {
		want[k] = vectors[n]
	}
	names := layerNames(net)
	out, errs := make([]LayerCost, len(names)), make([]error, len(names))
	one := func(i int) {
		o := opt
		o.Rounding, o.BiasCorrection, o.Fixed, o.Outputs = Nearest, Analytic, nil, nil
		o.Float = append(append([]string(nil), names[:i]...), names[i+1:]...)
		m, _, err := Quantize(net, w, cal, o)
		if err == nil {
			var f Fidelity
			f, err = fidelity(ctx, m, 1, frames, want)
			out[i] = LayerCost{Name: names[i], Cost: 1 - f.Mean}
		}
		errs[i] = err
	}
	next := make(chan int, len(names))
	for i := range names {
		next <- i
	}
	close(next)
	var wg sync.WaitGroup
	for range processors() {
		wg.Go(func() {
			for i := range next {
				if errs[i] = ctx.Err(); errs[i] == nil {
					one(i)
				}
			}
		})
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("sensitivity: %w", err)
	}
	return out, nil
}

// Worst returns the names of the n layers that cost most, the worst first: those to keep in Options.Float.
func Worst(costs []LayerCost, n int) []string {
	sorted := slices.SortedStableFunc(slices.Values(costs), func(a, b LayerCost) int { return cmp.Compare(b.Cost, a.Cost) })
	var names []string
	for _, c := range sorted[:min(max(n, 0), len(sorted))] {
		names = append(names, c.Name)
	}
	return names
}
