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
	samplePixels = 64
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
		parallel(k.outputs, func(c int) { feedBack(ints, values, scales, c, c+1, k, factor(q.steps.moments(op, k, c), false)) })
	default:
		r := factor(q.steps.moments(op, k, 0), true)
		parallel((k.outputs+lanes-1)/lanes, func(block int) {
			feedBack(ints, values, scales, block*lanes, min((block+1)*lanes, k.outputs), k, r)
		})
	}
	return ints
}

func nearest(v float64) int8 { return int8(min(max(math.Round(v), -127), 127)) }

// feedBack rounds the weights of the outputs from first to before end, at most lanes of them, the last weight first.
func feedBack(ints []int8, values, scales []float32, first, end int, k kernel, r [][]float64) {
	errs := make([]float64, k.perOutput*lanes)
	for p := k.perOutput - 1; p >= 0; p-- {
		row := r[p]
		sums := weigh(row[1:], errs[(p+1)*lanes:])
		for c := first; c < end; c++ {
			at := k.index(c, p)
			w := float64(values[at]) / float64(scales[c])
			ints[at] = nearest(w + sums[c-first]/row[0])
			errs[p*lanes+c-first] = w - float64(ints[at])
		}
	}
}

// moments returns the upper triangle of the second moments of what an operator's weights are multiplied with, row p
// beginning at its diagonal; of a depthwise one, of channel c.
func (s *stepper) moments(op *tflitefile.Operator, k kernel, c int) [][]float64 {
	codes, count := s.columns(op, k, c)
	n, length := k.perOutput, len(codes)/k.perOutput
	zero := int16(s.model.Tensors[op.Inputs[0]].Quant.ZeroPoint[0])
	out := make([][]float64, n)
	row := func(i int) {
		query, sum := make([]int16, length), int32(0)
		for m, code := range codes[i*length : i*length+count] {
			query[m] = int16(code) - zero
			sum += int32(query[m])
		}
		products := make([]int32, n-i)
		retrieval.CodeProducts(products, query, codes[i*length:])
		out[i] = make([]float64, n-i)
		for j, product := range products {
			out[i][j] = float64(product-int32(zero)*sum) / float64(count)
		}
	}
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

// columns returns the integers that each weight of an operator is multiplied with at the pixels looked at, [perOutput]
// [count], filled up to what retrieval.CodeProducts takes.
func (s *stepper) columns(op *tflitefile.Operator, k kernel, c int) (codes []int8, count int) {
	const group = 16
	w := newWindow(s.model, op, k)
	pixels := samplePixels
	if k.depthwise {
		pixels = depthwisePixels
	}
	stride := max(w.pixels()/pixels, 1) | 1
	frames := s.values[op.Inputs[0]]
	for f := range frames {
		count += (w.pixels() - s.numbers[f]%stride + stride - 1) / stride
	}
	length := (count + group - 1) / group * group
	codes = make([]int8, k.perOutput*length)
	m := 0
	for f, data := range frames {
		for p := s.numbers[f] % stride; p < w.pixels(); p += stride {
			w.column(codes[m:], length, data, p, c)
			m++
		}
	}
	return codes, count
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
			subtract(a[k], a[i][k-i:], a[i][k-i])
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
	zero                      int8
}

func newWindow(m *tflitefile.Model, op *tflitefile.Operator, k kernel) window {
	in, out, weight := &m.Tensors[op.Inputs[0]], &m.Tensors[op.Outputs[0]], &m.Tensors[op.Inputs[1]]
	w := window{
		k: k, kh: weight.Shape[1], kw: weight.Shape[2], stride: op.Options.StrideH,
		inH: in.Shape[1], inW: in.Shape[2], inC: in.Shape[3], outH: out.Shape[1], outW: out.Shape[2],
		zero: int8(in.Quant.ZeroPoint[0]),
	}
	if !op.Options.Valid {
		w.top, _ = nn.Padding(w.inH, w.kh, w.stride)
		w.left, _ = nn.Padding(w.inW, w.kw, w.stride)
	}
	return w
}

func (w *window) pixels() int { return w.outH * w.outW }

// column writes what the weights of an output are multiplied with at output pixel p, each length after the one before;
// padding is the zero point.
func (w *window) column(dst []int8, length int, data []byte, p, c int) {
	y, x := p/w.outW*w.stride-w.top, p%w.outW*w.stride-w.left
	for i := range w.k.perOutput {
		tap, channel := i, c
		if !w.k.depthwise {
			tap, channel = i/w.k.inputs, i%w.k.inputs
		}
		iy, ix, v := y+tap/w.kw, x+tap%w.kw, w.zero
		if iy >= 0 && iy < w.inH && ix >= 0 && ix < w.inW {
			v = int8(data[(iy*w.inW+ix)*w.inC+channel])
		}
		dst[i*length] = v
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
