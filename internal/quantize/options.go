package quantize

import (
	"fmt"
	"maps"
	"slices"

	"xbmedge/internal/tflitefile"
)

// Options chooses how to quantise. The zero value is quick and good; Search finds what is best for a network.
type Options struct {
	Method         Method         // how activations are ranged; empty means MSE
	Percentile     float64        // for the method Percentile; 0 means DefaultPercentile
	Rounding       Rounding       // of weights; empty means Feedback
	BiasCorrection BiasCorrection // empty means Analytic
	Outputs        []string       // names of the output layers; empty means the last
	// Methods names layers whose values are ranged by another method than Method.
	Methods map[string]Method
	// Float names layers that stay float, between a DEQUANTIZE and a QUANTIZE. XNNPACK takes those as well.
	Float []string
	// Fixed is an int8 model of the network's first layers, a frozen trunk, or of all of them. Layers that it holds, by
	// name, keep its scales, zero points, weights and biases to the bit; only the others are quantised.
	Fixed *tflitefile.Model
}

func (o *Options) check() error {
	for _, m := range append(slices.Collect(maps.Values(o.Methods)), o.Method) {
		switch {
		case m == Auto:
			return fmt.Errorf("method %s measures the others: call Search", Auto)
		case m != "":
			if _, err := ParseMethod(string(m)); err != nil {
				return err
			}
		}
	}
	if !slices.Contains([]Rounding{"", Nearest, Feedback}, o.Rounding) {
		return fmt.Errorf("a rounding %q is not known: take %s or %s", o.Rounding, Feedback, Nearest)
	}
	if !slices.Contains([]BiasCorrection{"", Analytic, Empirical, NoCorrection}, o.BiasCorrection) {
		return fmt.Errorf("a bias correction %q is not known: take %s, %s or %s", o.BiasCorrection, Analytic, Empirical, NoCorrection)
	}
	if o.Percentile == 0 {
		o.Percentile = DefaultPercentile
	}
	if !(o.Percentile > 50 && o.Percentile <= 100) { // the negation also catches NaN
		return fmt.Errorf("a percentile of %g: take one above 50 and up to 100", o.Percentile)
	}
	return nil
}

// Rounding is how weights become integers.
type Rounding string

// The ways to round.
const (
	// Nearest takes the integer next to each weight.
	Nearest Rounding = "nearest"
	// Feedback rounds one weight of an output after the other and lets those that follow make up for the error, given
	// how their inputs go together on the tuning frames (GPTQ; Frantar et al., ICLR 2023, arXiv 2210.17323), which is
	// Babai's nearest plane. It is what an empty Rounding means.
	Feedback Rounding = "feedback"
)

// BiasCorrection is what a layer's bias makes up for.
type BiasCorrection string

// The bias corrections.
const (
	// Analytic makes up for the mean error of the rounded weights, given the means of what they meet in float (Nagel et
	// al., ICCV 2019). It is what an empty BiasCorrection means.
	Analytic BiasCorrection = "analytic"
	// Empirical makes up for the mean error of what comes in as well, measured by running the int8 layers before.
	Empirical BiasCorrection = "empirical"
	// NoCorrection leaves the bias as it is.
	NoCorrection BiasCorrection = "none"
)
