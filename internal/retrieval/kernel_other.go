//go:build !(goexperiment.simd && amd64)

package retrieval

// vectorUnit says that this build knows no vector instructions.
func vectorUnit() bool { return false }

func dotVector(dst []float32, stride int, rows, panel []float32) { dotPlain(dst, stride, rows, panel) }

func countVector(counts []int, scores, thresholds []float32) { countPlain(counts, scores, thresholds) }

func codesVector(dst []int32, query []int16, codes []int8) { codesPlain(dst, query, codes) }
