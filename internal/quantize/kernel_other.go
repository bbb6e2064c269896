//go:build !(goexperiment.simd && amd64)

package quantize

// vectorUnit says that this build knows no vector instructions.
func vectorUnit() bool { return false }

func weighVector(row, errs []float64) [lanes]float64 { return weighPlain(row, errs) }

func subtractVector(to, from []float64, f float64) { subtractPlain(to, from, f) }

func extremesVector(lows, highs, values []float32) { extremesPlain(lows, highs, values) }
