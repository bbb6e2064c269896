//go:build !(goexperiment.simd && amd64)

package vision

// vectorUnit says that this build knows no vector instructions.
func vectorUnit() bool { return false }

func rowVector(k *filter, dst, src []byte) { rowPlain(k, dst, src) }

func columnVector(out, rows []byte, weights, sums []int32) { columnPlain(out, rows, weights, sums) }
