package quantize

// RoundingLoss returns by how much the mean cosine of the calibration's embeddings falls when nothing but their own values
// become int8; 0 where the network does not end in an embedding. The loss can be the largest of all: one scale serves
// every picture, and where training has left the vectors of very different lengths, of which only the direction counts,
// few of the 256 integers are left for the short ones, those of pictures unlike any it has learned.
func (c *Calibration) RoundingLoss() float64 {
	s := c.layers[len(c.layers)-1]
	if len(s.vectors) == 0 {
		return 0
	}
	low, high := rangeOf(s, MSE, 0)
	return 1 - roundedCosine(s.vectors, float64(low), float64(high))
}
