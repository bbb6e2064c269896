package quantize

import (
	"math"
	"sync"

	"xbmedge/internal/nn"
	"xbmedge/internal/tflitefile"
)

// Rounding is how weights become integers.
type Rounding string

// The ways to round.
const (
	// Nearest takes the integer next to each weight. It is what an empty Rounding means.
	Nearest Rounding = "nearest"
	// Feedback rounds one weight of an output after the other and lets those that follow make up for the error, given
	// how their inputs go together on the tuning frames (GPTQ; Frantar et al., ICLR 2023, arXiv 2210.17323), which is
	// Babai's nearest plane.
	Feedback Rounding = "feedback"
)

const (
	// damping is added to the diagonal of the inputs' covariance, as a share of its mean: without it the error would be
	// pushed into directions that just these frames do not have.
	damping = 0.02
	// widest is the number of weights of one output up to which their covariance is worth its time.
	widest = 1536
	// samplePixels is how many pixels of a frame enter the covariance.
	samplePixels = 64
)

// round returns the integers of a weight.
func (q *quantizer) round(op *tflitefile.Operator, k kernel, values, scales []float32) ([]int8, error) {
	ints := make([]int8, len(values))
	feedback := q.opt.Rounding == Feedback && q.steps != nil && k.perOutput > 1 && k.perOutput <= widest
	if !feedback {
		for c := range k.outputs {
			for p := range k.perOutput {
				at := k.index(c, p)
				ints[at] = nearest(float64(values[at]) / float64(scales[c]))
			}
		}
		return ints, nil
	}
	if k.depthwise {
		parallel(k.outputs, func(c int) {
			r := factor(q.steps.covariance(op, k, c))
			feedBack(ints, values, scales[c], c, k, r)
		})
		return ints, nil
	}
	r := factor(q.steps.covariance(op, k, 0))
	parallel(k.outputs, func(c int) { feedBack(ints, values, scales[c], c, k, r) })
	return ints, nil
}

func nearest(v float64) int8 { return int8(min(max(math.Round(v), -127), 127)) }

// feedBack rounds the weights of output c, the last first.
func feedBack(ints []int8, values []float32, scale float32, c int, k kernel, r [][]float64) {
	errs := make([]float64, k.perOutput)
	for p := k.perOutput - 1; p >= 0; p-- {
		at, row := k.index(c, p), r[p]
		w := float64(values[at]) / float64(scale)
		v, sum := w, 0.0
		for j := p + 1; j < k.perOutput; j++ {
			sum += row[j-p] * errs[j]
		}
		v += sum / row[0]
		ints[at] = nearest(v)
		errs[p] = w - float64(ints[at])
	}
}

// covariance returns the upper triangle of the covariance of what an operator's weights are multiplied with, row p
// beginning at its diagonal; of a depthwise one, of channel c.
func (s *stepper) covariance(op *tflitefile.Operator, k kernel, c int) [][]float64 {
	w := newWindow(s.model, op, k)
	n := k.perOutput
	h := make([][]int32, n)
	for i := range h {
		h[i] = make([]int32, n-i)
	}
	sums := make([]int64, n)
	count := 0
	var columns [][]int32
	for f, data := range s.values[op.Inputs[0]] {
		stride := max(w.pixels()/samplePixels, 1) | 1
		for p := s.numbers[f] % stride; p < w.pixels(); p += stride {
			column := make([]int32, n)
			w.column(column, data, p, c)
			for i, v := range column {
				sums[i] += int64(v)
			}
			columns = append(columns, column)
			count++
		}
	}
	accumulate(h, columns, k.depthwise)
	out := make([][]float64, n)
	trace := 0.0
	for i := range out {
		out[i] = make([]float64, n-i)
		mi := float64(sums[i]) / float64(count)
		for j := range out[i] {
			out[i][j] = float64(h[i][j])/float64(count) - mi*float64(sums[i+j])/float64(count)
		}
		trace += out[i][0]
	}
	add := damping*trace/float64(n) + 1e-9
	for i := range out {
		out[i][0] += add
	}
	return out
}

// accumulate adds the products of every pair in each column. The rows are shared out unless the caller is parallel.
func accumulate(h [][]int32, columns [][]int32, alone bool) {
	row := func(i int) {
		to := h[i]
		for _, column := range columns {
			v := column[i]
			if v == 0 {
				continue
			}
			from := column[i:][:len(to)]
			for j, o := range from {
				to[j] += v * o
			}
		}
	}
	if !alone {
		parallel(len(h), row)
		return
	}
	for i := range h {
		row(i)
	}
}

// factor returns R of the matrix Rᵀ·R, upper triangular like what it is given (Cholesky).
func factor(a [][]float64) [][]float64 {
	n := len(a)
	for i := range n {
		pivot := math.Sqrt(max(a[i][0], 1e-12))
		for j := range a[i] {
			a[i][j] /= pivot
		}
		a[i][0] = pivot
		for k := i + 1; k < n; k++ {
			f := a[i][k-i]
			if f == 0 {
				continue
			}
			from, to := a[i][k-i:], a[k]
			for j := range to {
				to[j] -= f * from[j]
			}
		}
	}
	return a
}

// window is how an operator slides over its input.
type window struct {
	k                          kernel
	kh, kw, stride, top, left  int
	inH, inW, outH, outW, inC_ int
	zero                       int32
}

func newWindow(m *tflitefile.Model, op *tflitefile.Operator, k kernel) window {
	in, out, weight := &m.Tensors[op.Inputs[0]], &m.Tensors[op.Outputs[0]], &m.Tensors[op.Inputs[1]]
	w := window{
		k: k, kh: weight.Shape[1], kw: weight.Shape[2], stride: op.Options.StrideH,
		inH: in.Shape[1], inW: in.Shape[2], inC_: in.Shape[3], outH: out.Shape[1], outW: out.Shape[2],
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
			dst[i] = int32(int8(data[(iy*w.inW+ix)*w.inC_+channel])) - w.zero
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
