package quality

import "math"

func sqrt(x float64) float64 { return math.Sqrt(max(x, 0)) }

// focus is the variance of the Laplacian with the four-neighbour kernel.
func focus(luma []float64, width, height int) float64 {
	var sum, squares, n float64
	for y := 1; y < height-1; y++ {
		for x := 1; x < width-1; x++ {
			i := y*width + x
			l := luma[i-1] + luma[i+1] + luma[i-width] + luma[i+width] - 4*luma[i]
			sum += l
			squares += l * l
			n++
		}
	}
	mean := sum / n
	return squares/n - mean*mean
}
