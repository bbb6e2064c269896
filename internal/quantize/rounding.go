package quantize

import (
	"math"
	"sync"

	"xbmedge/internal/nn"
	"xbmedge/internal/retrieval"
	"xbmedge/internal/tflitefile"
)

const (
	// damping is added to the diagonal of the inputs' second moments, as a share of its mean: without it the error would be
	// pushed into directions that just these frames do not have.
	damping = 0.02
	// widest is the number of weights of one output up to which their second moments are worth its time.
	widest = 1536
	// samplePixels is how many pixels of a frame enter them.
	samplePixels = 16
	// worthSharing is the number of rows from which their work outweighs starting goroutines for it.
	worthSharing = 192
	// depthwisePixels is the same for a depthwise layer, which has far fewer weights to an output.
	depthwisePixels = 8
)

// round returns the integers of a weight.
func (q *quantizer) round(op *tflitefile.Operator, k kernel, values, scales []float32) []int8 {
	ints := make([]int8, len(values))
	switch {
	case q.opt.Rounding == Nearest || q.steps == nil || k.perOutput == 1 || k.perOutput > widest:
		for c := range k.outputs {
			for p := range k.perOutput {
				at := k.index(c, p)
				ints[at] = nearest(float64(values[at]) / float64(scales[c]))
			}
		}
	case k.depthwise:
		parallel(k.outputs, func(c int) { feedBack(ints, values, scales[c], c, k, factor(q.steps.moments(op, k, c), false)) })
	default:
		r := factor(q.steps.moments(op, k, 0), true)
		parallel(k.outputs, func(c int) { feedBack(ints, values, scales[c], c, k, r) })
	}
	return ints
}

func nearest(v float64) int8 { return int8(min(max(math.Round(v), -127), 127)) }

// feedBack rounds the weights of output c, the last first.
func feedBack(ints []int8, values []float32, scale float32, c int, k kernel, r [][]float64) {
	errs := make([]float64, k.perOutput)
	for p := k.perOutput - 1; p >= 0; p-- {
		at, row := k.index(c, p), r[p]
		w := float64(values[at]) / float64(scale)
		sum := retrieval.Dot(row[1:], errs[p+1:])
		ints[at] = nearest(w + sum/row[0])
		errs[p] = w - float64(ints[at])
	}
}

// moments returns the upper triangle of the second moments of what an operator's weights are multiplied with, row p
// beginning at its diagonal; of a depthwise one, of channel c.
func (s *stepper) moments(op *tflitefile.Operator, k kernel, c int) [][]float64 {
	w := newWindow(s.model, op, k)
	n := k.perOutput
	pixels := samplePixels
	if k.depthwise {
		pixels = depthwisePixels
	}
	var columns [][]int32
	for f, data := range s.values[op.Inputs[0]] {
		stride := max(w.pixels()/pixels, 1) | 1
		for p := s.numbers[f] % stride; p < w.pixels(); p += stride {
			column := make([]int32, n)
			w.column(column, data, p, c)
			columns = append(columns, column)
		}
	}
	out := make([][]float64, n)
	row := func(i int) { out[i] = products(columns, i) }
	if k.depthwise { // its channels are shared out already
		for i := range n {
			row(i)
		}
	} else {
		parallel(n, row)
	}
	trace := 0.0
	for i := range out {
		trace += out[i][0]
	}
	add := damping*trace/float64(n) + 1e-9
	for i := range out {
		out[i][0] += add
	}
	return out
}

// products returns the mean products of element i of the columns with the elements from i on. Four columns at a time:
// the sums are read and written once for them.
func products(columns [][]int32, i int) []float64 {
	sums := make([]int64, len(columns[0])-i)
	var at int
	for ; at+4 <= len(columns); at += 4 {
		a, b, c, d := columns[at][i:], columns[at+1][i:], columns[at+2][i:], columns[at+3][i:]
		va, vb, vc, vd := a[0], b[0], c[0], d[0]
		if va|vb|vc|vd == 0 {
			continue
		}
		a, b, c, d = a[:len(sums)], b[:len(sums)], c[:len(sums)], d[:len(sums)]
		for j := range sums {
			sums[j] += int64(va*a[j] + vb*b[j] + vc*c[j] + vd*d[j])
		}
	}
	for ; at < len(columns); at++ {
		v := columns[at][i]
		for j, o := range columns[at][i:] {
			sums[j] += int64(v * o)
		}
	}
	out := make([]float64, len(sums))
	for j, s := range sums {
		out[j] = float64(s) / float64(len(columns))
	}
	return out
}

// factor returns R of the matrix Rᵀ·R, upper triangular like what it is given (Cholesky); share lets it use several
// processors.
func factor(a [][]float64, share bool) [][]float64 {
	n := len(a)
	for i := range n {
		pivot := math.Sqrt(max(a[i][0], 1e-12))
		for j := range a[i] {
			a[i][j] /= pivot
		}
		a[i][0] = pivot
		below := func(k int) {
			f, from, to := a[i][k-i], a[i][k-i:], a[k]
			for j := range to {
				to[j] -= f * from[j]
			}
		}
		if left := n - i - 1; share && left >= worthSharing {
			parallel(left, func(k int) { below(i + 1 + k) })
			continue
		}
		for k := i + 1; k < n; k++ {
			below(k)
		}
	}
	return a
}

// window is how an operator slides over its input.
type window struct {
	k                         kernel
	kh, kw, stride, top, left int
	inH, inW, outH, outW, inC int
	zero                      int32
}

func newWindow(m *tflitefile.Model, op *tflitefile.Operator, k kernel) window {
	in, out, weight := &m.Tensors[op.Inputs[0]], &m.Tensors[op.Outputs[0]], &m.Tensors[op.Inputs[1]]
	w := window{
		k: k, kh: weight.Shape[1], kw: weight.Shape[2], stride: op.Options.StrideH,
		inH: in.Shape[1], inW: in.Shape[2], inC: in.Shape[3], outH: out.Shape[1], outW: out.Shape[2],
		zero: int32(in.Quant.ZeroPoint[0]),
	}
	if !op.Options.Valid {
		w.top, _ = nn.Padding(w.inH, w.kh, w.stride)
		w.left, _ = nn.Padding(w.inW, w.kw, w.stride)
	}
	return w
}

func (w *window) pixels() int { return w.outH * w.outW }

// column writes what the weights of an output are multiplied with at output pixel p, as integers from the zero point;
// padding is 0.
func (w *window) column(dst []int32, data []byte, p, c int) {
	y, x := p/w.outW*w.stride-w.top, p%w.outW*w.stride-w.left
	for i := range dst {
		tap, channel := i, c
		if !w.k.depthwise {
			tap, channel = i/w.k.inputs, i%w.k.inputs
		}
		iy, ix := y+tap/w.kw, x+tap%w.kw
		if dst[i] = 0; iy >= 0 && iy < w.inH && ix >= 0 && ix < w.inW {
			dst[i] = int32(int8(data[(iy*w.inW+ix)*w.inC+channel])) - w.zero
		}
	}
}

// parallel calls do for 0 … n-1 from as many goroutines as there are processors.
func parallel(n int, do func(i int)) {
	workers := min(processors(), n)
	var wg sync.WaitGroup
	for first := range workers {
		wg.Go(func() {
			for i := first; i < n; i += workers {
				do(i)
			}
		})
	}
	wg.Wait()
}
